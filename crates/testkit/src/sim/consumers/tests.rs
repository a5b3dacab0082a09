//! Hundreds of histories, and the rules broken on purpose.

use super::*;

/// Seeds that each run plays, at least.
const SEEDS: u64 = 300;
/// Seeds within which every broken rule must be noticed.
const SEEDS_TO_CATCH: u64 = 1_000;

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn consumers_pass_over_nothing_and_read_little_again() {
    if let Some(seed) = from_env("CONSUMER_SEED") {
        panic!("replayed seed {seed}: {:?}", run(seed, Broken::Nothing));
    }
    let seeds = from_env("CONSUMER_SEEDS").unwrap_or(SEEDS).max(SEEDS);
    let mut all = Summary::default();
    for seed in 0..seeds {
        match run(seed, Broken::Nothing) {
            Ok(one) => {
                all.read += one.read;
                all.given += one.given;
                all.moved += one.moved;
            }
            Err(faults) => panic!("CONSUMER_SEED={seed} replays this: {faults:#?}"),
        }
    }
    println!("{seeds} histories: {all:?}");
    assert!(all.read > 100_000 && all.given > 200 && all.moved > 200, "not eventful enough: {all:?}");
}

#[test]
fn every_broken_rule_is_noticed() {
    for broken in [Broken::SwitchPoint, Broken::LatestEnd, Broken::Epochs, Broken::Kept] {
        let caught = (0..SEEDS_TO_CATCH).find_map(|seed| Some((seed, run(seed, broken).err()?)));
        let Some((seed, faults)) = caught else { panic!("{broken:?} was not noticed") };
        println!("{broken:?}: seed {seed}: {}", faults[0]);
    }
}
