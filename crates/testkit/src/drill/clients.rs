//! The clients of a drill: of each library one producer and one group consumer.

use std::collections::HashSet;
use std::time::Duration;

use super::bench::Bench;
use crate::clients::{ClientKind, Driver, DriverSpec, Event, Mode};

const STEADY_LIMIT: Duration = Duration::from_secs(60);

/// The two drivers of one library.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) producer: Driver,
    pub(super) consumer: Driver,
}

/// Starts both drivers of each library of the bench. `spec` says how, from the default.
pub(super) fn start(
    bench: &Bench,
    bootstrap: &str,
    topic: &str,
    spec: impl Fn(ClientKind, DriverSpec) -> DriverSpec,
) -> Result<Vec<Client>, String> {
    let start = |kind: ClientKind, mode| {
        let spec = spec(kind, DriverSpec::new(mode, kind.name(), bootstrap, topic));
        Driver::start(&bench.programs[&kind], &spec)
    };
    let client = |kind: &ClientKind| {
        Ok(Client {
            name: kind.name(),
            producer: start(*kind, Mode::Produce)?,
            consumer: start(*kind, Mode::Consume)?,
        })
    };
    bench.programs.keys().map(client).collect()
}

/// Waits until every producer has been acknowledged on every partition, and every consumer has read of every partition.
pub(super) fn wait_steady(clients: &[Client], partitions: u32) -> Result<(), String> {
    for client in clients {
        for driver in [&client.producer, &client.consumer] {
            let all = |events: &[Event]| partitions_since(events, 0).len() == partitions as usize;
            driver.wait(STEADY_LIMIT, all).map_err(|e| format!("no steady state: {e}"))?;
        }
    }
    Ok(())
}

/// The partitions that were acknowledged or read since a moment.
pub(super) fn partitions_since(events: &[Event], since: u64) -> HashSet<u32> {
    let of = |event: &Event| match event {
        Event::Ack { t, p, .. } | Event::Rec { t, p, .. } if *t >= since => Some(*p),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}
