//! The releases of Apache Kafka that clusters are made of.

use std::str::FromStr;

/// A line of releases, in the version that is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// The last with ZooKeeper that many still run.
    V28,
    /// The last before 4.0; run with KRaft.
    V39,
    /// The newest one.
    Current,
}

impl Release {
    /// All of them, the oldest first.
    pub const ALL: [Self; 3] = [Self::V28, Self::V39, Self::Current];

    /// The version.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V28 => "2.8.2",
            Self::V39 => "3.9.1",
            Self::Current => "4.3.1",
        }
    }

    /// The line, as options and tables name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V28 => "2.8",
            Self::V39 => "3.9",
            Self::Current => "4.3",
        }
    }

    /// Whether its brokers need ZooKeeper here.
    pub(super) const fn zookeeper(self) -> bool {
        matches!(self, Self::V28)
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
        let found = Self::ALL.into_iter().find(|release| release.name() == text);
        found.ok_or_else(|| format!("unknown release {text:?}; there are: {}", names.join(", ")))
    }
}
