//! Hundreds of histories, and the rules broken on purpose.

use super::*;

/// Seeds that each run plays, at least.
const SEEDS: u64 = 1_000;
/// Seeds within which every broken rule must be noticed.
const SEEDS_TO_CATCH: u64 = 1_000;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn transactions_are_whole_or_not_there_and_their_producers_go_on() {
    if let Some(seed) = from_env("TRANSACTION_SEED") {
        panic!("replayed seed {seed}: {:?}", run(seed, Broken::Nothing));
    }
    let seeds = from_env("TRANSACTION_SEEDS").unwrap_or(SEEDS).max(SEEDS);
    let mut all = Summary::default();
    for seed in 0..seeds {
        match run(seed, Broken::Nothing) {
            Ok(one) => {
                all.committed += one.committed;
                all.aborted += one.aborted;
            }
            Err(faults) => panic!("TRANSACTION_SEED={seed} replays this: {faults:#?}"),
        }
    }
    println!("{seeds} histories: {all:?}");
    assert!(all.committed > 10_000 && all.aborted > 500, "not eventful enough: {all:?}");
}

#[test]
fn every_broken_rule_is_noticed() {
    for broken in [Broken::Passed, Broken::Raw, Broken::AbortPassed, Broken::OldIdAsked] {
        let caught = (0..SEEDS_TO_CATCH).find_map(|seed| Some((seed, run(seed, broken).err()?)));
        let Some((seed, faults)) = caught else { panic!("{broken:?} was not noticed") };
        println!("{broken:?}: seed {seed}: {}", faults[0]);
    }
}

/// What a producer's error hides: the records themselves.
#[test]
fn without_the_mechanism_transactions_are_half_committed() {
    let half = |fault: &String| fault.contains("records are committed");
    let found =
        (0..SEEDS_TO_CATCH).find(|seed| run(*seed, Broken::Raw).err().is_some_and(|f| f.iter().any(half)));
    println!("{:?}", found.expect("a half committed transaction"));
}
