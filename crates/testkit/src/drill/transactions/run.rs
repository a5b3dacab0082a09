//! The run: transactions, switches, the end, the verdict.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::report::{ProducerReport, Summary};
use super::{Attempt, check, check::copies};
use crate::clients::{ClientKind, Driver, DriverSpec, Event, Mode, TxnEnd};
use crate::drill::bench::{Bench, now_ns};
use crate::drill::pingpong::{Options, SwitchRecord};
use crate::drill::{Options as Base, proxy::Proxy};
use crate::process::wait_for;
use crate::rng::Rng;

const TOPIC: &str = "transactions";
const PARTITIONS: u32 = 6;
const STEADY_LIMIT: Duration = Duration::from_secs(60);
const SYNC_LIMIT: Duration = Duration::from_secs(60);
const CLOSE_LIMIT: Duration = Duration::from_secs(20);
/// What a switch interrupts is aborted by its cluster after so long, where nobody else does.
const TRANSACTION_TIMEOUT_MS: &str = "10000";
/// Longest wait until a cluster has aborted everything that was left open: the time-out, the interval at which the coordinator looks
/// (10 s), and room for a busy machine.
const ABORTED_LIMIT: Duration = Duration::from_secs(60);

struct Client {
    kind: ClientKind,
    producer: Driver,
    consumer: Driver,
}

pub(super) fn run(bench: &Bench, base: &Base, options: &Options) -> Result<Summary, String> {
    for cluster in [&bench.primary, &bench.secondary] {
        cluster.create_topic(TOPIC, PARTITIONS as usize, 3, &[("min.insync.replicas", "2")])?;
        cluster.wait_in_sync(TOPIC, SYNC_LIMIT)?;
    }
    let proxy = Proxy::start(base, &bench.place, &bench.primary, &bench.secondary, 0)?;
    let clients = start(bench, &proxy.bootstrap(&bench.place, &bench.primary), options)?;
    for client in &clients {
        client.producer.wait(STEADY_LIMIT, |events| commits(events, 0) >= 3)?;
        client.consumer.wait(STEADY_LIMIT, |events| events.iter().any(is_record))?;
    }
    let switches = switches(bench, options);
    let switched_at = now_ns();
    // A producer that does not come back is a result, which the report names.
    let _ = wait_for(options.observe, || {
        let back = |client: &Client| client.producer.look(|events| commits(events, switched_at) > 0);
        clients.iter().find(|client| !back(client)).map_or(Ok(()), |c| Err(c.kind.name().to_owned()))
    });
    let ended: Vec<Ended> = clients.into_iter().map(finish).collect();
    drop(proxy);
    write_events(bench, &ended)?;
    let (committed, hanging) = committed(bench)?;
    let read: HashSet<String> = ended.iter().flat_map(|e| &e.read).cloned().collect();
    let producer = |end: &Ended| ProducerReport {
        transactions: check(end.name, &end.attempts, PARTITIONS, &committed, &read),
        made_anew: end.made_anew,
        silence_ms: silence(&end.attempts),
        recovered: end.attempts.iter().any(|a| a.end == TxnEnd::Committed && a.at >= switched_at),
    };
    Ok(Summary {
        seed: options.seed,
        switches,
        producers: ended.iter().map(producer).collect(),
        consumed: ended.iter().map(|e| (e.name.to_owned(), e.read.len())).collect(),
        hanging,
    })
}

fn start(bench: &Bench, bootstrap: &str, options: &Options) -> Result<Vec<Client>, String> {
    let setting = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let start = |kind: ClientKind, mode, settings| {
        let spec = DriverSpec {
            rate: options.rate,
            settings,
            ..DriverSpec::new(mode, kind.name(), bootstrap, TOPIC)
        };
        Driver::start(&bench.programs[&kind], &spec)
    };
    let client = |kind: &ClientKind| {
        Ok(Client {
            kind: *kind,
            producer: start(
                *kind,
                Mode::Transact,
                setting("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS),
            )?,
            consumer: start(*kind, Mode::Consume, setting("isolation.level", "read_committed"))?,
        })
    };
    bench.programs.keys().map(client).collect()
}

fn switches(bench: &Bench, options: &Options) -> Vec<SwitchRecord> {
    let mut rng = Rng::new(options.seed);
    let mut switch = |number: usize| {
        let pause = rng.ms(options.pause.0, options.pause.1);
        sleep(pause);
        let to = if number.is_multiple_of(2) { &bench.secondary } else { &bench.primary };
        let begun = Instant::now();
        let failure = bench.place.switch(to.name()).err();
        let took_ms = millis(begun.elapsed());
        eprintln!("switch {number} to {}: {took_ms} ms {}", to.name(), failure.as_deref().unwrap_or(""));
        SwitchRecord { to: to.name().to_owned(), pause_ms: millis(pause), took_ms, failure }
    };
    (0..options.switches).map(&mut switch).collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn is_record(event: &Event) -> bool {
    matches!(event, Event::Rec { .. })
}

fn commits(events: &[Event], since: u64) -> usize {
    let committed = |e: &&Event| matches!(e, Event::Txn { t, end: TxnEnd::Committed, .. } if *t >= since);
    events.iter().filter(committed).count()
}

/// What is left of a client.
struct Ended {
    name: &'static str,
    attempts: Vec<Attempt>,
    made_anew: usize,
    read: HashSet<String>,
    /// All that its producer said.
    events: Vec<Event>,
}

fn finish(client: Client) -> Ended {
    let produced = client.producer.finish(CLOSE_LIMIT);
    let consumed = client.consumer.finish(CLOSE_LIMIT);
    let value = |event: Event| if let Event::Rec { v, .. } = event { Some(v) } else { None };
    Ended {
        name: client.kind.name(),
        attempts: Attempt::all(&produced),
        made_anew: produced.iter().filter(|e| matches!(e, Event::Err { fatal: true, .. })).count(),
        read: consumed.into_iter().filter_map(value).collect(),
        events: produced,
    }
}

/// Keeps what the producers said, for a look at a run that went wrong; a later drill overwrites it.
fn write_events(bench: &Bench, ended: &[Ended]) -> Result<(), String> {
    let path = bench.place.dir.join("transactions-events.jsonl");
    let mut file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let lines = ended.iter().flat_map(|end| end.events.iter().map(|event| (end.name, event)));
    for line in lines {
        let text = serde_json::to_string(&line).map_err(|e| e.to_string())?;
        writeln!(file, "{text}").map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

/// By cluster: how often each value is committed there.
type Committed = [HashMap<String, usize>; 2];

/// What both clusters hold as committed, once nothing is open on them any more.
fn committed(bench: &Bench) -> Result<(Committed, Vec<String>), String> {
    let admin = bench.kafka.admin()?;
    let mut held = [HashMap::new(), HashMap::new()];
    let mut hanging = Vec::new();
    for (held, cluster) in held.iter_mut().zip([&bench.primary, &bench.secondary]) {
        match wait_for(ABORTED_LIMIT, || admin.read_committed(&cluster.bootstrap(), TOPIC)) {
            Ok(records) => *held = copies(records.into_iter().map(|record| record.value)),
            Err(why) => hanging.push(format!("{}: {why}", cluster.name())),
        }
    }
    Ok((held, hanging))
}

fn silence(attempts: &[Attempt]) -> u64 {
    let commits: Vec<u64> = attempts.iter().filter(|a| a.end == TxnEnd::Committed).map(|a| a.at).collect();
    commits.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or(0) / 1_000_000
}
