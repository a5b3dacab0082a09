//! What an operator may want, and why it may be refused.

use std::sync::Arc;

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make this cluster active, and stay there until it loses quorum: no automatic failback before
    /// [`Command::Automatic`].
    Switch {
        /// The cluster.
        to: Arc<str>,
        /// The generation the operator looked at; another switch since then voids the command.
        seen: Option<u64>,
        /// Also without quorum. It is then left when it loses a quorum that it has had since.
        force: bool,
    },
    /// Go back to the most preferred cluster that has quorum, without waiting for `hold`.
    Failback,
    /// Give the decision back to the policy: a preferred cluster that has had quorum for `hold` takes over again, at once
    /// if it already has.
    Automatic,
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Switch { to, force: false, .. } => write!(f, "switch to {to}"),
            Self::Switch { to, force: true, .. } => write!(f, "switch to {to}, by force"),
            Self::Failback => f.write_str("fail back"),
            Self::Automatic => f.write_str("automatic again"),
        }
    }
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The chain has no such cluster.
    NotInChain(Arc<str>),
    /// It is the active one.
    AlreadyActive(Arc<str>),
    /// It has no quorum.
    NoQuorum(Arc<str>),
    /// There was another switch since the generation that the operator looked at.
    Outdated {
        /// What the operator saw.
        seen: u64,
        /// Generation of the newest switch.
        since: u64,
    },
    /// No cluster that is preferred to the active one has quorum.
    NothingPreferred,
    /// A switch is under way.
    Switching,
    /// No command holds the active cluster.
    NotPinned,
    /// With `scope: broker` there is no cluster to switch to.
    EachSlotAlone,
}

impl Refusal {
    /// As programs read it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotInChain(_) => "not_in_chain",
            Self::AlreadyActive(_) => "already_active",
            Self::NoQuorum(_) => "no_quorum",
            Self::Outdated { .. } => "outdated",
            Self::NothingPreferred => "nothing_preferred",
            Self::Switching => "switching",
            Self::NotPinned => "not_pinned",
            Self::EachSlotAlone => "each_slot_alone",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotInChain(_) => "name a cluster of its chain; the status lists them",
            Self::AlreadyActive(_) => "nothing to do",
            Self::NoQuorum(_) => "see its brokers in the status; `force` switches to it all the same",
            Self::Outdated { .. } => "look at the status again, and decide anew",
            Self::NothingPreferred => "see the brokers of the preferred clusters in the status",
            Self::Switching => "ask again in a moment",
            Self::NotPinned => "nothing to do: the policy decides already",
            Self::EachSlotAlone => "use `scope: cluster` to switch by command",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotInChain(c) => write!(f, "the chain has no cluster {c}"),
            Self::AlreadyActive(c) => write!(f, "{c} is active already"),
            Self::NoQuorum(c) => write!(f, "{c} has no quorum"),
            Self::Outdated { seen, since } => {
                write!(f, "decided for generation {seen}, but generation {since} switched")
            }
            Self::NothingPreferred => f.write_str("no cluster preferred to the active one has quorum"),
            Self::Switching => f.write_str("a switch is under way"),
            Self::NotPinned => f.write_str("no command holds the active cluster"),
            Self::EachSlotAlone => f.write_str("with `scope: broker` each slot follows its own brokers"),
        }
    }
}
