//! What idempotent producers do when a batch fails: the differences between libraries, as data.
//!
//! Read from the sources of the Java client 4.x (`TransactionManager.canRetry`, `RecordAccumulator`), librdkafka 2.x (its handling of
//! Produce errors of the idempotent producer), franz-go 1.22 (`sink.handleReqRespBatch`, `recBuf`) and kafka-python 3.0
//! (`Sender._dispatch_error`, `RecordAccumulator.reenqueue`), and from KIP-360.

/// A library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) name: &'static str,
    /// Batches of a partition that are under way at once.
    pub(super) in_flight: usize,
    pub(super) resend: Resend,
    /// While something of a partition is under way to one broker, nothing is sent to another.
    pub(super) drains_before_it_moves: bool,
    /// OUT_OF_ORDER_SEQUENCE_NUMBER for the oldest batch that is not acknowledged.
    pub(super) gap_at_head: Cure,
    /// The same for a later one.
    pub(super) gap_behind: Cure,
    /// INVALID_PRODUCER_EPOCH.
    pub(super) old_epoch: Cure,
    /// A batch that failed under an earlier producer id or epoch is given up, even when its error could be retried.
    pub(super) forsakes_old_identity: bool,
}

/// In which order failed batches are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resend {
    /// Only the oldest one, until it is acknowledged.
    OldestAlone,
    /// Only the oldest one, when nothing else is under way; what was sent after it is sent again too, whatever its answer said.
    OldestAloneThenAll,
    /// All, the oldest first.
    InOrder,
    /// All, each in front of those that failed before it.
    LastFailedFirst,
}

/// What follows an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    /// The same batch again.
    Retry,
    /// The epoch rises by one, and what is not acknowledged is numbered anew.
    NewEpoch,
    /// The application is told that the batch failed, and a new producer id is asked for.
    GiveUp,
    /// The producer never sends again.
    Fatal,
}

pub(super) const ALL: [Rules; 4] = [JAVA, LIBRDKAFKA, FRANZ, KAFKA_PYTHON];

/// Those that never send a later batch again before an earlier one.
pub(super) const CAREFUL: [Rules; 3] = [JAVA, LIBRDKAFKA, FRANZ];

pub(super) const JAVA: Rules = Rules {
    name: "java",
    in_flight: 5,
    resend: Resend::OldestAlone,
    drains_before_it_moves: false,
    gap_at_head: Cure::NewEpoch,
    gap_behind: Cure::Retry,
    old_epoch: Cure::GiveUp,
    forsakes_old_identity: false,
};

const LIBRDKAFKA: Rules = Rules {
    name: "librdkafka",
    in_flight: 5,
    resend: Resend::InOrder,
    drains_before_it_moves: true,
    gap_at_head: Cure::Fatal,
    gap_behind: Cure::NewEpoch,
    old_epoch: Cure::Fatal,
    forsakes_old_identity: true,
};

const FRANZ: Rules = Rules {
    name: "franz",
    in_flight: 5,
    resend: Resend::OldestAloneThenAll,
    drains_before_it_moves: true,
    gap_at_head: Cure::NewEpoch,
    gap_behind: Cure::Retry,
    old_epoch: Cure::NewEpoch,
    forsakes_old_identity: false,
};

const KAFKA_PYTHON: Rules = Rules {
    name: "kafka-python",
    in_flight: 5,
    resend: Resend::LastFailedFirst,
    drains_before_it_moves: false,
    gap_at_head: Cure::GiveUp,
    gap_behind: Cure::GiveUp,
    old_epoch: Cure::GiveUp,
    forsakes_old_identity: true,
};
