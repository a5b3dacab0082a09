//! Hundreds of histories, the rules broken on purpose, and what the real gate still lets pass.

use super::*;

/// Seeds that each run plays, at least.
const SEEDS: u64 = 300;
/// Seeds within which every broken rule must be noticed.
const SEEDS_TO_CATCH: u64 = 1_000;

/// Leaders seem to move, so that a client's requests to a partition come on several connections.
const SETUP: Setup = Setup { broken: Broken::Nothing, moving_leaders: true, careless_clients: false };

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

#[test]
fn producers_lose_nothing_and_keep_their_order() {
    none_is_faulty(SETUP, seeds());
}

#[test]
fn nor_do_they_with_one_connection_to_each_leader() {
    none_is_faulty(Setup { moving_leaders: false, ..SETUP }, seeds());
}

#[test]
fn every_broken_rule_is_noticed() {
    for broken in [Broken::Gate, Broken::Ids, Broken::Generation] {
        let setup = Setup { broken, ..SETUP };
        let caught = (0..SEEDS_TO_CATCH).find_map(|seed| Some((seed, run(seed, setup, false).0.err()?)));
        let Some((seed, faults)) = caught else { panic!("{broken:?} was not noticed") };
        println!("{broken:?}: seed {seed}: {faults:?}");
    }
}

/// Seeds at which a gate that remembered the first failed batch alone, and forgot it when it came again, let others overtake.
#[test]
fn histories_that_once_were_faulty_are_not() {
    for seed in [1801, 9980] {
        for moving_leaders in [false, true] {
            assert_eq!(faults(seed, Setup { moving_leaders, ..SETUP }), Vec::<String>::new(), "seed {seed}");
        }
    }
}

/// kafka-python sends the batch that failed last first. The gate puts most of it right; what is left happens to it at any broker,
/// when a connection is lost.
#[test]
fn a_careless_client_is_told_of_errors_but_loses_nothing() {
    let setup = Setup { careless_clients: true, ..SETUP };
    let all = (0..SEEDS).flat_map(|seed| faults(seed, setup));
    let (grave, told): (Vec<String>, Vec<String>) = all.partition(|fault| fault.contains("in no log"));
    assert_eq!(grave, Vec::<String>::new());
    let errors = |fault: &&String| fault.contains("kafka-python") && fault.contains("application");
    let told = told.iter().filter(errors).count();
    println!("{told} of {SEEDS} histories with errors for kafka-python");
    assert!(told < 30, "the gate does not put its order right: {told}");
}
