//! Transactions that began on another cluster: what their clients are told, so that they abort and go on.
//!
//! The active cluster knows nothing of such a transaction, and its own words for that end many clients for good. The answers here
//! are those after which clients abort: where the protocol can give the client a new id with the answer to its abort (EndTxn 5), the
//! abortable error; before that, an error after which clients ask for a new id themselves.

use super::error;

/// The transaction must be aborted; the producer goes on (KIP-890).
const TRANSACTION_ABORTABLE: i16 = 120;
/// The producer id is not known: clients abort and ask for a new one (KIP-360). Not the answer to a batch: librdkafka takes it
/// for data loss there.
const UNKNOWN_PRODUCER_ID: i16 = 59;
/// Another producer has the transactional id. The application makes its producer anew, and does not know the end of its commit.
const PRODUCER_FENCED: i16 = 90;
/// What clients that do not know 90 are told for it.
const INVALID_PRODUCER_EPOCH: i16 = 47;
/// The coordinator has not carried the request out, or is still about it: the client asks again.
const ASK_AGAIN: [i16; 4] = [
    error::COORDINATOR_LOAD_IN_PROGRESS,
    error::COORDINATOR_NOT_AVAILABLE,
    error::NOT_COORDINATOR,
    CONCURRENT,
];
/// CONCURRENT_TRANSACTIONS.
const CONCURRENT: i16 = 51;
/// To a batch: it belongs to no transaction. What brokers say to clients that do not know 120.
const INVALID_TXN_STATE: i16 = 48;
/// To the offsets of a transaction: clients abort (KIP-447).
const UNKNOWN_MEMBER_ID: i16 = 25;

/// To a producer that asks for an id with a transactional id: it may not. No client tries again.
pub(crate) const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: i16 = 53;

const PRODUCE: i16 = 0;
/// The partitions that a transaction is about to write to.
pub(crate) const ADD_PARTITIONS_TO_TXN: i16 = 24;
const ADD_OFFSETS_TO_TXN: i16 = 25;
/// The end of a transaction.
pub const END_TXN: i16 = 26;
/// The end of a transaction in single partitions, as an administrator writes it.
pub(crate) const WRITE_TXN_MARKERS: i16 = 27;
/// The offsets that a transaction commits for a group.
pub(crate) const TXN_OFFSET_COMMIT: i16 = 28;
/// The request for a producer id.
pub const INIT_PRODUCER_ID: i16 = 22;
/// Since this version the answer to EndTxn carries the producer id and epoch to go on with.
pub const END_GIVES_ID: i16 = 5;

/// Whether the requests of an api belong to a transaction.
pub fn belongs(key: i16) -> bool {
    matches!(key, ADD_PARTITIONS_TO_TXN | ADD_OFFSETS_TO_TXN | END_TXN | TXN_OFFSET_COMMIT)
}

/// The error that says in an answer of this api and version that the transaction cannot be completed.
pub fn lost(key: i16, version: i16) -> i16 {
    match (key, version) {
        (PRODUCE, ..11) => INVALID_TXN_STATE,
        (TXN_OFFSET_COMMIT, ..4) => UNKNOWN_MEMBER_ID,
        // The administrator is told what it is: the active cluster knows no producer by that id.
        (WRITE_TXN_MARKERS, _) => UNKNOWN_PRODUCER_ID,
        // These clients keep their id when they abort: only this error makes them ask for another.
        (ADD_PARTITIONS_TO_TXN | ADD_OFFSETS_TO_TXN, _) | (END_TXN, ..END_GIVES_ID) => UNKNOWN_PRODUCER_ID,
        _ => TRANSACTION_ABORTABLE,
    }
}

/// The error of a commit whose outcome is not known.
pub(crate) fn in_doubt(version: i16) -> i16 {
    if version < 2 { INVALID_PRODUCER_EPOCH } else { PRODUCER_FENCED }
}

/// Whether an answer to EndTxn with this error is the end of it.
pub(crate) fn settles(error: i16) -> bool {
    !ASK_AGAIN.contains(&error)
}
