//! Hundreds of histories, the rules broken on purpose, and the scenes of the documentation.

use super::*;
use pointsman_core::{
    Now,
    config::{FailoverConfig, HealthConfig, ProbeKind, Quorum},
    failover::Reason,
};
use std::time::Duration;

/// Seeds that each run plays, at least.
const SEEDS: u64 = 256;
/// Seeds within which every broken rule must be noticed.
const SEEDS_TO_CATCH: u64 = 256;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_history_is_safe_and_live() {
    if let Some(seed) = from_env("SIM_SEED") {
        let (result, trace) = run(seed, Mutation::None, true);
        println!("{}", trace.join("\n"));
        panic!("replayed seed {seed}: {result:?}");
    }
    let mut all = Summary::default();
    for seed in 0..from_env("SIM_SEEDS").unwrap_or(SEEDS).max(SEEDS) {
        match run(seed, Mutation::None, false).0 {
            Ok(one) => {
                all.switches += one.switches;
                all.probes += one.probes;
                all.drains += one.drains;
            }
            Err(violation) => panic!("SIM_SEED={seed} replays this: {violation:#?}"),
        }
    }
    println!("{SEEDS} histories or more: {all:?}");
    assert!(all.drains > 100, "consumers hardly ever stay: {all:?}");
    assert!(all.switches > 1_000, "the histories are not eventful enough: {all:?}");
}

#[test]
fn every_broken_rule_is_noticed() {
    for mutation in Mutation::BROKEN {
        let caught = (0..SEEDS_TO_CATCH).find_map(|seed| Some((seed, run(seed, mutation, false).0.err()?)));
        let Some((seed, violation)) = caught else { panic!("{mutation:?} was not noticed") };
        println!("{mutation:?}: seed {seed}: {}", violation.rule);
    }
}

fn five_and_three() -> World {
    let health = HealthConfig {
        probe: ProbeKind::Kafka,
        interval: Duration::from_millis(500),
        edge_interval: Duration::from_millis(50),
        jitter: Duration::ZERO,
        timeout: Duration::from_secs(1),
        unhealthy_after: 3,
        healthy_after: 2,
        quorum: Quorum::Majority,
        forget_after: None,
    };
    let failover = FailoverConfig { hold: Duration::from_secs(30), ..FailoverConfig::default() };
    let scenario = Scenario { brokers: vec![5, 3], health, failover, mutation: Mutation::None };
    let mut world = World::new(scenario, 1);
    world.at(Now::ZERO, Event::Start);
    world.run_until(seconds(5)).unwrap();
    assert_eq!((world.active(), world.switches.len()), (Some(0), 1));
    world
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn two_of_five_dead_is_no_reason_to_switch_and_the_third_is_at_once() {
    let mut world = five_and_three();
    world.at(seconds(10), Event::Broker(0, 0, Truth::Down));
    world.at(seconds(10), Event::Broker(0, 1, Truth::Paused));
    world.run_until(seconds(120)).unwrap();
    assert_eq!((world.active(), world.switches.len()), (Some(0), 1));

    world.at(seconds(120), Event::Broker(0, 2, Truth::Down));
    world.run_until(seconds(121)).unwrap();
    assert_eq!((world.active(), world.switches.len()), (Some(1), 2));
    let (at, switch) = &world.switches[1];
    assert!(*at < seconds(120) + Duration::from_millis(300), "decided at {at:?}");
    assert_eq!(switch.reason, Reason::QuorumLost);

    for broker in 0..3 {
        world.at(seconds(130), Event::Broker(0, broker, Truth::Up));
    }
    world.run_until(seconds(159)).unwrap();
    assert_eq!(world.active(), Some(1), "hold is 30 s");
    world.run_until(seconds(165)).unwrap();
    assert_eq!(world.active(), Some(0));
}

#[test]
fn a_rolling_restart_is_no_reason_to_switch() {
    let mut world = five_and_three();
    for broker in 0..5 {
        let at = seconds(10 + 15 * u64::try_from(broker).unwrap());
        world.at(at, Event::Broker(0, broker, Truth::Down));
        world.at(at + seconds(12), Event::Broker(0, broker, Truth::Up));
    }
    world.run_until(seconds(120)).unwrap();
    assert_eq!((world.active(), world.switches.len()), (Some(0), 1));
}

#[test]
fn a_slow_or_lossy_broker_is_no_reason_to_switch() {
    let mut world = five_and_three();
    world.at(seconds(6), Event::Loss(0, 3, 90));
    world.at(seconds(6), Event::Signal(0));
    world.run_until(seconds(120)).unwrap();
    assert_eq!((world.active(), world.switches.len()), (Some(0), 1));
}
