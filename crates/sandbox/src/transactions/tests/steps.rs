//! One step at a time: what each request does in each state.

use crate::transactions::{Partition, Producer, Protocol, State, Transactions};

struct Coordinator {
    transactions: Transactions,
    next_id: i64,
    now: i64,
}

fn partition(index: i32) -> Partition {
    ("t".to_owned(), index)
}

impl Coordinator {
    fn new() -> Self {
        Self { transactions: Transactions::default(), next_id: 100, now: 1_000 }
    }

    fn init(&mut self, expected: Option<Producer>) -> Result<Producer, i16> {
        let next = &mut self.next_id;
        let mut new_id = || {
            *next += 1;
            *next
        };
        self.transactions.init("x", 10_000, expected, &mut new_id, self.now)
    }

    fn end(&mut self, producer: Producer, commit: bool, protocol: Protocol) -> Result<Producer, i16> {
        let next = &mut self.next_id;
        let mut new_id = || {
            *next += 1;
            *next
        };
        self.transactions.end("x", producer, commit, protocol, &mut new_id, self.now)
    }

    fn add(&mut self, producer: Producer, index: i32, protocol: Protocol) -> Result<(), i16> {
        self.transactions.add("x", producer, [partition(index)], protocol, self.now)
    }

    /// Every marker is written.
    fn settle(&mut self) {
        for due in self.transactions.due(|_| true) {
            self.transactions.written(&due);
        }
        self.transactions.complete(|_| true);
    }

    fn state(&self) -> State {
        self.transactions.describe("x").expect("an id").state
    }

    /// Raises the epoch as often as it can be.
    fn exhaust(&mut self) -> Producer {
        let mut producer = self.init(None).expect("introduced");
        while producer.1 < i16::MAX - 1 {
            producer = self.init(None).expect("introduced");
        }
        producer
    }
}

#[test]
fn a_transaction_ends_when_every_marker_is_written() {
    let mut c = Coordinator::new();
    let producer = c.init(None).expect("introduced");
    c.add(producer, 0, Protocol::V1).expect("added");
    c.add(producer, 1, Protocol::V1).expect("added");
    assert_eq!(c.end(producer, true, Protocol::V1), Ok(producer));
    let due = c.transactions.due(|_| true);
    assert_eq!(due.iter().map(|d| (d.partition.1, d.commit)).collect::<Vec<_>>(), [(0, true), (1, true)]);
    c.transactions.written(&due[0]);
    c.transactions.complete(|_| true);
    assert_eq!(c.state(), State::PrepareCommit);
    assert_eq!(c.add(producer, 2, Protocol::V1), Err(51));
    assert_eq!(c.init(None), Err(51));
    assert_eq!(c.end(producer, true, Protocol::V1), Err(51));
    assert_eq!(c.end(producer, false, Protocol::V1), Err(48));
    c.settle();
    assert_eq!(c.state(), State::CompleteCommit);
    assert_eq!(c.add(producer, 2, Protocol::V1), Ok(()));
}

#[test]
fn a_marker_of_an_earlier_transaction_ends_nothing() {
    let mut c = Coordinator::new();
    let old = c.init(None).expect("introduced");
    c.add(old, 0, Protocol::V2).expect("added");
    let new = c.end(old, true, Protocol::V2).expect("ended");
    let stale = c.transactions.due(|_| true);
    c.settle();
    c.add(new, 0, Protocol::V2).expect("added");
    c.end(new, true, Protocol::V2).expect("ended");
    c.transactions.written(&stale[0]);
    c.transactions.complete(|_| true);
    assert_eq!(c.state(), State::PrepareCommit);
}

#[test]
fn what_nobody_serves_does_not_move() {
    let mut c = Coordinator::new();
    let producer = c.init(None).expect("introduced");
    c.add(producer, 0, Protocol::V1).expect("added");
    c.now += 10_001;
    c.transactions.expire(c.now, |_| false);
    assert_eq!(c.state(), State::Ongoing);
    c.transactions.expire(c.now, |_| true);
    assert_eq!(c.state(), State::PrepareAbort);
    assert_eq!(c.transactions.due(|_| false), []);
    assert_eq!(
        c.transactions.due(|_| true)[0].producer,
        (producer.0, producer.1 + 1),
        "with the fence's epoch"
    );
}

#[test]
fn used_up_epochs_bring_another_producer_id() {
    let mut c = Coordinator::new();
    let last = c.exhaust();
    let next = c.init(Some(last)).expect("introduced");
    assert!(next.0 != last.0 && next.1 == 0, "{next:?} after {last:?}");
    assert_eq!(c.init(Some(last)), Ok(next), "a retry of a client that did not hear of it");
}

#[test]
fn an_end_with_the_last_epoch_brings_another_producer_id() {
    let mut c = Coordinator::new();
    let last = c.exhaust();
    c.add(last, 0, Protocol::V2).expect("added");
    let next = c.end(last, true, Protocol::V2).expect("ended");
    assert!(next.0 != last.0 && next.1 == 0, "{next:?} after {last:?}");
    assert_eq!(c.transactions.due(|_| true)[0].producer, (last.0, i16::MAX), "markers are the old id's");
    c.settle();
    assert_eq!(c.end(last, true, Protocol::V2), Ok(next), "a retry");
    assert_eq!(c.end(last, false, Protocol::V2), Err(48));
    assert_eq!(c.add(next, 0, Protocol::V2), Ok(()));
}

#[test]
fn a_fenced_producer_of_the_last_epoch_is_fenced_with_one_more() {
    let mut c = Coordinator::new();
    let last = c.exhaust();
    c.add(last, 0, Protocol::V1).expect("added");
    assert_eq!(c.init(None), Err(51));
    assert_eq!(c.end(last, true, Protocol::V1), Err(90));
    c.settle();
    let next = c.init(None).expect("introduced");
    assert!(next.0 != last.0 && next.1 == 0, "{next:?} after {last:?}");
}
