//! The benchmark: what does a hop through Pointsman cost, beside other proxies, beside loops that understand nothing, and
//! beside no proxy at all?
//!
//! All subjects are measured in one run, round by round, because only figures of the same machine at the same time can
//! be compared. A subject is started for one measurement and ended after it, so that no other one takes part. What it
//! used is read from /proc. The method, and how to read the table, are in `docs/benchmarks.md`.

mod cell;
mod client;
mod configs;
mod floor;
mod frames;
mod goals;
mod load;
mod options;
mod proc;
mod profile;
mod side;
mod sink;
mod stats;
mod subject;
mod table;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use cell::Cell;
use load::Target;
use options::{Options, Side, Subject, Workload};
use side::Broker;
use subject::Prepared;

/// How long a process may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Open files that ten thousand connections need on both sides, here and in a proxy.
const FILES: u64 = 65_536;
/// Connections up to which the loops of the floor are measured: they have two threads for each.
const FLOOR_CONNECTIONS: usize = 4000;

/// Runs the benchmark with the arguments of its command line.
///
/// # Errors
/// Wrong arguments, or a measurement that failed; what was only skipped is said and is no error.
pub fn main(args: &[String]) -> Result<(), String> {
    match args.split_first() {
        Some((first, rest)) if first == "floor" => floor::main(rest),
        Some((first, _)) if first == "--help" => print(options::USAGE),
        _ => Options::parse(args).and_then(|options| run(&options)),
    }
}

fn run(options: &Options) -> Result<(), String> {
    let dir = results_dir()?;
    let mut outcome = Outcome::default();
    let options = &within_limits(options, &mut outcome.skipped);
    let subjects = prepare(options, &mut outcome.skipped);
    if let Some(workload) = options.profile {
        return profile(options, workload, &subjects, &outcome.skipped, &dir);
    }
    let results = Results::create(&dir)?;
    let about = About::new(options);
    results.write(&about)?;
    for side in options.sides.iter().copied() {
        match Broker::start(side) {
            Ok(broker) => measure_side(options, side, &broker, &subjects, &results, &mut outcome)?,
            Err(why) => outcome.skipped.push(format!("side {}: {}", side.name(), first_line(&why))),
        }
    }
    print(&format!("{}\n\n{}{}", about.text(), tables(&outcome.cells), notes(&outcome, &results.path)))?;
    match outcome.failed.len() {
        0 if outcome.cells.is_empty() => Err("nothing was measured".to_owned()),
        0 => Ok(()),
        failed => Err(format!("{failed} measurements failed")),
    }
}

/// The subjects that can be measured here.
fn prepare(options: &Options, skipped: &mut Vec<String>) -> Vec<Prepared> {
    let mut found = Vec::new();
    for subject in &options.subjects {
        match Prepared::new(*subject, options.binary.as_deref()) {
            Ok(prepared) => found.push(prepared),
            Err(why) => skipped.push(format!("{}: {}", subject.name(), first_line(&why))),
        }
    }
    found
}

/// What became of the measurements.
#[derive(Default)]
struct Outcome {
    cells: Vec<Cell>,
    skipped: Vec<String>,
    failed: Vec<String>,
}

/// All rounds on one side. The subjects follow each other within a round and workload, each round from another one on,
/// so that what changes on the machine with time hits all of them.
fn measure_side(
    options: &Options,
    side: Side,
    broker: &Broker,
    subjects: &[Prepared],
    results: &Results,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let rate = half_rate(options, side, broker, &mut outcome.skipped);
    for round in 0..options.rounds {
        for workload in options.workloads.iter().copied() {
            let subjects: Vec<&Prepared> =
                subjects.iter().filter(|p| options.wants(side, workload, p.subject)).collect();
            for prepared in subjects.iter().cycle().skip(round % subjects.len().max(1)).take(subjects.len()) {
                let what = format!("{} {} {}", side.name(), workload.name(), prepared.subject.name());
                if let Some(why) = unfit(options, workload, prepared, broker) {
                    outcome.skipped.extend((round == 0).then(|| format!("{what}: {why}")));
                    continue;
                }
                eprintln!("round {} of {}: {what}", round + 1, options.rounds);
                let rate = if workload == Workload::Half { rate } else { options.rate };
                match measure(options, workload, rate, broker, prepared) {
                    Ok(measured) => {
                        let cell = Cell::new(round, side, workload, prepared.subject, &measured);
                        results.write(&cell)?;
                        outcome.cells.push(cell);
                    }
                    Err(why) => outcome.failed.push(format!("{what}: {why}")),
                }
            }
        }
    }
    Ok(())
}

/// Why a subject cannot be measured under a workload.
fn unfit(options: &Options, workload: Workload, prepared: &Prepared, broker: &Broker) -> Option<String> {
    if prepared.subject == Subject::Switched && broker.other().is_none() {
        return Some("there is no other cluster to switch from".to_owned());
    }
    let threads =
        workload == Workload::Idle && options.connections > FLOOR_CONNECTIONS && prepared.is_floor();
    threads.then(|| format!("it would need two threads for each of {} connections", options.connections))
}

fn measure(
    options: &Options,
    workload: Workload,
    rate: u32,
    broker: &Broker,
    prepared: &Prepared,
) -> Result<load::Measured, String> {
    let running = prepared.start(broker, load::clients(workload, options.connections))?;
    load::run(workload, &Target { rate, ..target(options, workload, broker, &running) })
}

