//! Runs targets by seed, on any compiler.

use super::{TARGETS, Target, target};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Instant,
};

/// How the driver is called.
pub const USAGE: &str = "usage: cargo xtask fuzz [--target NAME] [--runs N] [--seed S] [--replay FILE] [--save DIRECTORY] [--keep N]
  --target   one of frame, cursor, request, response, fetch, produce, session; all of them, one after the other, without it
  --runs     inputs for each target, 100000 without it
  --seed     of the first input; input K of a run has the seed S + K
  --replay   runs the bytes of one file instead
  --save     where inputs that fail are written, the directory for temporary files without it
  --keep     the first N inputs are written there too, whatever comes of them: a corpus to begin with";

/// Inputs between two lines of progress.
const PROGRESS: u64 = 1_000_000;
/// Findings after which a target is left alone.
const ENOUGH: usize = 5;

/// What to run.
#[derive(Debug)]
pub struct Options {
    target: Option<String>,
    runs: u64,
    seed: u64,
    replay: Option<PathBuf>,
    save: PathBuf,
    keep: u64,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// A word that is not in [`USAGE`].
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut options =
            Self { target: None, runs: 100_000, seed: 1, replay: None, save: std::env::temp_dir(), keep: 0 };
        let mut words = args.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("expected a value after {word}\n{USAGE}"))?;
            let number = || value.parse().map_err(|_| format!("expected a number after {word}, got {value}"));
            match word.as_str() {
                "--target" => options.target = Some(value.clone()),
                "--runs" => options.runs = number()?,
                "--seed" => options.seed = number()?,
                "--replay" => options.replay = Some(value.into()),
                "--keep" => options.keep = number()?,
                "--save" => options.save = value.into(),
                _ => return Err(format!("expected an option, got {word}\n{USAGE}")),
            }
        }
        Ok(options)
    }
}

/// Runs what the options say.
///
/// # Errors
/// What was found.
pub fn run(options: &Options) -> Result<(), String> {
    let chosen: Vec<&Target> = match &options.target {
        Some(name) => vec![target(name).ok_or_else(|| format!("no target {name}\n{USAGE}"))?],
        None => TARGETS.iter().collect(),
    };
    let mut found = Vec::new();
    for target in chosen {
        match &options.replay {
            Some(file) => {
                let input = fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
                (target.run)(&input);
                println!("{}: {} bytes, nothing found", target.name, input.len());
            }
            None => found.extend(attack(target, options)),
        }
    }
    if found.is_empty() { Ok(()) } else { Err(format!("{} findings\n{}", found.len(), found.join("\n"))) }
}

/// Runs one target and returns what it found.
fn attack(target: &Target, options: &Options) -> Vec<String> {
    let (begun, mut bytes, mut found) = (Instant::now(), 0, Vec::new());
    let mut done = 0;
    while done < options.runs && found.len() < ENOUGH {
        let seed = options.seed.wrapping_add(done);
        match catch_unwind(AssertUnwindSafe(|| target.input(seed))) {
            Ok(input) => {
                if done < options.keep {
                    found.extend(keep(target, options, seed, &input));
                }
                bytes += input.len();
                if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                    found.push(save(target, options, seed, &input));
                }
            }
            Err(_) => found.push(format!("{}: seed {seed} fails while its input is made", target.name)),
        }
        done += 1;
        if done % PROGRESS == 0 {
            println!("{}: {done} inputs in {} s", target.name, begun.elapsed().as_secs());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{}: {done} inputs, {bytes} bytes, {seconds:.1} s, {} findings", target.name, found.len());
    found
}

/// Writes an input into the target's directory; returns what prevents it.
fn keep(target: &Target, options: &Options, seed: u64, input: &[u8]) -> Option<String> {
    let file = options.save.join(target.name).join(format!("seed-{seed}"));
    fs::write(&file, input).err().map(|error| format!("{}: {error}", file.display()))
}

fn save(target: &Target, options: &Options, seed: u64, input: &[u8]) -> String {
    let file = options.save.join(format!("{}-{seed}", target.name));
    match fs::write(&file, input) {
        Ok(()) => format!("{}: seed {seed}, {}", target.name, file.display()),
        Err(error) => format!("{}: seed {seed} ({} cannot be written: {error})", target.name, file.display()),
    }
}
