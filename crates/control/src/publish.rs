//! How snapshots are made from what the reconcile task holds.

use crate::reconcile::{Chain, Watched};
use pointsman_core::{
    failover,
    offer::Offer,
    producer_ids::ProducerIds,
    snapshot::{Active, Cluster, Consumers, Snapshot, VirtualCluster},
};
use std::sync::Arc;
use uuid::Uuid;

/// The snapshot of this generation.
pub(crate) fn snapshot(generation: u64, clusters: &[Watched], chains: &[Chain], ours: &Offer) -> Snapshot {
    let virtual_cluster = |chain: &Chain| Arc::new(virtual_cluster(generation, chain, clusters, ours));
    Snapshot {
        generation,
        clusters: clusters.iter().map(|c| c.shared.clone()).collect(),
        virtual_clusters: chains.iter().map(virtual_cluster).collect(),
    }
}

fn virtual_cluster(generation: u64, chain: &Chain, clusters: &[Watched], ours: &Offer) -> VirtualCluster {
    let config = &chain.config;
    let members = || config.chain.iter().filter_map(|n| clusters.iter().find(|c| c.config.name == *n));
    let shared: Vec<Arc<Cluster>> = members().map(|c| c.shared.clone()).collect();
    let active = chain.machine.active().and_then(|name| shared.iter().find(|c| c.name == *name));
    VirtualCluster {
        name: config.name.clone(),
        cluster_id: chain.cluster_id.clone(),
        slots: config.slot_addresses(),
        shared_port: config.ports.0 == config.ports.1,
        active: active.map(|cluster| Active {
            cluster: cluster.clone(),
            since: chain.machine.since(),
            epoch_base: chain.machine.epoch_base(),
            producer_ids: producer_ids(chain),
            switch_point: chain.handover.point.clone(),
        }),
        chain: shared,
        switching: chain.machine.switching(),
        consumers: consumers(chain),
        offer: Arc::new(offer(generation, members(), ours)),
        topic_ids: chain.topic_ids.clone(),
        replication: config.replication,
        positions: config.positions,
        groups: chain.handover.groups.clone(),
        commits: chain.handover.commits.clone(),
        passthrough: chain.passthrough.as_ref().map(|side| side.view(chain, clusters)),
    }
}

/// Clusters that hold the same logs know the same producers.
fn producer_ids(chain: &Chain) -> ProducerIds {
    let ids = ProducerIds::new(&chain.config.name, chain.machine.term());
    if chain.config.replication.keeps_offsets() { ids.kept() } else { ids }
}

fn consumers(chain: &Chain) -> Consumers {
    match chain.machine.consumers() {
        failover::Consumers::Together => Consumers::Together,
        failover::Consumers::Wait => Consumers::Wait,
        failover::Consumers::Stay { on, leaving } => {
            let staying = chain.handover.staying(&chain.config.name, on, leaving);
            staying.map_or(Consumers::Together, Consumers::Stay)
        }
    }
}

/// What all clusters that ever spoke can do, in the versions that Pointsman speaks; nothing before one spoke. Features are the
/// clusters' own. Snapshots that change them follow each other with growing generations.
fn offer<'a>(generation: u64, members: impl Iterator<Item = &'a Watched>, ours: &Offer) -> Offer {
    let theirs = members.filter_map(Watched::offer).reduce(|a, b| a.intersect(&b));
    let spoken =
        |theirs: Offer| Offer { apis: ours.intersect(&theirs).apis, finalized_epoch: generation, ..theirs };
    theirs.map(spoken).unwrap_or_default()
}

/// A cluster id in Kafka's form: a UUID in base64 for URLs, 22 characters. It follows from the name alone, so it is the
/// same on every instance and after every restart.
pub(crate) fn cluster_id(virtual_cluster: &str) -> Arc<str> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let name = format!("pointsman:cluster-id:{virtual_cluster}");
    let bits = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).as_u128();
    let digit = |at: u32| {
        // 22 digits of 6 bits hold 132 bits: the last digit carries the lowest two, and four zeros.
        let value = if at < 21 { bits >> (122 - 6 * at) } else { bits << 4 };
        char::from(DIGITS[usize::try_from(value & 63).unwrap_or(0)])
    };
    (0..22).map(digit).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::cluster_id;

    #[test]
    fn a_cluster_id_has_kafkas_form_and_depends_on_the_name_only() {
        let id = cluster_id("main");
        assert_eq!((id.len(), id.clone()), (22, cluster_id("main")));
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{id}");
        assert_ne!(id, cluster_id("other"));
    }
}
