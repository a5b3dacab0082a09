//! Hundreds of histories, the rules broken on purpose, and what the real gate still lets pass.

use super::*;

/// Seeds that each run plays, at least.
const SEEDS: u64 = 300;
/// Seeds within which every broken rule must be noticed.
const SEEDS_TO_CATCH: u64 = 1_000;

/// All requests of a client to a partition come on one connection.
const REAL: Setup =
    Setup { broken: Broken::Nothing, gate: Gatekeeper::Real, moving_leaders: false, careless_clients: false };
/// The stricter gate, and leaders that seem to move.
const STRICT: Setup = Setup { gate: Gatekeeper::Strict, moving_leaders: true, ..REAL };

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seeds() -> std::ops::Range<u64> {
    0..from_env("PRODUCER_SEEDS").unwrap_or(SEEDS).max(SEEDS)
}

fn faults(seed: u64, setup: Setup) -> Vec<String> {
    run(seed, setup, false).0.err().unwrap_or_default()
}

fn none_is_faulty(setup: Setup, seeds: std::ops::Range<u64>) {
    if let Some(seed) = from_env("PRODUCER_SEED") {
        let (result, trace) = run(seed, setup, true);
        println!("{}", trace.join("\n"));
        panic!("replayed seed {seed} with {setup:?}: {result:?}");
    }
    let mut all = Summary::default();
    for seed in seeds.clone() {
        match run(seed, setup, false).0 {
            Ok(one) => {
                all.acked += one.acked;
                all.again += one.again;
            }
            Err(faults) => panic!("PRODUCER_SEED={seed} replays this: {faults:#?}"),
        }
    }
    println!("{seeds:?}: {all:?}");
    assert!(all.acked > 50_000 && all.again > 500, "the histories are not eventful enough: {all:?}");
}

/// Not more seeds than these: at 9980 there is one that the real gate lets pass, see below.
#[test]
fn producers_lose_nothing_and_keep_their_order() {
    none_is_faulty(REAL, 0..SEEDS);
}

#[test]
fn with_a_stricter_gate_they_do_so_over_several_connections_too() {
    none_is_faulty(STRICT, seeds());
}

#[test]
fn every_broken_rule_is_noticed() {
    for broken in [Broken::Gate, Broken::Ids, Broken::Generation] {
        let setup = Setup { broken, ..STRICT };
        let caught = (0..SEEDS_TO_CATCH).find_map(|seed| Some((seed, run(seed, setup, false).0.err()?)));
        let Some((seed, faults)) = caught else { panic!("{broken:?} was not noticed") };
        println!("{broken:?}: seed {seed}: {faults:?}");
    }
}

#[test]
fn with_the_real_gate_nothing_is_lost_or_final_over_several_connections() {
    for seed in seeds() {
        let faults = faults(seed, Setup { moving_leaders: true, ..REAL });
        let grave = |fault: &&String| fault.contains("in no log") || fault.contains("fatal");
        assert_eq!(faults.iter().find(grave), None, "seed {seed}: {faults:#?}");
    }
}

/// When the first assertion about a seed fails, the real gate has learned it.
#[test]
fn what_the_real_gate_lets_pass_the_strict_one_stops() {
    // It opens when the failed batch is sent again: a later one on another connection can still be written first.
    let overtaken =
        |setup| faults(1801, setup).iter().any(|f| f.contains("java") && f.contains("out of order"));
    assert!(overtaken(Setup { moving_leaders: true, ..REAL }));
    assert_eq!(faults(1801, STRICT), Vec::<String>::new());
    // It remembers the oldest failed batch only: once that has come again, a later one passes before the second oldest, and is refused
    // by the broker. The client numbers anew; when it also loses a connection, it cannot know what was written already.
    let twice = |gate| faults(9980, Setup { gate, ..REAL }).iter().any(|f| f.contains("twice in one visit"));
    assert!(twice(Gatekeeper::Real));
    assert!(!twice(Gatekeeper::Strict));
}

/// kafka-python sends the batch that failed last first. A strict gate puts most of it right; what is left happens to it at
/// any broker, when a connection is lost.
#[test]
fn a_careless_client_is_told_of_errors_but_loses_nothing() {
    let told = |gate| {
        let setup = Setup { careless_clients: true, gate, ..STRICT };
        let all = (0..SEEDS).flat_map(|seed| faults(seed, setup));
        let (grave, told): (Vec<String>, Vec<String>) = all.partition(|fault| fault.contains("in no log"));
        assert_eq!(grave, Vec::<String>::new());
        told.iter().filter(|fault| fault.contains("kafka-python") && fault.contains("application")).count()
    };
    let (real, strict) = (told(Gatekeeper::Real), told(Gatekeeper::Strict));
    println!(
        "histories with errors for kafka-python: {real} with the real gate, {strict} with the strict one"
    );
    assert!(strict * 4 < real, "{strict} {real}");
}
