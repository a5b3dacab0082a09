//! What is allowed in a configuration, and yet seldom right. `check` says so, and the log at a start and at a reload.

use super::{Config, VirtualClusterConfig};

impl Config {
    /// One line each: what, what comes of it, and what to write instead.
    pub fn warnings(&self) -> Vec<String> {
        self.virtual_clusters.iter().filter_map(one_address).collect()
    }
}

/// Some clients take all nodes at one address for one node.
fn one_address(v: &VirtualClusterConfig) -> Option<String> {
    let addresses = v.slot_addresses();
    let (address, others) = addresses.split_first()?;
    others.contains(address).then(|| {
        format!(
            "virtual_clusters.{}: its {} slots share the address {address}: kafkajs then loses records that it calls \
             delivered, and librdkafka 2.0.2 finds no leader; if there may be such clients, write slots: 1, or a range \
             of ports in `listen`, or e.g. advertise: \"b{{slot}}.kafka.example.com\", with names that all lead here",
            v.name, v.slots
        )
    })
}
