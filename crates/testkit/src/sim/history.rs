//! Random histories: a constellation, faults in bursts, operators and restarts, then calm; and what must hold then.

use crate::rng::Rng;

use super::{
    checker::Violation,
    mutation::Mutation,
    process::name,
    world::{Event, Scenario, Truth, World},
};
use pointsman_core::{
    Now,
    config::{Failback, FailoverConfig, HealthConfig, ProbeKind, Quorum},
    failover::Command,
};
use std::time::Duration;

/// What a history was made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Changes of the active cluster.
    pub switches: usize,
    /// Probes.
    pub probes: usize,
    /// Times that consumers stayed where produces had left.
    pub drains: usize,
}

/// How long things go wrong.
const FAULTY: Duration = Duration::from_secs(60);
/// A broker that fails in a burst is back after at most this time.
const RECOVERY: usize = 20_000;

/// Runs the history of one seed.
pub fn run(seed: u64, mutation: Mutation, trace: bool) -> (Result<Summary, Violation>, Vec<String>) {
    let mut rng = Rng::new(seed);
    let scenario = scenario(&mut rng, mutation);
    let mut world = World::new(scenario, seed ^ 0xA5A5);
    world.trace = trace.then(Vec::new);
    let result = play(&mut world, &mut rng);
    (result, world.trace.take().unwrap_or_default())
}

fn scenario(rng: &mut Rng, mutation: Mutation) -> Scenario {
    let clusters = 2 + usize::from(rng.chance(25));
    let number = |n: usize| u32::try_from(n).unwrap_or(1);
    Scenario {
        brokers: (0..clusters).map(|_| 1 + rng.below(5)).collect(),
        health: HealthConfig {
            probe: ProbeKind::Kafka,
            interval: rng.ms(400, 2000),
            edge_interval: rng.ms(20, 100),
            jitter: Duration::ZERO,
            timeout: rng.ms(300, 1200),
            unhealthy_after: number(2 + rng.below(3)),
            healthy_after: number(1 + rng.below(3)),
            quorum: Quorum::Majority,
            forget_after: None,
        },
        failover: FailoverConfig {
            automatic: rng.chance(85),
            failback: if rng.chance(75) { Failback::Automatic } else { Failback::Manual },
            hold: rng.ms(1_000, 8_000),
            consumer_drain: if rng.chance(70) { rng.ms(100, 3_000) } else { Duration::ZERO },
            ..FailoverConfig::default()
        },
        mutation,
    }
}

fn play(world: &mut World, rng: &mut Rng) -> Result<Summary, Violation> {
    let clusters = world.scenario.brokers.clone();
    for (cluster, brokers) in clusters.iter().enumerate().filter(|_| rng.chance(30)) {
        (0..*brokers).for_each(|b| world.at(Now::ZERO, Event::Broker(cluster, b, Truth::Down)));
    }
    world.at(Now::ZERO, Event::Start);
    let mut at = rng.ms(0, 2_000);
    while at < FAULTY {
        trouble(world, rng, &clusters, at);
        at += rng.ms(1, 3_000);
    }
    world.run_until(FAULTY)?;
    calm(world, rng, &clusters)?;
    Ok(Summary { switches: world.switches.len(), probes: world.probes, drains: world.drains })
}

fn trouble(world: &mut World, rng: &mut Rng, clusters: &[usize], at: Now) {
    let cluster = rng.below(clusters.len());
    match rng.below(20) {
        0..=7 => burst(world, rng, cluster, clusters[cluster], at),
        8..=10 => {
            let (broker, percent) = (rng.below(clusters[cluster]), rng.below(70));
            world.at(at, Event::Loss(cluster, broker, percent));
            world.at(at + rng.ms(100, 10_000), Event::Loss(cluster, broker, 0));
        }
        11..=13 => world.at(at, Event::Signal(cluster)),
        14..=15 => world.at(at, Event::Elections(cluster, i32::try_from(rng.below(400)).unwrap_or(0))),
        16..=17 => world.at(at, Event::Command(command(rng, clusters.len()))),
        _ => {
            world.at(at, Event::Crash);
            world.at(at + rng.ms(0, 3_000), Event::Start);
        }
    }
}

/// Several brokers of a cluster fail at once, often a majority, and come back one after the other; sometimes the
/// process dies in the middle of the switch.
fn burst(world: &mut World, rng: &mut Rng, cluster: usize, brokers: usize, at: Now) {
    let truth = if rng.chance(70) { Truth::Down } else { Truth::Paused };
    for broker in 0..brokers {
        if rng.chance(65) {
            world.at(at + rng.ms(0, 20), Event::Broker(cluster, broker, truth));
            world.at(at + rng.ms(50, RECOVERY), Event::Broker(cluster, broker, Truth::Up));
        }
    }
    if rng.chance(20) {
        let dies = at + rng.ms(0, 60);
        world.at(dies, Event::Crash);
        world.at(dies + rng.ms(0, 500), Event::Start);
    }
}

fn command(rng: &mut Rng, clusters: usize) -> Command {
    match rng.below(10) {
        0..=2 => Command::Failback,
        3..=4 => Command::Automatic,
        kind => Command::Switch { to: name(rng.below(clusters)), seen: None, force: kind == 9 },
    }
}

/// Nothing changes any more; then the chain must be where its policy wants it.
fn calm(world: &mut World, rng: &mut Rng, clusters: &[usize]) -> Result<(), Violation> {
    world.at(FAULTY, Event::Start);
    for (cluster, brokers) in clusters.iter().enumerate() {
        for broker in 0..*brokers {
            let truth = match rng.below(10) {
                0..=6 => Truth::Up,
                7..=8 => Truth::Down,
                _ => Truth::Paused,
            };
            world.at(FAULTY + rng.ms(0, 500), Event::Broker(cluster, broker, truth));
            world.at(FAULTY, Event::Loss(cluster, broker, 0));
        }
    }
    let quiet = FAULTY + Duration::from_millis(500 + u64::try_from(RECOVERY).unwrap_or(0));
    let holds = u32::try_from(clusters.len()).unwrap_or(3) + 1;
    last_faults(world, rng, clusters, quiet);
    world.run_until(quiet + world.scenario.failover.hold * holds + Duration::from_secs(15))?;
    check(world, clusters.len())
}

/// Earlier bursts may still recover while it gets calm: what is dead for good is decided once they have.
fn last_faults(world: &mut World, rng: &mut Rng, clusters: &[usize], quiet: Now) {
    for (cluster, brokers) in clusters.iter().enumerate() {
        for broker in (0..*brokers).filter(|_| rng.chance(25)) {
            world.at(quiet, Event::Broker(cluster, broker, Truth::Down));
        }
    }
}

fn check(world: &World, clusters: usize) -> Result<(), Violation> {
    if world.trailing() {
        let detail = "they stayed where produces had left".into();
        return Err(Violation { rule: "in the calm, consumers have followed", detail });
    }
    let rules = &world.scenario.failover;
    let first = (0..clusters).find(|c| world.truly_has_quorum(*c));
    let active = world.active();
    let right = match (active, first) {
        (None, None) => true,
        (None, Some(first)) => !rules.automatic && first != 0,
        (Some(_), _) if !rules.automatic || world.forced() => true,
        (Some(active), _) if rules.failback == Failback::Manual || world.pinned() => {
            world.truly_has_quorum(active)
        }
        (Some(active), first) => Some(active) == first,
    };
    if right {
        return Ok(());
    }
    let detail = format!("active {active:?}, first with quorum {first:?}, {rules:?}");
    Err(Violation { rule: "in the calm, the first cluster with quorum is active", detail })
}
