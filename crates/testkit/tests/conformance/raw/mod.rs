//! Cases that speak the protocol themselves. Each is a plain function in a list with a name.

mod basics;
mod conn;
mod consumer_group;
mod failure;
mod fetch;
mod group;
mod group_offsets;
mod idempotence;
mod metadata;
mod offsets;
mod produce;
mod records;
mod session;
mod topic;
mod transaction;
mod transaction_log;
mod transaction_offsets;
mod transactional;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pointsman_testkit::conformance::{Finding, Subject};
use pointsman_testkit::process::wait_for;
use pointsman_wire::{Struct, tables};

use conn::Conn;

/// How long a case waits for what must come about.
const LIMIT: Duration = Duration::from_secs(30);
/// Cases at once. Most of their time they wait.
const WORKERS: usize = 6;

/// The subject, as a case sees it.
pub(crate) struct Context<'a> {
    pub(crate) subject: Mutex<&'a mut dyn Subject>,
    servers: Vec<SocketAddr>,
    /// (api key, oldest and newest version) that the subject offers and that we know.
    offered: Vec<(i16, i16, i16)>,
}

/// A named case.
pub(crate) type Case = (&'static str, fn(&Context<'_>) -> Result<(), String>);

/// Lists of cases, and how many run at once.
pub(crate) type Lists = (&'static [&'static [Case]], usize);

/// The cases that leave the brokers alone.
pub(crate) const GENTLE: Lists = (
    &[
        group::CASES,
        group_offsets::CASES,
        basics::CASES,
        metadata::CASES,
        produce::CASES,
        idempotence::CASES,
        fetch::CASES,
        session::CASES,
        offsets::CASES,
        transaction::CASES,
        transaction_log::CASES,
        transaction_offsets::CASES,
        consumer_group::CASES,
    ],
    WORKERS,
);
/// The cases that kill and freeze brokers, and so cannot share them.
pub(crate) const ROUGH: Lists = (&[failure::CASES], 1);

/// Runs the cases whose name contains `filter`.
pub(crate) fn run(context: &Context<'_>, (lists, workers): Lists, filter: &str) -> Vec<Finding> {
    let cases: Vec<&Case> = lists.iter().flat_map(|l| l.iter()).collect();
    let cases: Vec<&Case> = cases.into_iter().filter(|c| format!("raw/{}", c.0).contains(filter)).collect();
    let next = AtomicUsize::new(0);
    let findings = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((name, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let outcome = case(context);
                    if begun.elapsed() > Duration::from_secs(3) {
                        eprintln!("raw/{name}: {:?}", begun.elapsed());
                    }
                    let finding = Finding { case: format!("raw/{name}"), outcome };
                    findings.lock().expect("no panic in a case").push(finding);
                }
            });
        }
    });
    findings.into_inner().expect("no panic in a case")
}

impl<'a> Context<'a> {
    pub(crate) fn new(subject: &'a mut dyn Subject) -> Result<Self, String> {
        let servers = subject.bootstrap();
        let mut context = Self { subject: Mutex::new(subject), servers, offered: Vec::new() };
        let answer = context.broker(0)?.call(18, 0, &Struct::new())?;
        context.offered = answer
            .structs("ApiKeys")
            .filter_map(|api| {
                let known = tables::api(api.i16("ApiKey"))?.versions;
                Some((
                    api.i16("ApiKey"),
                    api.i16("MinVersion").max(known.min),
                    api.i16("MaxVersion").min(known.max),
                ))
            })
            .collect();
        Ok(context)
    }

    /// A connection to the broker with this index.
    pub(crate) fn broker(&self, index: usize) -> Result<Conn, String> {
        Conn::open(self.servers[index])
    }

    pub(crate) fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// All versions of an api that the subject offers.
    pub(crate) fn versions(&self, key: i16) -> RangeInclusive<i16> {
        let found = self.offered.iter().find(|(offered, ..)| *offered == key);
        found.map_or(RangeInclusive::new(1, 0), |(_, min, max)| *min..=*max)
    }

    /// The newest version of an api.
    pub(crate) fn newest(&self, key: i16) -> i16 {
        *self.versions(key).end()
    }

    /// The newest version, but at most `most`.
    pub(crate) fn at_most(&self, key: i16, most: i16) -> i16 {
        self.newest(key).min(most)
    }
}

/// Fails unless both are the same.
#[expect(clippy::needless_pass_by_value, reason = "what is seen is made for this")]
pub(crate) fn same<T: PartialEq + Debug>(what: &str, seen: T, expected: T) -> Result<(), String> {
    if seen == expected { Ok(()) } else { Err(format!("{what}: expected {expected:?}, saw {seen:?}")) }
}

/// Fails unless `holds`.
pub(crate) fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// The only element.
pub(crate) fn only<'a>(what: &str, mut of: impl Iterator<Item = &'a Struct>) -> Result<&'a Struct, String> {
    match (of.next(), of.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("{what}: expected one, saw none")),
        _ => Err(format!("{what}: expected one, saw more")),
    }
}

/// Asks again until the answer is there.
pub(crate) fn eventually<T>(ask: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    wait_for(LIMIT, ask)
}

/// Adds the version to an error.
pub(crate) fn each(
    versions: RangeInclusive<i16>,
    mut act: impl FnMut(i16) -> Result<(), String>,
) -> Result<(), String> {
    if versions.is_empty() {
        return Err("the api is not offered".to_owned());
    }
    versions.into_iter().try_for_each(|v| act(v).map_err(|e| format!("v{v}: {e}")))
}