/// The rate of [`Workload::Half`] on this side: that of `--rate` where it cannot be found.
fn half_rate(options: &Options, side: Side, broker: &Broker, skipped: &mut Vec<String>) -> u32 {
    let wanted =
        options.workloads.contains(&Workload::Half) && options.wants(side, Workload::Half, Subject::Direct);
    if !wanted {
        return options.rate;
    }
    let direct = Target {
        address: broker.address(),
        pid: None,
        length: options.seconds,
        rate: 0,
        idempotent: broker.forgets(),
        connections: 0,
    };
    let found = load::half_rate(&direct);
    found
        .inspect(|rate| eprintln!("half of what a direct connection reaches: {rate} requests/s"))
        .unwrap_or_else(|why| {
            skipped.push(format!("{}: half of the direct load is not known: {why}", side.name()));
            options.rate
        })
}

fn target(options: &Options, workload: Workload, broker: &Broker, running: &subject::Running) -> Target {
    Target {
        address: running.address,
        pid: running.pid(),
        length: options.length(workload),
        rate: options.rate,
        idempotent: broker.forgets(),
        connections: options.connections,
    }
}

fn profile(
    options: &Options,
    workload: Workload,
    subjects: &[Prepared],
    skipped: &[String],
    dir: &Path,
) -> Result<(), String> {
    let prepared = subjects.first().ok_or_else(|| skipped.join("; "))?;
    let broker = Broker::start(Side::Sink)?;
    let running = prepared.start(&broker, load::clients(workload, options.connections))?;
    let list = profile::run_under_perf(workload, &target(options, workload, &broker, &running), dir)?;
    print(&format!("{}\n{} · {list}", proc::machine(), prepared.subject.name()))
}

/// What a run was, as the first line of its results.
#[derive(Debug, Serialize)]
struct About {
    machine: String,
    /// Load of the machine in the minute before: other work makes throughput and latency worthless.
    load: f64,
    rounds: usize,
    seconds: f64,
    rate: u32,
}

impl About {
    fn new(options: &Options) -> Self {
        Self {
            machine: proc::machine(),
            load: proc::load(),
            rounds: options.rounds,
            seconds: options.seconds.as_secs_f64(),
            rate: options.rate,
        }
    }

    fn text(&self) -> String {
        let Self { machine, load, rounds, seconds, rate } = self;
        format!(
            "{machine}; load {load:.1} before the run; {rounds} rounds of {seconds} s; {rate} requests/s at a fixed rate\n\
             medians [95 % interval, or lowest–highest below 6 rounds]; 1 GB is 10^9 bytes"
        )
    }
}

fn tables(cells: &[Cell]) -> String {
    table::of(cells) + &goals::of(cells)
}

fn notes(outcome: &Outcome, results: &Path) -> String {
    let mut text = String::new();
    for (what, list) in [("skipped", &outcome.skipped), ("failed", &outcome.failed)] {
        if !list.is_empty() {
            text += &format!("{} {what}:\n  {}\n", list.len(), list.join("\n  "));
        }
    }
    text + &format!("results: {}", results.display())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A file of JSON lines.
struct Results {
    path: PathBuf,
}

impl Results {
    fn create(dir: &Path) -> Result<Self, String> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let path = dir.join(format!("{now}-{}.jsonl", std::process::id()));
        File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self { path })
    }

    fn write(&self, value: &impl Serialize) -> Result<(), String> {
        let write = || {
            let mut file = OpenOptions::new().append(true).open(&self.path)?;
            writeln!(file, "{}", serde_json::to_string(value)?)
        };
        write().map_err(|e: std::io::Error| format!("{}: {e}", self.path.display()))
    }
}

/// `target/bench` of the workspace, wherever in it the process was started.
fn results_dir() -> Result<PathBuf, String> {
    let here = std::env::current_dir().map_err(|e| format!("no current directory: {e}"))?;
    let workspace = here.ancestors().find(|d| d.join("crates/testkit/Cargo.toml").is_file()).unwrap_or(&here);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let dir = std::path::absolute(target.join("bench")).map_err(|e| format!("target/bench: {e}"))?;
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    Ok(dir)
}

/// As many idle connections as the limit of open files leaves room for: of each, both ends are here.
fn within_limits(options: &Options, skipped: &mut Vec<String>) -> Options {
    const SPARE: usize = 500;
    let room = allow_files().map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let connections = options.connections.min(room.saturating_sub(SPARE) / 2);
    if connections < options.connections && options.workloads.contains(&Workload::Idle) {
        let wanted = options.connections;
        skipped.push(format!(
            "{} of {wanted} idle connections: the limit of open files is {room}",
            wanted - connections
        ));
    }
    Options { connections, ..options.clone() }
}

/// Raises the limit of open files as far as it is allowed; children inherit it. Returns what it is now, if there is one.
fn allow_files() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    for wanted in [Some(FILES), maximum] {
        let higher = wanted > current && wanted.is_some();
        let maximum = maximum.max(wanted);
        if higher && setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum }).is_ok() {
            return wanted;
        }
    }
    current
}

fn print(text: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{text}").map_err(|e| format!("standard output: {e}"))
}
