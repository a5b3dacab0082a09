//! What decides in passthrough mode: where each slot leads, and which brokers have lost theirs for a while.
//!
//! Slot *n* stands for the broker at place *n* of the active cluster's servers, and wraps around (with three brokers slot 3
//! stands for the first one again). A broker that real traffic cannot connect to is an **outlier**: its slots lead to the next
//! one of the ring until its time is over or a probe finds it well again. That is never a reason for a switch.

use crate::{
    Now,
    config::{Address, OutlierRules, Passthrough},
    snapshot::Cluster,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What connections of one virtual cluster go by; part of a snapshot.
#[derive(Debug, Clone)]
pub struct View {
    /// The rules.
    pub rules: Arc<Passthrough>,
    /// Where each slot leads.
    pub slots: Arc<[Slot]>,
    /// Brokers that have lost their slots. Shared between snapshots.
    pub outliers: Arc<Outliers>,
}

/// Where a slot leads.
#[derive(Debug, Clone)]
pub enum Slot {
    /// To this cluster.
    To {
        /// The cluster.
        cluster: Arc<Cluster>,
        /// Generation that led it there; connections of an older one are void.
        since: u64,
        /// The last switch left a cluster that had quorum: what is left on it may be drained.
        planned: bool,
    },
    /// Nowhere for a moment, because a switch is under way.
    Wait {
        /// As in [`Slot::To`].
        planned: bool,
    },
    /// Nowhere: no cluster is available.
    Nowhere,
}

/// Brokers that real traffic cannot connect to.
#[derive(Debug, Default)]
pub struct Outliers(Mutex<HashMap<Address, Record>>);

#[derive(Debug, Clone, Copy, Default)]
struct Record {
    /// Failed connections in a row.
    failures: u32,
    /// Without its slots until then.
    ejected_until: Option<Now>,
}

impl Record {
    fn ejected(&self, now: Now) -> bool {
        self.ejected_until.is_some_and(|until| now < until)
    }
}

impl Outliers {
    /// The broker that a slot stands for now.
    pub fn pick<'a>(&self, servers: &'a [Address], slot: usize, now: Now) -> Option<&'a Address> {
        let first = slot.checked_rem(servers.len())?;
        let records = self.records();
        let ejected = |broker: &Address| records.get(broker).is_some_and(|r| r.ejected(now));
        let ring = servers[first..].iter().chain(&servers[..first]);
        ring.clone().find(|broker| !ejected(broker)).or_else(|| ring.clone().next())
    }

    /// A connection to a broker failed; returns whether it loses its slots by that.
    pub fn failed(&self, servers: &[Address], broker: &Address, rules: &OutlierRules, now: Now) -> bool {
        let mut records = self.records();
        // What left the list of servers takes its record with it, so that there are never more than servers.
        records.retain(|known, r| servers.contains(known) || r.ejected(now));
        let ejected = servers.iter().filter(|b| records.get(b).is_some_and(|r| r.ejected(now))).count();
        let record = records.entry(broker.clone()).or_default();
        if record.ejected(now) {
            return false;
        }
        record.failures = record.failures.saturating_add(1);
        let allowed = servers.len() * usize::try_from(rules.max_ejected).unwrap_or(0) / 100;
        // The only broker has nobody to take over its slots.
        if record.failures < rules.failures || ejected >= allowed || ejected + 1 >= servers.len() {
            return false;
        }
        *record = Record { failures: 0, ejected_until: Some(now + rules.eject_for) };
        true
    }

    /// A connection to a broker was made, or a probe found it well again.
    pub fn well(&self, broker: &Address) {
        self.records().remove(broker);
    }

    /// Whether a broker has lost its slots.
    pub fn is_ejected(&self, broker: &Address, now: Now) -> bool {
        self.records().get(broker).is_some_and(|r| r.ejected(now))
    }

    fn records(&self) -> MutexGuard<'_, HashMap<Address, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const S: Duration = Duration::from_secs(1);

    fn servers(n: u16) -> Vec<Address> {
        (0..n).map(|i| Address { host: "k".into(), port: 9000 + i }).collect()
    }

    fn rules() -> OutlierRules {
        OutlierRules { failures: 3, eject_for: 30 * S, max_ejected: 50 }
    }

    fn ports(outliers: &Outliers, servers: &[Address], slots: usize, now: Now) -> Vec<u16> {
        (0..slots).map(|slot| outliers.pick(servers, slot, now).expect("a broker").port - 9000).collect()
    }

    fn fail(outliers: &Outliers, servers: &[Address], broker: usize, now: Now) -> bool {
        (0..3).any(|_| outliers.failed(servers, &servers[broker], &rules(), now))
    }

    #[test]
    fn slots_wrap_around_3_to_0_and_4_to_1() {
        assert_eq!(ports(&Outliers::default(), &servers(3), 5, S), [0, 1, 2, 0, 1]);
        assert_eq!(ports(&Outliers::default(), &servers(5), 5, S), [0, 1, 2, 3, 4]);
        assert_eq!(Outliers::default().pick(&[], 0, S), None);
    }

    #[test]
    fn an_ejected_broker_s_slot_uses_the_next_of_the_ring_until_its_time_is_over() {
        let (outliers, servers) = (Outliers::default(), servers(5));
        assert!(fail(&outliers, &servers, 2, 10 * S));
        assert!(fail(&outliers, &servers, 3, 10 * S));
        assert_eq!(ports(&outliers, &servers, 5, 20 * S), [0, 1, 4, 4, 4]);
        assert_eq!(ports(&outliers, &servers, 5, 40 * S), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn at_most_half_of_a_cluster_is_ejected() {
        let (outliers, servers) = (Outliers::default(), servers(5));
        let ejected = (0..5).filter(|broker| fail(&outliers, &servers, *broker, S)).count();
        assert_eq!(ejected, 2);
        let (outliers, one) = (Outliers::default(), &servers[..1]);
        let all = OutlierRules { max_ejected: 100, failures: 1, ..rules() };
        assert!(!outliers.failed(one, &one[0], &all, S), "nobody could take over");
        let none = OutlierRules { max_ejected: 0, failures: 1, ..rules() };
        assert!(!outliers.failed(&servers, &servers[0], &none, S));
    }

    #[test]
    fn failures_count_in_a_row_only_and_a_broker_that_is_well_again_has_its_slot_back() {
        let (outliers, servers) = (Outliers::default(), servers(3));
        for _ in 0..2 {
            assert!(!outliers.failed(&servers, &servers[0], &rules(), S));
        }
        outliers.well(&servers[0]);
        assert!(!outliers.failed(&servers, &servers[0], &rules(), S));
        assert!(fail(&outliers, &servers, 0, S));
        assert!(outliers.is_ejected(&servers[0], 2 * S));
        outliers.well(&servers[0]);
        assert_eq!(ports(&outliers, &servers, 3, 2 * S), [0, 1, 2]);
    }
}
