//! What of brokers is noticed, when, and what follows for the cluster.

use super::*;
use crate::config::ProbeKind;

const MS: Duration = Duration::from_millis(1);

fn rules() -> HealthConfig {
    HealthConfig {
        probe: ProbeKind::Kafka,
        interval: 500 * MS,
        edge_interval: 50 * MS,
        jitter: Duration::ZERO,
        timeout: 1000 * MS,
        unhealthy_after: 3,
        healthy_after: 2,
        quorum: Quorum::Majority,
        forget_after: None,
    }
}

fn address(n: u16) -> Address {
    Address { host: "kafka".into(), port: n }
}

fn cluster(rules: HealthConfig, brokers: u16) -> ClusterHealth {
    let mut health = ClusterHealth::new(rules, Now::ZERO);
    health.set_bootstrap(&(1..=brokers).map(address).collect::<Vec<_>>(), Now::ZERO);
    health
}

fn failure(refused: bool) -> Outcome {
    Outcome::Failure { reason: "no answer".into(), refused }
}

/// Starts every due probe at `now` and reports what `outcome` says, at once.
fn round(health: &mut ClusterHealth, now: Now, outcome: impl Fn(u16) -> Option<Outcome>) {
    health.probe_all();
    for probe in health.due(now) {
        if let Some(outcome) = outcome(probe.broker.port) {
            health.result(&probe, outcome, now);
        }
    }
}

fn all_well(_: u16) -> Option<Outcome> {
    Some(Outcome::Success { took: MS })
}

fn healthy(brokers: u16) -> ClusterHealth {
    let mut health = cluster(rules(), brokers);
    round(&mut health, Now::ZERO, all_well);
    round(&mut health, 50 * MS, all_well);
    assert!(health.verdict().quorum(), "{health:?}");
    health
}

#[test]
fn nothing_is_claimed_before_it_is_seen_and_nothing_is_lost_before_it_is_proven() {
    let mut health = ClusterHealth::new(rules(), Now::ZERO);
    assert_eq!(health.verdict().standing, Standing::Unknown, "no bootstrap servers known yet");
    health.set_bootstrap(&[address(1), address(2), address(3)], Now::ZERO);
    assert_eq!(health.verdict().standing, Standing::Unknown);
    round(&mut health, Now::ZERO, all_well);
    assert_eq!(health.verdict().standing, Standing::Unknown, "healthy_after is two");
    round(&mut health, 50 * MS, |n| (n == 1).then_some(Outcome::Success { took: MS }));
    assert_eq!((health.verdict().standing, health.verdict().healthy), (Standing::Unknown, 1));
}

#[test]
fn an_empty_source_is_a_lost_cluster() {
    let mut health = ClusterHealth::new(rules(), Now::ZERO);
    health.set_bootstrap(&[], Now::ZERO);
    assert_eq!(health.verdict().standing, Standing::Lost);
}

#[test]
fn refused_connections_of_a_majority_lose_quorum_at_once_and_of_a_minority_never() {
    let mut health = healthy(5);
    for at in 2..60 {
        round(&mut health, at * 50 * MS, |n| if n <= 2 { Some(failure(true)) } else { all_well(n) });
        assert!(health.verdict().quorum());
    }
    round(&mut health, 3000 * MS, |n| if n <= 3 { Some(failure(true)) } else { all_well(n) });
    let verdict = health.verdict();
    assert_eq!(
        (verdict.standing, verdict.since, verdict.trouble),
        (Standing::Lost, 3000 * MS, Some(3000 * MS))
    );
    assert_eq!((verdict.healthy, verdict.needed, verdict.total), (2, 3, 5));
}

#[test]
fn failures_must_be_consecutive() {
    let mut health = healthy(1);
    for at in 2..40 {
        let fails = at % 3 != 0;
        round(&mut health, at * 50 * MS, |n| if fails { Some(failure(false)) } else { all_well(n) });
        assert!(health.verdict().quorum(), "never three in a row");
    }
    for at in 40..43 {
        round(&mut health, at * 50 * MS, |_| Some(failure(false)));
    }
    assert!(!health.verdict().quorum());
}

#[test]
fn a_hiccup_that_many_signals_look_at_is_one_failure() {
    let mut health = healthy(1);
    for at in 0..4 {
        round(&mut health, (100 + at * 10) * MS, |_| Some(failure(false)));
    }
    assert!(health.verdict().quorum());
    for at in 0..2 {
        round(&mut health, (150 + at * 50) * MS, |_| Some(failure(false)));
    }
    assert!(!health.verdict().quorum());
}

#[test]
fn the_failure_of_an_older_probe_does_not_count_against_a_newer_success() {
    let mut health = healthy(1);
    let old: Vec<Probe> = (1..=3).flat_map(|i| due_now(&mut health, (50 + 50 * i) * MS)).collect();
    let new = due_now(&mut health, 300 * MS);
    health.result(&new[0], Outcome::Success { took: MS }, 301 * MS);
    for probe in &old {
        health.result(probe, failure(true), 1300 * MS);
    }
    assert_eq!((old.len(), health.verdict().standing), (3, Standing::Quorum));
}

