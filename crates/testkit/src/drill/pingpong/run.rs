//! The run: steady traffic, switches, the end, the verdict.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::Options as Base;
use super::super::bench::{Bench, now_ns, write_json};
use super::super::proxy::Proxy;
use serde::Serialize;

use super::{ConsumerReport, Options, ProducerReport, Summary, SwitchRecord, idempotent};
use crate::clients::{ClientKind, Driver, DriverSpec, Event, Mode};
use crate::history::{ClientHistory, SequenceInput, Side, Visit, check_sequence, unread};
use crate::kafka::Cluster;
use crate::log::ClusterLog;
use crate::process::wait_for;
use crate::rng::Rng;

pub(super) const TOPIC: &str = "pingpong";
const PARTITIONS: u32 = 6;
const STEADY_LIMIT: Duration = Duration::from_secs(60);
const SYNC_LIMIT: Duration = Duration::from_secs(60);
const CATCH_UP: Duration = Duration::from_secs(30);
/// Producers have as long to deliver what they have: a record given up too early would be an error of the drill.
const FLUSH: Duration = Duration::from_secs(15);
const CLOSE_LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Client {
    name: &'static str,
    producer: Driver,
    consumer: Driver,
}

pub(super) fn run(bench: &Bench, base: &Base, options: &Options) -> Result<Summary, String> {
    create_topics(bench)?;
    let proxy = Proxy::start(base, &bench.place, &bench.primary, &bench.secondary, 0)?;
    let clients = start_clients(bench, &proxy.bootstrap(&bench.place, &bench.primary), options)?;
    wait_steady(&clients)?;
    let mut visits = vec![visit(bench, Side::Primary)?];
    (visits[0].begun, visits[0].starts) = (0, vec![0; PARTITIONS as usize]);
    let mut switches = Vec::new();
    let mut rng = Rng::new(options.seed);
    for number in 0..options.switches {
        let pause = rng.ms(options.pause.0, options.pause.1);
        sleep(pause);
        let side = if number % 2 == 0 { Side::Secondary } else { Side::Primary };
        visits.push(visit(bench, side)?);
        let switch = switch(bench, side, pause);
        tell(number, &switch);
        if switch.failure.is_some() {
            // Nothing moved: what follows still belongs to the visit before.
            visits.pop();
        }
        switches.push(switch);
    }
    let switched_at = now_ns();
    // A producer that does not come back is a result, which the report names.
    let _ =
        wait_for(options.observe, || clients.iter().try_for_each(|client| recovered(client, switched_at)));
    let mut end = finish(clients);
    drop(proxy);
    let logs =
        [&bench.primary, &bench.secondary].map(|cluster| ClusterLog::read(&bench.kafka, cluster, TOPIC));
    let [primary, secondary] = logs;
    let (primary, secondary) = (primary?, secondary?);
    write_events(bench, &visits, &end)?;
    let producers: Vec<ClientHistory> = end.iter_mut().map(|e| std::mem::take(&mut e.producer)).collect();
    let input =
        SequenceInput { producers: &producers, primary: &primary, secondary: &secondary, visits: &visits };
    let sequences = check_sequence(&input).into_iter().zip(&producers).zip(&end);
    let producer = |((sequence, history), end): ((_, &ClientHistory), &Ended)| ProducerReport {
        sequence,
        silence_ms: silence(history),
        recovered: is_back(history, end.closed, switched_at),
    };
    let producer_reports = sequences.map(producer).collect();
    let on_primary = visits.last().is_some_and(|visit| visit.side == Side::Primary);
    let logs = if on_primary { [&primary, &secondary] } else { [&secondary, &primary] };
    let consumers = end.iter().map(|e| consumer_report(&e.consumer, &producers, logs)).collect();
    Ok(Summary { seed: options.seed, switches, producers: producer_reports, consumers })
}

pub(super) fn create_topics(bench: &Bench) -> Result<(), String> {
    for cluster in [&bench.primary, &bench.secondary] {
        cluster.create_topic(TOPIC, PARTITIONS as usize, 3, &[("min.insync.replicas", "2")])?;
        cluster.wait_in_sync(TOPIC, SYNC_LIMIT)?;
    }
    Ok(())
}

pub(super) fn tell(number: usize, switch: &SwitchRecord) {
    let failure = switch.failure.as_deref().unwrap_or("");
    eprintln!("switch {number} to {}: {} ms {failure}", switch.to, switch.took_ms);
}

/// The group of a client's consumer.
pub(super) fn group(client: &str) -> String {
    format!("{TOPIC}-{client}")
}

fn cluster(bench: &Bench, side: Side) -> &Cluster {
    match side {
        Side::Primary => &bench.primary,
        Side::Secondary => &bench.secondary,
    }
}

/// A visit that is about to begin.
fn visit(bench: &Bench, side: Side) -> Result<Visit, String> {
    let bootstrap = cluster(bench, side).bootstrap();
    let starts = bench.kafka.admin()?.end_offsets(&bootstrap, TOPIC)?;
    Ok(Visit { side, begun: now_ns(), starts })
}

