//! The same drill between clusters that hold the same logs: a mirror copies from the cluster that serves to the other one.
//!
//! Pointsman holds traffic at each switch until the mirror has caught up, and moves it then; after that the mirror turns round.
//! Nothing may be lost, moved or repeated, but for what a group had read and not committed.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::Duration;

use serde::Serialize;

use super::super::Options as Base;
use super::super::bench::{Bench, now_ns};
use super::super::proxy::Proxy;
use super::super::summary::Figure;
use super::run::{self, TOPIC};
use super::{Options, SwitchRecord};
use crate::ferry::Ferry;
use crate::history::{ClientHistory, MirroredInput, MirroredReport, Moved, Side, check_mirrored};
use crate::log::ClusterLog;
use crate::process::wait_for;
use crate::rng::Rng;

const ALIKE: Duration = Duration::from_secs(60);

/// The whole drill.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MirroredSummary {
    /// Seed of the pauses.
    pub seed: u64,
    /// How many were to be carried out.
    pub asked: usize,
    /// The switches, in order, and those that Pointsman gave up because the mirror was behind.
    pub switches: Vec<SwitchRecord>,
    /// Clients whose producers were not acknowledged on every partition after the last switch.
    pub not_recovered: Vec<String>,
    /// What the logs and the clients say.
    pub report: MirroredReport,
}

/// Of those that are asked for, one in so many may be given up.
const GIVEN_UP: usize = 5;

/// Pointsman did not move clients because the mirror was behind: then they stay where they are, and the command can be repeated.
fn given_up(why: &str) -> bool {
    why.contains("it lacked records")
}

impl MirroredSummary {
    fn carried_out(&self) -> usize {
        self.switches.iter().filter(|s| s.failure.is_none()).count()
    }

    /// Whether every promise held; an error names those that did not.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let mut broken = super::report::failed_switches(&self.switches);
        broken.retain(|why| !given_up(why));
        let carried_out = self.carried_out();
        if carried_out < self.asked {
            broken.push(format!("{carried_out} of {} switches carried out", self.asked));
        }
        broken.extend(self.not_recovered.iter().map(|c| format!("{c}: not every partition came back")));
        broken.extend(self.report.broken());
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
    }
}

pub(super) fn run(bench: &Bench, base: &Base, options: &Options) -> Result<MirroredSummary, String> {
    run::create_topics(bench)?;
    let groups = bench.programs.keys().map(|kind| run::group(kind.name())).collect();
    let sides = [bench.primary.bootstrap(), bench.secondary.bootstrap()];
    let mut ferry = Ferry::start(sides, TOPIC, groups)?;
    let proxy = Proxy::start(base, &bench.place, &bench.primary, &bench.secondary, 0)?;
    let clients = run::start_clients(bench, &proxy.bootstrap(&bench.place, &bench.primary), options)?;
    run::wait_steady(&clients)?;
    let (mut switches, mut moves, mut rng) = (Vec::new(), Vec::new(), Rng::new(options.seed));
    let (mut at, mut number) = (0, 0);
    while moves.len() < options.switches && number < options.switches + options.switches / GIVEN_UP {
        let pause = rng.ms(options.pause.0, options.pause.1);
        sleep(pause);
        let to = if at == 0 { Side::Secondary } else { Side::Primary };
        let begun = now_ns();
        let switch = run::switch(bench, to, pause);
        let ended = now_ns();
        run::tell(number, &switch);
        if switch.failure.is_none() {
            // Before the mirror turns round: then it brings commits of the other side.
            let committed = ferry.committed(at)?;
            ferry.turn(1 - at)?;
            let by_client = |(group, offsets): (String, _)| (client_of(&group).to_owned(), offsets);
            moves.push(Moved { begun, ended, committed: committed.into_iter().map(by_client).collect() });
            at = 1 - at;
        }
        switches.push(switch);
        number += 1;
    }
    let switched_at = now_ns();
    // Who does not come back is a result, which the report names.
    let _ = wait_for(options.observe, || clients.iter().try_for_each(|c| run::recovered(c, switched_at)));
    let ends = run::finish(clients);
    drop(proxy);
    let alike = ferry.finish(ALIKE);
    let log = |cluster| ClusterLog::read(&bench.kafka, cluster, TOPIC);
    let (primary, secondary) = (log(&bench.primary)?, log(&bench.secondary)?);
    run::write_events(bench, &moves, &ends)?;
    let not_recovered = ends.iter().filter(|end| !run::is_back(&end.producer, end.closed, switched_at));
    let not_recovered = not_recovered.map(|end| end.producer.client.clone()).collect();
    let (producers, consumers): (Vec<ClientHistory>, Vec<ClientHistory>) =
        ends.into_iter().map(|end| (end.producer, end.consumer)).unzip();
    let report = check_mirrored(&MirroredInput {
        producers: &producers,
        consumers: &consumers,
        primary: &primary,
        secondary: &secondary,
        switches: &moves,
    });
    if let Err(error) = alike {
        eprintln!("{error}");
    }
    let (seed, asked) = (options.seed, options.switches);
    Ok(MirroredSummary { seed, asked, switches, not_recovered, report })
}

/// The client of a group, as [`run::group`] names them.
fn client_of(group: &str) -> &str {
    group.strip_prefix(TOPIC).and_then(|rest| rest.strip_prefix('-')).unwrap_or(group)
}

/// The tables, in Markdown.
pub(super) fn table(summary: &MirroredSummary) -> String {
    let took = Figure::of(summary.switches.iter().map(|s| Some(s.took_ms)));
    let carried_out = summary.carried_out();
    let more = summary.switches.len() - carried_out;
    let mut text = format!(
        "{carried_out} switches carried out, {more} more given up, seed {}; command to its end, s, p50 / worst: {took}; \
         places at which the logs differ: {}\n\n\
         | producer | acked | not in both logs where it was said to be | twice | out of order | app errors |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        summary.seed, summary.report.logs_differ,
    );
    for p in &summary.report.producers {
        let errors: usize = p.errors.values().sum();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {errors} |",
            p.client, p.acked, p.lost, p.again, p.disorder
        );
    }
    text.push_str(
        "\n| consumer | consumed | not consumed | passed over | back to its commit | records again by that | \
         from before the last commit | moved without a switch | fatal |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for c in &summary.report.consumers {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            c.client,
            c.consumed,
            c.not_consumed,
            c.skipped,
            c.replays,
            c.replayed,
            c.beyond_commit,
            c.moved_without_switch,
            c.fatal_errors
        );
    }
    for p in &summary.report.producers {
        for (error, count) in &p.errors {
            let _ = write!(text, "\n{}: {count} × {error}", p.client);
        }
    }
    text
}
