//! Logs, from appending to following another leader.

use super::*;
use crate::errors::{
    CORRUPT_MESSAGE, INVALID_PRODUCER_EPOCH, INVALID_RECORD, INVALID_TXN_STATE, MESSAGE_TOO_LARGE,
    OUT_OF_ORDER_SEQUENCE_NUMBER, TRANSACTION_COORDINATOR_FENCED,
};
use pointsman_wire::batch::{
    ATTRIBUTES_AT, BASE_SEQUENCE_AT, BATCH_LENGTH_AT, CRC_AT, HEADER_LEN, LAST_OFFSET_DELTA_AT, LOG_OVERHEAD,
    MAGIC_AT, MAX_TIMESTAMP_AT, PRODUCER_EPOCH_AT, PRODUCER_ID_AT, RECORDS_COUNT_AT, TRANSACTIONAL,
};

const MAX: usize = 1 << 20;

/// A batch as a producer sends it; its records are bytes that a broker does not look at.
fn raw(records: i32, producer: Option<(i64, i16, i32)>) -> Vec<u8> {
    let mut batch = vec![0; HEADER_LEN + 20];
    let mut put = |at: usize, bytes: &[u8]| batch[at..at + bytes.len()].copy_from_slice(bytes);
    put(BATCH_LENGTH_AT, &i32::try_from(HEADER_LEN + 20 - LOG_OVERHEAD).expect("small").to_be_bytes());
    put(MAGIC_AT, &[2]);
    put(LAST_OFFSET_DELTA_AT, &(records - 1).to_be_bytes());
    put(RECORDS_COUNT_AT, &records.to_be_bytes());
    let (id, epoch, sequence) = producer.unwrap_or((-1, -1, -1));
    put(PRODUCER_ID_AT, &id.to_be_bytes());
    put(PRODUCER_EPOCH_AT, &epoch.to_be_bytes());
    put(BASE_SEQUENCE_AT, &sequence.to_be_bytes());
    sign(&mut batch);
    batch
}

