//! The fuzz targets, as plain tests: the corpus, and some thousands of inputs by seed.

use pointsman_testkit::fuzz::{self, Options, TARGETS};
use std::{fs, path::Path};

/// Bytes of the corpus: it is kept with the sources.
const MAX_CORPUS: usize = 200_000;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).expect("every target has a corpus");
    let read =
        |entry: fs::DirEntry| (entry.path().display().to_string(), fs::read(entry.path()).expect("readable"));
    entries.map(|entry| read(entry.expect("an entry"))).collect()
}

#[test]
fn every_input_of_the_corpus_passes() {
    let mut size = 0;
    for target in &TARGETS {
        let inputs = corpus(target.name);
        assert!(inputs.len() >= 10, "{} has {} inputs", target.name, inputs.len());
        for (name, input) in inputs {
            println!("{name}");
            size += input.len();
            (target.run)(&input);
        }
    }
    assert!(size < MAX_CORPUS, "{size} bytes of corpus");
}

#[test]
fn some_thousand_inputs_of_every_target_pass() {
    for target in &TARGETS {
        let runs = if target.name == "session" { 600 } else { 1500 };
        for seed in 0..runs {
            (target.run)(&target.input(seed));
        }
    }
}

#[test]
fn an_input_depends_on_its_seed_alone() {
    for target in &TARGETS {
        assert_eq!(target.input(42), target.input(42), "{}", target.name);
        assert_ne!(target.input(42), target.input(43), "{}", target.name);
    }
}

#[test]
fn inputs_of_a_session_get_somewhere() {
    let target = fuzz::target("session").expect("a target");
    let total: usize = (0..50).map(|seed| target.input(seed).len()).sum();
    assert!(total > 50 * 500, "plays are only {} bytes long on average", total / 50);
}

#[test]
fn words_that_mean_nothing_are_refused_with_the_usage() {
    let parse = |line: &str| Options::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert!(parse("--target frame --runs 10 --seed 7").is_ok());
    for line in ["--targets frame", "--runs many", "--runs"] {
        let error = parse(line).expect_err(line);
        assert!(error.contains("--runs"), "{error}");
    }
}
