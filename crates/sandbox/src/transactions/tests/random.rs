//! Producers that compete for transactional ids, answers that are lost, markers that are late, and time that passes: a
//! transaction is committed in all its partitions or in none, as its producer was told, and readers of committed records
//! never have to take anything back.

use crate::{
    errors::NONE,
    log::{Batch, Marker, ReplicaLog, TimestampType, tests::transactional_bytes},
    transactions::{Partition, Producer, Protocol, State, Transactions},
};
use std::collections::BTreeMap;

const SEEDS: u64 = 100;
const STEPS: usize = 400;
const PARTITIONS: usize = 3;
const TIMEOUT_MS: i32 = 1_000;

/// A generator of random numbers (splitmix64), the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % (limit as u64)).expect("below the limit")
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A producer's process.
struct Client {
    id: String,
    protocol: Protocol,
    producer: Option<Producer>,
    /// The next sequence number by partition.
    sequences: [i32; PARTITIONS],
    /// The transaction that is open, by its number.
    open: Option<usize>,
    /// Partitions that an older client has asked the coordinator to add.
    joined: [bool; PARTITIONS],
    /// It is to be ended so.
    ending: Option<bool>,
}

struct Simulation {
    random: Random,
    transactions: Transactions,
    logs: Vec<ReplicaLog>,
    stable: [i64; PARTITIONS],
    clients: Vec<Client>,
    next_id: i64,
    now: i64,
    /// By partition: the offset of each record, and its transaction's number.
    records: Vec<BTreeMap<i64, usize>>,
    /// What the coordinator said of each transaction, committed or not; nothing: it is not decided.
    outcomes: Vec<Option<bool>>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let client = |number: usize| Client {
            // The last one competes with the first.
            id: format!("x{}", number % 4),
            protocol: if number.is_multiple_of(3) { Protocol::V1 } else { Protocol::V2 },
            producer: None,
            sequences: [0; PARTITIONS],
            open: None,
            joined: [false; PARTITIONS],
            ending: None,
        };
        let mut logs: Vec<ReplicaLog> = (0..PARTITIONS).map(|_| ReplicaLog::default()).collect();
        logs.iter_mut().for_each(|log| log.lead(0));
        Self {
            random: Random(seed),
            transactions: Transactions::default(),
            logs,
            stable: [0; PARTITIONS],
            clients: (0..5).map(client).collect(),
            next_id: 0,
            now: 0,
            records: vec![BTreeMap::new(); PARTITIONS],
            outcomes: Vec::new(),
        }
    }

    fn act(&mut self, number: usize) {
        let client = &self.clients[number];
        match (client.producer, client.ending) {
            (None, _) => self.init(number),
            (Some(producer), Some(commit)) => self.end(number, producer, commit),
            (Some(producer), None) => match self.random.below(8) {
                0 if client.open.is_some() => {
                    self.clients[number].ending = Some(!self.random.once_in(3));
                }
                // Its process is started anew.
                1 if self.random.once_in(4) => self.gone(number),
                _ => self.send(number, producer),
            },
        }
    }

    fn init(&mut self, number: usize) {
        let next = &mut self.next_id;
        let mut new_id = || {
            *next += 1;
            *next
        };
        let id = self.clients[number].id.clone();
        match self.transactions.init(&id, TIMEOUT_MS, None, &mut new_id, self.now) {
            Ok(producer) => self.restart(number, producer),
            Err(error) => assert_eq!(error, 51),
        }
    }

    fn restart(&mut self, number: usize, producer: Producer) {
        let client = &mut self.clients[number];
        (client.producer, client.sequences) = (Some(producer), [0; PARTITIONS]);
    }

    /// Whatever it had open can only be aborted, unless that is decided.
    fn gone(&mut self, number: usize) {
        let client = &mut self.clients[number];
        (client.producer, client.ending, client.joined) = (None, None, [false; PARTITIONS]);
        if let Some(open) = client.open.take() {
            self.outcomes[open].get_or_insert(false);
        }
    }

    fn send(&mut self, number: usize, producer: Producer) {
        let at = self.random.below(PARTITIONS);
        let client = &self.clients[number];
        let partition: Partition = ("t".to_owned(), i32::try_from(at).expect("small"));
        let (id, protocol) = (client.id.clone(), client.protocol);
        let is_open = self.logs[at].is_open(producer.0, producer.1);
        let transactions = &mut self.transactions;
        let joined = match protocol {
            // The leader asks the coordinator, if it does not know better.
            Protocol::V2 if is_open => Ok(()),
            Protocol::V2 => transactions.add(&id, producer, [partition], protocol, self.now),
            Protocol::V1 if !client.joined[at] => {
                transactions.add(&id, producer, [partition], protocol, self.now)
            }
            Protocol::V1 if is_open => Ok(()),
            Protocol::V1 => transactions.verify(&id, producer, &[partition]).map(drop),
        };
        match joined.err().unwrap_or(NONE) {
            NONE => self.clients[number].joined[at] = true,
            51 => return,
            49 | 90 => return self.gone(number),
            error => panic!("error {error} of a partition that joins"),
        }
        self.append(number, producer, at);
    }

    fn append(&mut self, number: usize, producer: Producer, at: usize) {
        let sequence = self.clients[number].sequences[at];
        let bytes = transactional_bytes(producer.0, producer.1, sequence, 1);
        let batch = Batch::produced(&bytes, 1 << 20, TimestampType::Create).expect("a good batch");
        match self.logs[at].append(batch, 0) {
            Ok(appended) => {
                let outcomes = &mut self.outcomes;
                let client = &mut self.clients[number];
                client.sequences[at] += 1;
                let open = *client.open.get_or_insert_with(|| {
                    outcomes.push(None);
                    outcomes.len() - 1
                });
                self.records[at].insert(appended.base, open);
            }
            Err(error) => {
                assert_eq!(error, 47, "of {producer:?}");
                self.gone(number);
            }
        }
    }

    fn end(&mut self, number: usize, producer: Producer, commit: bool) {
        let next = &mut self.next_id;
        let mut new_id = || {
            *next += 1;
            *next
        };
        let client = &self.clients[number];
        let (id, protocol, open) = (client.id.clone(), client.protocol, client.open);
        match self.transactions.end(&id, producer, commit, protocol, &mut new_id, self.now) {
            Ok(next) => {
                let open = open.expect("a transaction");
                let told = *self.outcomes[open].get_or_insert(commit);
                assert_eq!(told, commit, "the outcome of {producer:?} changed");
                if self.random.once_in(4) {
                    // The answer is lost; the client asks again.
                    return;
                }
                if next != producer {
                    self.restart(number, next);
                }
                let client = &mut self.clients[number];
                (client.open, client.ending, client.joined) = (None, None, [false; PARTITIONS]);
            }
            Err(51) => {}
            Err(48 | 49 | 90) => self.gone(number),
            Err(error) => panic!("error {error} of an end"),
        }
    }

    /// Some of the markers are written, and some of that reaches the followers.
    fn write_markers(&mut self, all: bool) {
        for due in self.transactions.due(|_| true) {
            if all || self.random.once_in(2) {
                let at = usize::try_from(due.partition.1).expect("an index");
                let marker = Marker { commit: due.commit, coordinator_epoch: 0 };
                let written = self.logs[at].end_transaction(due.producer, marker, 0, self.now);
                assert!(written.is_ok(), "{due:?}: {written:?}");
                // The coordinator may not hear of it, and write once more.
                if all || !self.random.once_in(4) {
                    self.transactions.written(&due);
                }
            }
        }
        self.transactions.complete(|_| true);
        for log in &mut self.logs {
            if all || self.random.once_in(2) {
                log.high_watermark = log.end();
            }
        }
    }

    /// What readers of committed records have seen stays, and is what producers were told.
    fn check(&mut self) {
        for (at, log) in self.logs.iter().enumerate() {
            let stable = log.last_stable();
            assert!(stable >= self.stable[at] && stable <= log.high_watermark, "partition {at}: {stable}");
            self.stable[at] = stable;
            let aborted: Vec<i64> = log.aborted(0, stable).map(|aborted| aborted.first).collect();
            let mut first_of: BTreeMap<usize, i64> = BTreeMap::new();
            for (offset, number) in self.records[at].range(..stable) {
                first_of.entry(*number).or_insert(*offset);
            }
            for (number, first) in first_of {
                let told = self.outcomes[number];
                let void = aborted.contains(&first);
                assert!(told == Some(!void) || (told.is_none() && void), "{number}: {told:?}, void {void}");
            }
        }
    }

    /// How many transactions were committed and aborted.
    fn run(mut self) -> [usize; 2] {
        for _ in 0..STEPS {
            let number = self.random.below(self.clients.len());
            self.act(number);
            if self.random.once_in(2) {
                self.write_markers(false);
            }
            if self.random.once_in(20) {
                self.now += 300;
                self.transactions.expire(self.now, |_| true);
            }
            self.check();
        }
        self.calm();
        [true, false].map(|commit| self.outcomes.iter().filter(|told| **told == Some(commit)).count())
    }

    /// Time passes and every marker is written: everything is decided.
    fn calm(&mut self) {
        self.now += i64::from(TIMEOUT_MS) + 1;
        self.transactions.expire(self.now, |_| true);
        self.write_markers(true);
        (0..self.clients.len()).for_each(|number| self.gone(number));
        self.check();
        for log in &self.logs {
            assert_eq!(log.last_stable(), log.end());
        }
        let states: Vec<State> = self.transactions.list().map(|of| of.state).collect();
        assert!(!states.iter().any(|state| *state == State::Ongoing || state.is_ending()), "{states:?}");
    }
}

#[test]
fn transactions_keep_their_promises_whatever_producers_do() {
    let mut ended = [0, 0];
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| Simulation::new(seed).run());
        let [commits, aborts] = result.unwrap_or_else(|_| panic!("seed {seed}"));
        ended = [ended[0] + commits, ended[1] + aborts];
    }
    assert!(ended.iter().all(|count| *count > 1_000), "commits and aborts: {ended:?}");
}