fn sign(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

/// The same as part of a transaction.
pub(crate) fn transactional_bytes(id: i64, epoch: i16, sequence: i32, records: i32) -> Vec<u8> {
    let mut bytes = raw(records, Some((id, epoch, sequence)));
    bytes[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&TRANSACTIONAL.to_be_bytes());
    sign(&mut bytes);
    bytes
}

fn batch(records: i32) -> Batch {
    Batch::produced(&raw(records, None), MAX, TimestampType::Create).expect("a good batch")
}

fn from(id: i64, epoch: i16, sequence: i32, records: i32) -> Batch {
    let bytes = raw(records, Some((id, epoch, sequence)));
    Batch::produced(&bytes, MAX, TimestampType::Create).expect("a good batch")
}

/// Base offset and epoch of each batch.
fn placed(log: &ReplicaLog) -> Vec<(i64, i32)> {
    log.batches.iter().map(|b| (b.base, b.epoch)).collect()
}

#[test]
fn offsets_follow_each_other_and_are_written_into_the_batch() {
    let mut log = ReplicaLog::default();
    log.lead(4);
    assert_eq!(log.append(batch(3), 4).map(|a| (a.base, a.end)), Ok((0, 3)));
    assert_eq!(log.append(batch(1), 4).map(|a| (a.base, a.end)), Ok((3, 4)));
    log.high_watermark = 4;
    let read = log.read(3, 4, MAX, true).expect("it is there");
    let header = pointsman_wire::BatchHeader::parse(&read).expect("a batch");
    assert_eq!((header.base_offset, header.partition_leader_epoch), (3, 4));
}

#[test]
fn a_batch_that_is_damaged_too_long_or_miscounted_is_refused() {
    let check = |bytes: &[u8], max| Batch::produced(bytes, max, TimestampType::Create).map(|_| ());
    let good = raw(2, None);
    assert_eq!(check(&good, MAX), Ok(()));
    assert_eq!(check(&good, 10), Err(MESSAGE_TOO_LARGE));
    assert_eq!(check(&good[..40], MAX), Err(CORRUPT_MESSAGE));
    let mut damaged = good.clone();
    damaged[HEADER_LEN + 3] ^= 1;
    assert_eq!(check(&damaged, MAX), Err(CORRUPT_MESSAGE));
    assert_eq!(check(&[good.clone(), good].concat(), MAX), Err(INVALID_RECORD));
    assert_eq!(check(&raw(0, None), MAX), Err(INVALID_RECORD));
    let mut placed = raw(2, None);
    placed[7] = 1;
    assert_eq!(check(&placed, MAX), Err(INVALID_RECORD), "brokers give offsets, not clients");
}

#[test]
fn the_time_of_the_broker_is_covered_by_the_crc() {
    let stamped = Batch::produced(&raw(1, None), MAX, TimestampType::Append(77)).expect("a good batch");
    let bytes = &stamped.bytes;
    assert_eq!(bytes[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8], 77_i64.to_be_bytes());
    assert_eq!(bytes[CRC_AT..CRC_AT + 4], crc32c::crc32c(&bytes[ATTRIBUTES_AT..]).to_be_bytes());
    assert_eq!(Batch::produced(bytes, MAX, TimestampType::Create).map(|_| ()), Ok(()));
}

#[test]
fn a_retry_of_one_of_the_last_five_batches_is_answered_with_its_offset() {
    let mut log = ReplicaLog::default();
    for sequence in 0..6 {
        log.append(from(9, 0, sequence, 1), 0).expect("in order");
    }
    let again = log.append(from(9, 0, 1, 1), 0).expect("known");
    assert_eq!((again.base, again.duplicate), (1, true));
    // The sixth last is forgotten.
    assert_eq!(log.append(from(9, 0, 0, 1), 0), Err(OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(log.end(), 6);
}

#[test]
fn sequences_have_no_gaps_and_epochs_only_grow() {
    let mut log = ReplicaLog::default();
    // Of a producer that the log does not know any sequence is the first.
    log.append(from(9, 1, 40, 2), 0).expect("first seen");
    assert_eq!(log.append(from(9, 1, 43, 1), 0), Err(OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_eq!(log.append(from(9, 0, 42, 1), 0), Err(INVALID_PRODUCER_EPOCH));
    assert_eq!(log.append(from(9, 2, 42, 1), 0), Err(OUT_OF_ORDER_SEQUENCE_NUMBER));
    log.append(from(9, 2, 0, 1), 0).expect("a new epoch begins at 0");
    let mut wrapped = ReplicaLog::default();
    wrapped.append(from(9, 0, i32::MAX, 1), 0).expect("first seen");
    wrapped.append(from(9, 0, 0, 1), 0).expect("after the last number comes 0");
}

#[test]
fn a_follower_is_cut_where_the_leader_parts_from_it() {
    let (mut old, mut new) = (ReplicaLog::default(), ReplicaLog::default());
    old.lead(0);
    for _ in 0..3 {
        old.append(batch(1), 0).expect("appended");
    }
    new.follow(&old);
    // The old leader goes on alone; the new one leads from where it was.
    old.append(from(5, 0, 0, 2), 0).expect("appended");
    new.lead(1);
    new.append(batch(1), 1).expect("appended");
    old.follow(&new);
    assert_eq!(placed(&old), [(0, 0), (1, 0), (2, 0), (3, 1)]);
    assert_eq!(old.end_of_epoch(0), (0, 3));
    // What was cut is forgotten, its producer too.
    assert_eq!(old.producer_states().count(), 0);
}

#[test]
fn a_follower_that_was_away_for_several_epochs_is_cut_once_for_each() {
    let (mut old, mut new) = (ReplicaLog::default(), ReplicaLog::default());
    for (epoch, records) in [(0, 2), (1, 2), (2, 5)] {
        old.lead(epoch);
        old.append(batch(records), epoch).expect("appended");
    }
    for (epoch, records) in [(0, 2), (1, 1), (3, 4)] {
        new.lead(epoch);
        new.append(batch(records), epoch).expect("appended");
    }
    old.follow(&new);
    assert_eq!(placed(&old), placed(&new));
    assert_eq!((old.end(), old.last_epoch()), (new.end(), 3));
}

#[test]
fn the_end_of_an_epoch_is_where_the_next_one_begins() {
    let mut log = ReplicaLog::default();
    log.lead(2);
    log.append(batch(4), 2).expect("appended");
    log.lead(5);
    log.append(batch(1), 5).expect("appended");
    assert_eq!(log.end_of_epoch(2), (2, 4));
    assert_eq!(log.end_of_epoch(4), (2, 4));
    assert_eq!(log.end_of_epoch(5), (5, 5));
    assert_eq!(log.end_of_epoch(6), (-1, -1));
    assert_eq!(log.end_of_epoch(0), (0, 0));
}

#[test]
fn old_batches_go_when_there_are_too_many_bytes_but_never_uncommitted_ones() {
    let mut log = ReplicaLog::default();
    for _ in 0..10 {
        log.append(batch(1), 0).expect("appended");
    }
    let one = log.size() / 10;
    log.retain_bytes(one);
    assert_eq!(log.start(), 0, "nothing is committed");
    log.high_watermark = 8;
    log.retain_bytes(one * 4);
    assert_eq!((log.start(), log.size()), (6, 4 * one));
    assert_eq!(log.read(5, 8, MAX, true), Err(OFFSET_OUT_OF_RANGE));
    log.retain_bytes(one);
    assert_eq!(log.start(), 8);
}

#[test]
fn a_read_stops_at_its_limits_but_gives_one_batch_if_it_must() {
    let mut log = ReplicaLog::default();
    for _ in 0..4 {
        log.append(batch(1), 0).expect("appended");
    }
    let one = log.size() / 4;
    let read = |max, at_least_one| log.read(0, 3, max, at_least_one).map(|b| b.len() / one);
    assert_eq!(read(MAX, false), Ok(3), "up to the high watermark");
    assert_eq!(read(2 * one, false), Ok(2));
    assert_eq!(read(1, true), Ok(1));
    assert_eq!(read(1, false), Ok(0));
    assert_eq!(log.read(4, 3, MAX, true), Ok(Bytes::new()), "the end can be asked for");
    assert_eq!(log.read(5, 3, MAX, true), Err(OFFSET_OUT_OF_RANGE));
}

#[test]
fn a_leader_that_wrote_nothing_follows_the_next_one() {
    let (mut idle, mut next) = (ReplicaLog::default(), ReplicaLog::default());
    idle.lead(0);
    idle.append(batch(2), 0).expect("appended");
    next.follow(&idle);
    idle.lead(1);
    next.lead(2);
    next.append(batch(1), 2).expect("appended");
    idle.follow(&next);
    assert_eq!(placed(&idle), placed(&next));
    assert_eq!(idle.end_of_epoch(1), (0, 2));
}

/// Replicas that lead in turn, each cut off from the others for a while: whoever follows ends with the leader's log.
#[test]
fn whoever_follows_has_the_leaders_log() {
    for seed in 0..200_u64 {
        let mut state = seed;
        let mut below = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((state >> 33) % n).expect("small")
        };
        let mut logs = [ReplicaLog::default(), ReplicaLog::default(), ReplicaLog::default()];
        for epoch in 0..30 {
            let leader = below(3);
            logs[leader].lead(epoch);
            for _ in 0..below(3) {
                logs[leader].append(batch(1), epoch).expect("appended");
            }
            let led = std::mem::take(&mut logs[leader]);
            for (index, log) in logs.iter_mut().enumerate() {
                if index != leader && below(2) == 0 {
                    log.follow(&led);
                    assert_eq!(placed(log), placed(&led), "seed {seed}");
                }
            }
            logs[leader] = led;
        }
    }
}

fn transactional(id: i64, epoch: i16, sequence: i32, records: i32) -> Batch {
    let bytes = transactional_bytes(id, epoch, sequence, records);
    Batch::produced(&bytes, MAX, TimestampType::Create).expect("a good batch")
}

const COMMIT: Marker = Marker { commit: true, coordinator_epoch: 3 };
const ABORT: Marker = Marker { commit: false, coordinator_epoch: 3 };

/// A log in which producer 1 has written, and then producer 2.
fn two_open() -> ReplicaLog {
    let mut log = ReplicaLog::default();
    log.lead(0);
    log.append(transactional(1, 0, 0, 2), 0).expect("appended");
    log.append(transactional(2, 0, 0, 1), 0).expect("appended");
    log.high_watermark = log.end();
    log
}

#[test]
fn a_marker_is_a_batch_that_clients_can_read() {
    let mut log = two_open();
    assert_eq!(log.end_transaction((1, 0), ABORT, 0, 77), Ok(3));
    let bytes = log.read(3, 4, MAX, true).expect("it is there");
    let header = pointsman_wire::BatchHeader::parse(&bytes).expect("a batch");
    assert!(header.is_control() && header.is_transactional());
    assert_eq!(usize::try_from(header.batch_length).expect("small") + LOG_OVERHEAD, bytes.len());
    assert_eq!(bytes[CRC_AT..CRC_AT + 4], crc32c::crc32c(&bytes[ATTRIBUTES_AT..]).to_be_bytes());
    assert_eq!(bytes[HEADER_LEN..], [32, 0, 0, 0, 8, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 3, 0]);
}

#[test]
fn what_is_stable_ends_where_the_first_open_transaction_begins() {
    let mut log = two_open();
    assert_eq!(log.last_stable(), 0);
    log.end_transaction((1, 0), COMMIT, 0, 0).expect("ended");
    assert_eq!(log.last_stable(), 0, "the marker can still be lost");
    log.high_watermark = log.end();
    assert_eq!(log.last_stable(), 2);
    log.end_transaction((2, 0), ABORT, 0, 0).expect("ended");
    log.high_watermark = log.end();
    assert_eq!(log.last_stable(), 5);
}

#[test]
fn aborted_transactions_are_told_to_who_reads_into_them() {
    let mut log = two_open();
    log.end_transaction((2, 0), ABORT, 0, 0).expect("ended");
    log.high_watermark = log.end();
    let aborted = |from, below| log.aborted(from, below).collect::<Vec<_>>();
    let two = [Aborted { producer: 2, first: 2 }];
    assert_eq!(aborted(0, 4), two);
    assert_eq!(aborted(3, 4), two, "from its marker on");
    assert_eq!(aborted(0, 2), [], "before it");
    assert_eq!(aborted(4, 4), [], "behind it");
}

#[test]
fn followers_and_cut_logs_know_the_same_transactions() {
    let mut leader = two_open();
    let mut follower = ReplicaLog::default();
    follower.follow(&leader);
    assert_eq!((follower.last_stable(), follower.is_open(1, 0)), (0, true));
    let mut other = ReplicaLog::default();
    other.follow(&leader);
    // A marker that only the old leader has is undone.
    leader.end_transaction((1, 0), COMMIT, 0, 0).expect("ended");
    other.lead(1);
    other.append(batch(1), 1).expect("appended");
    leader.follow(&other);
    assert!(leader.is_open(1, 0));
    leader.high_watermark = leader.end();
    assert_eq!(leader.last_stable(), 0);
}

#[test]
fn an_end_of_an_older_epoch_or_of_an_older_coordinator_is_refused() {
    let mut log = two_open();
    log.end_transaction((1, 5), COMMIT, 0, 0).expect("ended");
    assert_eq!(log.end_transaction((1, 4), COMMIT, 0, 0), Err(INVALID_PRODUCER_EPOCH));
    let older = Marker { coordinator_epoch: 2, ..COMMIT };
    assert_eq!(log.end_transaction((1, 5), older, 0, 0), Err(TRANSACTION_COORDINATOR_FENCED));
    assert_eq!(log.append(transactional(1, 0, 2, 1), 0), Err(INVALID_PRODUCER_EPOCH), "a late batch");
    assert!(log.append(transactional(1, 5, 0, 1), 0).is_ok(), "sequences begin anew");
}

#[test]
fn a_producer_writes_nothing_beside_its_open_transaction() {
    let mut log = two_open();
    assert_eq!(log.append(from(1, 0, 2, 1), 0), Err(INVALID_TXN_STATE));
    log.end_transaction((1, 0), COMMIT, 0, 0).expect("ended");
    assert!(log.append(from(1, 0, 2, 1), 0).is_ok());
}

#[test]
fn a_read_ends_where_its_batches_end() {
    let log = two_open();
    let one = log.read(1, 3, 1, true).expect("a batch").len();
    assert_eq!(log.end_of_read(1, one), 2);
    assert_eq!(log.end_of_read(1, log.read(1, 3, MAX, true).expect("batches").len()), 3);
    assert_eq!(log.end_of_read(1, 0), 1);
}
