//! One run: steady traffic, the fault, the failover, the recovery, the failback, the verdict.

use std::collections::HashSet;
use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::bench::{Bench, now_ns, write_json};
use super::clients::{self, Client};
use super::proxy::Proxy;
use super::{Fault, Options, PRIMARY_BROKERS, Via};
use crate::clients::{DriverSpec, Event};
use crate::history::{ClientHistory, Input, Report, Side, Window, check};
use crate::kafka::Cluster;
use crate::log::ClusterLog;
use crate::process::wait_for;

const PARTITIONS: u32 = 6;
const SYNC_LIMIT: Duration = Duration::from_secs(60);
/// Undisturbed traffic before a fault, and after each move.
const SETTLE: Duration = Duration::from_secs(2);
/// How long two dead brokers are watched before the third goes.
const MINORITY: Duration = Duration::from_secs(6);
/// In the first seconds after a fault the machine belongs to the clients: no log is read.
const HANDS_OFF: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(500);
const CATCH_UP: Duration = Duration::from_secs(5);
/// Clients that do not close by then, all together, are killed.
const CLOSE_LIMIT: Duration = Duration::from_secs(4);

/// The outcome of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RunRecord {
    /// Number of the run.
    pub run: usize,
    /// The brokers that were taken down.
    pub victims: Vec<usize>,
    /// From the restart of the brokers until all of them answered, in milliseconds.
    pub recovery_ms: u64,
    /// How long each part of the run took, in milliseconds, to keep a drill of many runs short.
    pub phases: Vec<(String, u64)>,
    /// The verdict. The windows are the failover, from the fault, and the failback, from the restart: it holds
    /// the recovery of the brokers too, so that the silence is what tells how a client fared.
    pub report: Report,
}

/// Notes how long each part takes.
struct Phases {
    since: u64,
    done: Vec<(String, u64)>,
}

impl Phases {
    fn new() -> Self {
        Self { since: now_ns(), done: Vec::new() }
    }

    /// Ends a part; the next begins now.
    fn end(&mut self, name: &str) -> u64 {
        let now = now_ns();
        self.done.push((name.to_owned(), millis(self.since, now)));
        self.since = now;
        now
    }
}

fn millis(from: u64, to: u64) -> u64 {
    to.saturating_sub(from) / 1_000_000
}

pub(super) fn run(bench: &mut Bench, options: &Options, number: usize) -> Result<RunRecord, String> {
    let mut phases = Phases::new();
    let topic = format!("drill-{number}");
    make_topics(bench, &topic)?;
    phases.end("topics");
    let proxy = Proxy::start(options, &bench.place, &bench.primary, &bench.secondary, number)?;
    let bootstrap = proxy.bootstrap(&bench.place, &bench.primary);
    let clients = clients::start(bench, &bootstrap, &topic, |_, spec| DriverSpec { flush_ms: 2000, ..spec })?;
    clients::wait_steady(&clients, PARTITIONS)?;
    sleep(SETTLE);
    phases.end("steady");

    let victims: Vec<usize> = (0..3).map(|i| (number + i) % PRIMARY_BROKERS).collect();
    let failed_at = take_down(&mut bench.primary, options, &victims);
    observe(
        bench,
        options,
        &clients,
        &topic,
        Window { start: failed_at, end: u64::MAX, to: Side::Secondary },
    );
    let restarted_at = phases.end("failover");

    bring_back(&mut bench.primary, options, &victims)?;
    let recovered_at = phases.end("recovery");
    observe(
        bench,
        options,
        &clients,
        &topic,
        Window { start: recovered_at, end: u64::MAX, to: Side::Primary },
    );
    let ended_at = phases.end("failback");

    let mut histories = finish(clients, recovered_at);
    for history in &mut histories {
        // What a client gives up because it was told to stop is no error of an application.
        history.errors.retain(|error| error.at < ended_at);
    }
    drop(proxy);
    phases.end("finish");
    bench.primary.wait_in_sync(&topic, SYNC_LIMIT)?;
    let windows = [
        Window { start: failed_at, end: restarted_at, to: Side::Secondary },
        Window { start: restarted_at, end: ended_at, to: Side::Primary },
    ];
    let report = judge(bench, &topic, &histories, &windows)?;
    write_events(bench, number, &windows, &histories)?;
    delete_topics(bench, &topic)?;
    phases.end("verdict");
    let recovery_ms = millis(restarted_at, recovered_at);
    Ok(RunRecord { run: number, victims, recovery_ms, phases: phases.done, report })
}

fn make_topics(bench: &Bench, topic: &str) -> Result<(), String> {
    for cluster in [&bench.primary, &bench.secondary] {
        cluster.create_topic(topic, PARTITIONS as usize, 3, &[("min.insync.replicas", "2")])?;
        cluster.wait_in_sync(topic, SYNC_LIMIT)?;
    }
    Ok(())
}

fn delete_topics(bench: &Bench, topic: &str) -> Result<(), String> {
    let admin = bench.kafka.admin()?;
    admin.delete_topic(&bench.primary.bootstrap(), topic)?;
    admin.delete_topic(&bench.secondary.bootstrap(), topic)
}