pub(super) fn switch(bench: &Bench, side: Side, pause: Duration) -> SwitchRecord {
    let to = cluster(bench, side).name().to_owned();
    let begun = Instant::now();
    let failure = bench.place.switch(&to).err();
    SwitchRecord { to, pause_ms: millis(pause), took_ms: millis(begun.elapsed()), failure }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn start_clients(
    bench: &Bench,
    bootstrap: &str,
    options: &Options,
) -> Result<Vec<Client>, String> {
    let start = |kind: &ClientKind, mode| {
        let settings = if mode == Mode::Produce { idempotent(*kind) } else { BTreeMap::new() };
        let spec = DriverSpec {
            rate: options.rate,
            settings,
            flush_ms: millis(FLUSH),
            group: group(kind.name()),
            ..DriverSpec::new(mode, kind.name(), bootstrap, TOPIC)
        };
        Driver::start(&bench.programs[kind], &spec)
    };
    let client = |kind: &ClientKind| {
        Ok(Client {
            name: kind.name(),
            producer: start(kind, Mode::Produce)?,
            consumer: start(kind, Mode::Consume)?,
        })
    };
    bench.programs.keys().map(client).collect()
}

pub(super) fn wait_steady(clients: &[Client]) -> Result<(), String> {
    for client in clients {
        for driver in [&client.producer, &client.consumer] {
            let all = |events: &[Event]| partitions(events, 0).len() == PARTITIONS as usize;
            driver.wait(STEADY_LIMIT, all).map_err(|e| format!("no steady state: {e}"))?;
        }
    }
    Ok(())
}

fn partitions(events: &[Event], since: u64) -> HashSet<u32> {
    let of = |event: &Event| match event {
        Event::Ack { t, p, .. } | Event::Rec { t, p, .. } if *t >= since => Some(*p),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

pub(super) fn recovered(client: &Client, since: u64) -> Result<(), String> {
    let acked = client.producer.look(|events| partitions(events, since).len());
    if acked == PARTITIONS as usize { Ok(()) } else { Err(format!("{}: {acked} partitions", client.name)) }
}

fn acked_partitions(history: &ClientHistory, since: u64) -> usize {
    history.acks.iter().filter(|a| a.at >= since).map(|a| a.partition).collect::<HashSet<u32>>().len()
}

/// Whether a producer was acknowledged on every partition since a moment, and ended by itself.
pub(super) fn is_back(history: &ClientHistory, closed: bool, since: u64) -> bool {
    acked_partitions(history, since) == PARTITIONS as usize && closed
}

/// What is left of a client.
pub(super) struct Ended {
    pub(super) producer: ClientHistory,
    pub(super) consumer: ClientHistory,
    /// Whether the producer delivered everything and ended by itself.
    pub(super) closed: bool,
}

/// Stops the producers, lets the consumers catch up, and collects what everybody saw.
pub(super) fn finish(mut clients: Vec<Client>) -> Vec<Ended> {
    for client in &mut clients {
        client.producer.stop();
    }
    let done = |client: &Client| {
        let done = client.producer.look(|events| events.iter().any(|e| matches!(e, Event::Done { .. })));
        if done { Ok(()) } else { Err(client.name.to_owned()) }
    };
    // Who is not done by then is reported.
    let _ = wait_for(CLOSE_LIMIT, || clients.iter().try_for_each(done));
    sleep_until_still(&clients);
    for client in &mut clients {
        client.consumer.stop();
    }
    let end = |client: Client| {
        let (produced, consumed) =
            (client.producer.finish(Duration::from_secs(1)), client.consumer.finish(CLOSE_LIMIT));
        Ended {
            closed: produced.iter().any(|e| matches!(e, Event::Done { .. })),
            producer: ClientHistory::new(client.name, &produced, &[]),
            consumer: ClientHistory::new(client.name, &[], &consumed),
        }
    };
    clients.into_iter().map(end).collect()
}

/// Waits until no consumer has got anything for longer than it takes to join a group: some have to wait for a heartbeat, 3 s.
fn sleep_until_still(clients: &[Client]) {
    let still = Duration::from_secs(5).as_nanos();
    let newest = |client: &Client| {
        client.consumer.look(|events| {
            events.iter().rev().find_map(|e| if let Event::Rec { t, .. } = e { Some(*t) } else { None })
        })
    };
    let _ = wait_for(CATCH_UP, || {
        let newest = clients.iter().filter_map(newest).max().unwrap_or(0);
        if u128::from(now_ns().saturating_sub(newest)) > still {
            Ok(())
        } else {
            Err("records arrive".to_owned())
        }
    });
}

fn silence(history: &ClientHistory) -> u64 {
    let longest = |partition: u32| {
        let mut times: Vec<u64> =
            history.acks.iter().filter(|a| a.partition == partition).map(|a| a.at).collect();
        times.sort_unstable();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    };
    (0..PARTITIONS).map(longest).max().unwrap_or(0) / 1_000_000
}

/// `logs`: of the cluster that serves at the end, and of the other one.
fn consumer_report(
    consumer: &ClientHistory,
    producers: &[ClientHistory],
    [serving, other]: [&ClusterLog; 2],
) -> ConsumerReport {
    let got: HashSet<&str> = consumer.consumed.iter().map(|c| c.value.as_str()).collect();
    let acks = producers.iter().flat_map(|p| &p.acks);
    ConsumerReport {
        client: consumer.client.clone(),
        consumed: got.len(),
        not_consumed: acks.filter(|a| !got.contains(a.value.as_str())).count(),
        served: unread(consumer, producers, serving, other),
        elsewhere: unread(consumer, producers, other, serving),
        consumed_again: consumer.consumed.len() - got.len(),
        app_errors: consumer.errors.len(),
        fatal_errors: consumer.errors.iter().filter(|e| e.fatal).count(),
    }
}

/// Keeps what the clients saw, for a look at a run that went wrong; a later drill overwrites it.
pub(super) fn write_events(bench: &Bench, visits: &impl Serialize, ends: &[Ended]) -> Result<(), String> {
    let path = bench.place.dir.join("pingpong-events.jsonl");
    let file = || File::options().append(true).open(&path).map_err(|e| format!("{}: {e}", path.display()));
    File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    write_json(file()?, visits)?;
    ends.iter().try_for_each(|end| {
        write_json(file()?, &end.producer)?;
        write_json(file()?, &end.consumer)
    })
}
