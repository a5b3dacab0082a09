//! Parts of the configuration as one would write them in the file: for summaries, plans and status.

use super::{Bootstrap, HealthConfig, ProbeKind, Quorum, VirtualClusterConfig, read::duration_text};
use std::fmt;

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(servers) => {
                let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", servers.join(", "))
            }
            Self::Srv { name, refresh, resolver } => {
                write!(f, "srv {name}")?;
                if let Some(resolver) = resolver {
                    write!(f, " by {resolver}")?;
                }
                write!(f, " every {}", duration_text(*refresh))
            }
            Self::File { path, refresh } => {
                write!(f, "file {} every {}", path.display(), duration_text(*refresh))
            }
        }
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kafka => f.write_str("kafka"),
            Self::Tcp => f.write_str("tcp"),
            Self::Http { port, path } => write!(f, "http :{port}{path}"),
        }
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Majority => f.write_str("majority"),
            Self::AtLeast(brokers) => write!(f, "{brokers}"),
        }
    }
}

impl VirtualClusterConfig {
    /// Where clients connect: `0.0.0.0:9092` or `[::]:9092-9096`.
    pub fn listen(&self) -> String {
        let (first, last) = self.ports;
        let host = if self.bind.is_ipv6() { format!("[{}]", self.bind) } else { self.bind.to_string() };
        if first == last { format!("{host}:{first}") } else { format!("{host}:{first}-{last}") }
    }
}

impl HealthConfig {
    /// Every key with its value, in the order of the documentation.
    pub(crate) fn words(&self) -> Vec<(&'static str, String)> {
        vec![
            ("probe", self.probe.to_string()),
            ("interval", duration_text(self.interval)),
            ("edge_interval", duration_text(self.edge_interval)),
            ("timeout", duration_text(self.timeout)),
            ("unhealthy_after", self.unhealthy_after.to_string()),
            ("healthy_after", self.healthy_after.to_string()),
            ("quorum", self.quorum.to_string()),
            ("forget_after", self.forget_after.map_or("none".into(), duration_text)),
        ]
    }
}