fn due_now(health: &mut ClusterHealth, now: Now) -> Vec<Probe> {
    health.probe_all();
    health.due(now)
}

#[test]
fn probes_follow_at_edge_interval_after_a_contradiction_and_at_interval_otherwise() {
    let mut health = healthy(1);
    assert_eq!(health.next_due(), Some(550 * MS));
    let probe = health.due(550 * MS).remove(0);
    health.result(&probe, failure(false), 560 * MS);
    assert_eq!(health.next_due(), Some(600 * MS));
    let probe = health.due(600 * MS).remove(0);
    health.result(&probe, Outcome::Success { took: MS }, 601 * MS);
    assert_eq!(health.next_due(), Some(1100 * MS));
}

/// A paused broker: no probe is ever answered, each fails one second after its start.
#[test]
fn overlapping_probes_do_not_add_their_timeouts_up() {
    let mut health = healthy(1);
    let (mut now, mut open) = (51 * MS, Vec::new());
    while health.verdict().quorum() {
        open.extend(health.due(now).into_iter().map(|p| (now + 1000 * MS, p)));
        assert!(open.len() <= 4, "bounded: {open:?}");
        let ended: Vec<_> = open.iter().filter(|(end, _)| *end <= now).cloned().collect();
        open.retain(|(end, _)| *end > now);
        for (_, probe) in ended {
            health.result(&probe, failure(false), now);
        }
        now += MS;
    }
    assert!(now < 2000 * MS, "paused after 51 ms, proven at {now:?}");
}

#[test]
fn discarded_measurements_count_for_nothing() {
    let mut health = healthy(1);
    for at in 2..20 {
        round(&mut health, at * 50 * MS, |_| Some(Outcome::Discarded));
    }
    assert!(health.verdict().quorum());
}

#[test]
fn rounds_that_signals_ask_for_are_limited_but_not_lost() {
    let mut health = healthy(3);
    health.probe_all();
    assert_eq!(health.due(100 * MS).len(), 3);
    health.probe_all();
    assert_eq!((health.due(105 * MS).len(), health.next_due()), (0, Some(110 * MS)));
    assert_eq!(health.due(110 * MS).len(), 3);
}

#[test]
fn with_forget_after_discovered_brokers_count_once() {
    let mut health = cluster(HealthConfig { forget_after: Some(60_000 * MS), ..rules() }, 2);
    round(&mut health, Now::ZERO, all_well);
    round(&mut health, 50 * MS, all_well);
    // Broker 1 is known by its bootstrap address; bootstrap server 2 is another name of broker 12.
    let listed = [(1, address(1)), (2, address(12)), (3, address(13))];
    health.discovered(&listed, 60 * MS);
    round(&mut health, 100 * MS, all_well);
    round(&mut health, 150 * MS, all_well);
    assert_eq!((health.verdict().healthy, health.verdict().total), (3, 3), "{health:?}");
    // Broker 3 leaves for good.
    health.discovered(&listed[..2], 10_000 * MS);
    assert_eq!(health.verdict().total, 3);
    health.discovered(&listed[..2], 61_000 * MS);
    assert_eq!((health.verdict().healthy, health.verdict().total), (2, 2));
}

#[test]
fn a_broker_with_another_address_is_still_one_broker() {
    let mut health = cluster(HealthConfig { forget_after: Some(60_000 * MS), ..rules() }, 1);
    health.discovered(&[(1, address(1)), (2, address(2))], Now::ZERO);
    health.discovered(&[(1, address(1)), (2, address(22))], MS);
    let addresses: Vec<u16> = health.brokers().map(|b| b.address.port).collect();
    assert_eq!((addresses, health.verdict().total), (vec![1, 22], 2));
}

#[test]
fn recovery_mode_counts_as_a_failure_and_has_a_name() {
    let mut health = healthy(3);

    for at in [600, 700, 800] {
        round(&mut health, at * MS, |_| Some(Outcome::Recovery { reason: "HTTP status 503".into() }));
    }

    assert_eq!(health.verdict().standing, Standing::Lost);
    assert_eq!(health.in_recovery(), 3);
    assert!(health.brokers().all(|b| b.word() == "recovery"), "{health:?}");
    round(&mut health, 900 * MS, |_| Some(failure(true)));
    assert!(
        health.brokers().all(|b| b.word() == "unhealthy"),
        "a closed port is no recovery mode: {health:?}"
    );
}

#[test]
fn jitter_delays_steady_probes_by_at_most_so_much_and_not_all_by_the_same() {
    let rules = HealthConfig { jitter: 100 * MS, ..rules() };
    let (mut health, mut now) = (cluster(rules, 1), Now::ZERO);
    round(&mut health, now, all_well);
    now += 50 * MS;
    round(&mut health, now, all_well);

    let mut delays = Vec::new();
    for n in 0..50_u32 {
        let due = health.next_due().expect("a probe");
        delays.push(due - now - 500 * MS);
        now = due + Duration::from_nanos(u64::from(n) * 977);
        round(&mut health, now, all_well);
    }

    assert!(delays.iter().all(|d| *d <= 100 * MS), "{delays:?}");
    assert!(delays.iter().any(|d| *d < 30 * MS) && delays.iter().any(|d| *d > 70 * MS), "{delays:?}");
}