/// Takes the victims down and returns when the quorum was lost.
fn take_down(primary: &mut Cluster, options: &Options, victims: &[usize]) -> u64 {
    let strike = |primary: &mut Cluster, some: &[usize]| {
        let at = now_ns();
        match options.fault {
            Fault::Kill => primary.kill(some),
            Fault::Pause => primary.pause(some),
        }
        at
    };
    if options.minority {
        strike(primary, &victims[..2]);
        sleep(MINORITY);
        return strike(primary, &victims[2..]);
    }
    strike(primary, victims)
}

fn bring_back(primary: &mut Cluster, options: &Options, victims: &[usize]) -> Result<(), String> {
    match options.fault {
        Fault::Kill => primary.restart(victims)?,
        Fault::Pause => primary.resume(victims),
    }
    primary.wait_ready()
}

/// Waits until every client is served by the right cluster on every partition, both ways, or `--observe` is
/// over; then a little longer, so that what comes late is seen too. With no proxy nothing moves.
fn observe(bench: &Bench, options: &Options, clients: &[Client], topic: &str, window: Window) {
    sleep(HANDS_OFF);
    if options.via != Via::Direct {
        let target = match window.to {
            Side::Primary => &bench.primary,
            Side::Secondary => &bench.secondary,
        };
        // Not moved in time is a result, which the checker reports; it is not a failure of the drill.
        let _ = wait_for(options.observe.saturating_sub(HANDS_OFF), || {
            sleep(POLL);
            let log = ClusterLog::read(&bench.kafka, target, topic)?;
            clients.iter().try_for_each(|client| served(client, &log, window.start))
        });
    }
    sleep(SETTLE);
}

/// Whether each partition has an acknowledgement from this log, and a record of this log consumed, since then.
fn served(client: &Client, log: &ClusterLog, since: u64) -> Result<(), String> {
    let acked = client.producer.look(|events| {
        distinct(events, |event| match event {
            Event::Ack { t, p, seq, .. }
                if *t >= since && log.copies(&format!("{}-{seq}", client.name)) > 0 =>
            {
                Some(*p)
            }
            _ => None,
        })
    });
    let read = client.consumer.look(|events| {
        distinct(events, |event| match event {
            Event::Rec { t, p, v, .. } if *t >= since && log.copies(v) > 0 => Some(*p),
            _ => None,
        })
    });
    if acked + read == 2 * PARTITIONS as usize {
        return Ok(());
    }
    Err(format!("{}: {acked} partitions acknowledged, {read} consumed", client.name))
}

fn distinct(events: &[Event], partition: impl Fn(&Event) -> Option<u32>) -> usize {
    events.iter().filter_map(partition).collect::<HashSet<u32>>().len()
}

/// Stops the producers, lets the consumers catch up, and collects what everybody saw.
fn finish(mut clients: Vec<Client>, since: u64) -> Vec<ClientHistory> {
    for client in &mut clients {
        client.producer.stop();
    }
    // A consumer that does not catch up is a result too.
    let _ = wait_for(CATCH_UP, || caught_up(&clients, since));
    for client in &mut clients {
        client.consumer.stop();
    }
    let deadline = Instant::now() + CLOSE_LIMIT;
    let left = || deadline.saturating_duration_since(Instant::now());
    let history = |client: Client| {
        let (produced, consumed) = (client.producer.finish(left()), client.consumer.finish(left()));
        ClientHistory::new(client.name, &produced, &consumed)
    };
    clients.into_iter().map(history).collect()
}

fn caught_up(clients: &[Client], since: u64) -> Result<(), String> {
    let acked: HashSet<String> = clients.iter().flat_map(|client| acked_since(client, since)).collect();
    for client in clients {
        let missing = client.consumer.look(|events| {
            let got: HashSet<&String> = events
                .iter()
                .filter_map(|e| if let Event::Rec { v, .. } = e { Some(v) } else { None })
                .collect();
            acked.iter().filter(|v| !got.contains(v)).count()
        });
        if missing > 0 {
            return Err(format!("{}: {missing} records not consumed", client.name));
        }
    }
    Ok(())
}

fn acked_since(client: &Client, since: u64) -> Vec<String> {
    let value = |event: &Event| match event {
        Event::Ack { t, seq, .. } if *t >= since => Some(format!("{}-{seq}", client.name)),
        _ => None,
    };
    client.producer.look(|events| events.iter().filter_map(value).collect())
}

fn judge(
    bench: &Bench,
    topic: &str,
    clients: &[ClientHistory],
    windows: &[Window],
) -> Result<Report, String> {
    let primary = ClusterLog::read(&bench.kafka, &bench.primary, topic)?;
    let secondary = ClusterLog::read(&bench.kafka, &bench.secondary, topic)?;
    let input = Input { partitions: PARTITIONS, clients, primary: &primary, secondary: &secondary, windows };
    Ok(check(&input))
}

/// Keeps what the clients saw, for a look at a run that went wrong; a later drill overwrites it.
fn write_events(
    bench: &Bench,
    number: usize,
    windows: &[Window],
    histories: &[ClientHistory],
) -> Result<(), String> {
    let path = bench.place.dir.join(format!("run-{number}-events.jsonl"));
    let file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    write_json(file.try_clone().map_err(|e| e.to_string())?, &windows)?;
    histories.iter().try_for_each(|history| write_json(file.try_clone().map_err(|e| e.to_string())?, history))
}
