//! Rules broken on purpose: a checker that does not notice them would notice nothing.

/// One broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing is broken.
    None,
    /// A switch does not wait for connections that still use the old snapshot.
    FenceNotAwaited,
    /// The answer to an older fence is taken for the answer to the newest.
    StaleFenceAccepted,
    /// Clients move back as soon as the preferred cluster has quorum.
    NoHold,
    /// One failed probe makes a broker unhealthy.
    OneFailureIsEnough,
    /// Quorum needs one broker more than a majority.
    QuorumTooHigh,
    /// A passive signal counts as a failed probe.
    SignalsDecide,
    /// Generations start anew with the process.
    GenerationForgotten,
    /// Epoch bases start anew with the process.
    EpochBaseForgotten,
    /// Epoch bases are the same after each switch.
    EpochBaseConstant,
    /// Terms start anew with the process.
    TermForgotten,
    /// The term is the same after each switch.
    TermConstant,
    /// What a switch is about to do is not stored before it is done.
    IntentNotStored,
    /// A cluster that has not been seen is taken for one with quorum.
    UnknownIsQuorum,
    /// The loss of the first cluster is never told.
    LossUnheard,
    /// No timer ever fires.
    NoTimer,
    /// Consumers follow before everybody has left the cluster that they stayed on.
    ConsumersFenceNotAwaited,
    /// Consumers who follow are shown the epochs that they have seen already.
    ConsumersEpochBaseConstant,
    /// A restart does not know that consumers had not followed yet.
    TrailForgotten,
    /// Consumers stay longer than they may.
    DrainTooLong,
    /// The loss of a cluster that is drained is never told.
    DrainedLossUnheard,
}

impl Mutation {
    /// All broken rules.
    pub const BROKEN: [Mutation; 20] = [
        Self::FenceNotAwaited,
        Self::StaleFenceAccepted,
        Self::NoHold,
        Self::OneFailureIsEnough,
        Self::QuorumTooHigh,
        Self::SignalsDecide,
        Self::GenerationForgotten,
        Self::EpochBaseForgotten,
        Self::EpochBaseConstant,
        Self::TermForgotten,
        Self::TermConstant,
        Self::IntentNotStored,
        Self::UnknownIsQuorum,
        Self::LossUnheard,
        Self::NoTimer,
        Self::ConsumersFenceNotAwaited,
        Self::ConsumersEpochBaseConstant,
        Self::TrailForgotten,
        Self::DrainTooLong,
        Self::DrainedLossUnheard,
    ];
}
