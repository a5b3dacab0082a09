//! Parts of the configuration as one would write them in the file: for summaries, plans and status.

use super::{
    Address, Bootstrap, HealthConfig, OnSwitch, OutlierRules, Passthrough, ProbeKind, Quorum, Scope,
    VirtualClusterConfig, address::name_of_slot, read::duration_text,
};
use std::{fmt, sync::Arc};

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
            Self::Http { port, path, status, tls } => {
                write!(f, "{} :{port}{path}", if tls.is_some() { "https" } else { "http" })?;
                match status {
                    (200, 299) => Ok(()),
                    (first, last) => write!(f, " status {first}-{last}"),
                }
            }
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

    /// What clients connect to, slot by slot. Behind passthrough it is the brokers that tell them so.
    pub fn slot_addresses(&self) -> Arc<[Address]> {
        let (first, last) = self.ports;
        let names = self.mode.passthrough().and_then(|rules| rules.sni.as_ref());
        let pattern = names.map_or(&self.advertise, |names| &names.host);
        let address = |slot: u16| Address {
            host: name_of_slot(pattern, slot.into()).into(),
            port: if first == last { first } else { first.saturating_add(slot) },
        };
        (0..self.slots).map(address).collect()
    }
}

impl fmt::Display for OnSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close => f.write_str("close"),
            Self::Drain(over) => write!(f, "drain {}", duration_text(*over)),
        }
    }
}

impl Passthrough {
    /// What a reload cannot change.
    pub(crate) fn fixed_words(&self) -> String {
        let scope = match self.scope {
            Scope::Cluster => "",
            Scope::Broker => ", scope broker",
        };
        let names = self.sni.as_ref().map_or(String::new(), |n| format!(", {} and {}", n.host, n.bootstrap));
        format!("passthrough{scope}{names}")
    }

    /// Every key that a reload can change, with its value.
    pub(crate) fn words(&self) -> Vec<(&'static str, String)> {
        let OutlierRules { failures, eject_for, max_ejected } = self.outliers;
        vec![
            ("on_switch", self.on_switch.to_string()),
            ("connect_timeout", duration_text(self.connect_timeout)),
            ("idle_timeout", duration_text(self.idle_timeout)),
            ("outliers.failures", failures.to_string()),
            ("outliers.eject_for", duration_text(eject_for)),
            ("outliers.max_ejected", max_ejected.to_string()),
        ]
    }
}

impl HealthConfig {
    /// Every key with its value, in the order of the documentation.
    pub(crate) fn words(&self) -> Vec<(&'static str, String)> {
        vec![
            ("probe", self.probe.to_string()),
            ("interval", duration_text(self.interval)),
            ("edge_interval", duration_text(self.edge_interval)),
            ("jitter", duration_text(self.jitter)),
            ("timeout", duration_text(self.timeout)),
            ("unhealthy_after", self.unhealthy_after.to_string()),
            ("healthy_after", self.healthy_after.to_string()),
            ("quorum", self.quorum.to_string()),
            ("forget_after", self.forget_after.map_or("none".into(), duration_text)),
        ]
    }
}
