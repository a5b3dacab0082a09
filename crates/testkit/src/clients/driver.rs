//! One running driver and the events it has printed so far.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Program;
use crate::process::{Process, run_dir, wait_for};

/// What a driver does.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Produces at a steady rate, round robin over the partitions.
    Produce,
    /// Writes transactions of one record per partition at a steady rate, and aborts and tries again what fails.
    Transact,
    /// Consumes the topic as the only member of a group.
    Consume,
    /// Makes topics of one partition at a steady rate, named `<topic>-<seq>`, one after the other. A topic that was made is an
    /// acknowledgement.
    Administer,
}

/// What a driver is told.
#[derive(Clone, Debug, Serialize)]
pub struct DriverSpec {
    /// Produce or consume.
    pub mode: Mode,
    /// Client id, and the first part of each record's value: `<client>-<seq>`.
    pub client: String,
    /// Bootstrap addresses, separated by commas.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// Number of partitions of the topic.
    pub partitions: u32,
    /// Records per second.
    pub rate: u32,
    /// Consumer group.
    pub group: String,
    /// Further settings, in the library's own words.
    pub settings: BTreeMap<String, String>,
    /// How long a driver that was asked to stop may still flush, in milliseconds.
    pub flush_ms: u64,
}

impl DriverSpec {
    /// A driver of 50 records a second over 6 partitions, with the library's defaults.
    pub fn new(mode: Mode, client: &str, bootstrap: &str, topic: &str) -> Self {
        Self {
            mode,
            client: client.to_owned(),
            bootstrap: bootstrap.to_owned(),
            topic: topic.to_owned(),
            partitions: 6,
            rate: 50,
            group: format!("{topic}-{client}"),
            settings: BTreeMap::new(),
            flush_ms: 5000,
        }
    }
}

/// One line of a driver. `t` is always the wall clock in nanoseconds.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(tag = "ev", rename_all = "lowercase")]
pub enum Event {
    /// A record was acknowledged.
    Ack {
        /// When.
        t: u64,
        /// Partition.
        p: u32,
        /// Offset the client was told; `u64::MAX`: none, because its broker only knew that it has the record.
        #[serde(deserialize_with = "offset_or_none")]
        o: u64,
        /// Sequence number of the record.
        seq: u64,
    },
    /// A record was consumed.
    Rec {
        /// When.
        t: u64,
        /// Partition.
        p: u32,
        /// Offset.
        o: u64,
        /// Value.
        v: String,
    },
    /// A transaction has ended. Its records have the values `<client>-<n>-<attempt>-<partition>`.
    Txn {
        /// When.
        t: u64,
        /// Its number; one that is tried again keeps it.
        n: u64,
        /// Number of the attempt, over all transactions.
        a: u64,
        /// How it ended, as far as the application knows.
        end: TxnEnd,
    },
    /// The library reported an error to the application.
    Err {
        /// When.
        t: u64,
        /// Whether the client object can never be used again.
        fatal: bool,
        /// The library's words.
        msg: String,
    },
    /// Something that the library reported and mends itself.
    Note {
        /// When.
        t: u64,
        /// The library's words.
        msg: String,
    },
    /// The driver has ended in order.
    Done {
        /// When.
        t: u64,
    },
}

/// How a transaction ended, as far as the application knows.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TxnEnd {
    /// The commit was acknowledged.
    Committed,
    /// It was aborted, or its commit never asked for.
    Aborted,
    /// The commit was asked for, and nobody said what became of it.
    Unknown,
}

/// Libraries print −1 where a broker told no offset.
fn offset_or_none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Ok(u64::try_from(i64::deserialize(from)?).unwrap_or(u64::MAX))
}

/// A running driver. Dropping it kills the process.
#[derive(Debug)]
pub struct Driver {
    client: String,
    mode: Mode,
    process: Process,
    input: Option<ChildStdin>,
    events: Arc<Mutex<Vec<Event>>>,
    reader: Option<JoinHandle<()>>,
}

impl Driver {
    /// Starts a driver. What its library logs goes to a file of the run, see [`Driver::log_tail`].
    pub fn start(program: &Program, spec: &DriverSpec) -> Result<Self, String> {
        let told = serde_json::to_string(spec).map_err(|e| format!("driver spec: {e}"))?;
        let mut command = program.command();
        command.arg(told).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(log_file(&spec.client, spec.mode).map_err(|e| format!("driver log: {e}"))?);
        let mut process = Process::spawn(&format!("{} {:?}", spec.client, spec.mode), &mut command)?;
        let input = process.take_stdin();
        let output = process.take_stdout().ok_or("driver without output")?;
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let reader = std::thread::spawn(move || collect(output, &sink));
        Ok(Self {
            client: spec.client.clone(),
            mode: spec.mode,
            process,
            input,
            events,
            reader: Some(reader),
        })
    }

    /// The client's name.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// What it does.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Looks at the events so far.
    pub fn look<T>(&self, at: impl FnOnce(&[Event]) -> T) -> T {
        at(&self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the events so far satisfy `enough`.
    pub fn wait(&self, limit: Duration, enough: impl Fn(&[Event]) -> bool) -> Result<(), String> {
        wait_for(limit, || self.look(|e| if enough(e) { Ok(()) } else { Err(self.state(e)) }))
    }

    fn state(&self, events: &[Event]) -> String {
        let last = events.last().map_or_else(|| "nothing".to_owned(), |e| format!("{e:?}"));
        format!("{} {:?}: {} events, last {last}\n{}", self.client, self.mode, events.len(), self.log_tail(5))
    }

    /// The last lines its library logged.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read(log_path(&self.client, self.mode)).unwrap_or_default();
        crate::process::last_lines(&String::from_utf8_lossy(&text), lines)
    }

    /// Asks it to flush and end, without waiting.
    pub fn stop(&mut self) {
        if let Some(mut input) = self.input.take() {
            // A driver that is gone already has nothing to flush.
            let _ = writeln!(input, "stop");
        }
    }

    /// Stops it, waits at most `limit`, kills it if need be, and returns all events.
    pub fn finish(mut self, limit: Duration) -> Vec<Event> {
        self.stop();
        if self.process.wait_exit(limit).is_err() {
            self.process.kill();
        }
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn collect(output: ChildStdout, sink: &Mutex<Vec<Event>>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        // Libraries that print to the standard output are not events.
        if let Ok(event) = serde_json::from_str(&line) {
            sink.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        }
    }
}

fn log_path(client: &str, mode: Mode) -> std::path::PathBuf {
    run_dir().join(format!("client-{client}-{mode:?}.log"))
}

fn log_file(client: &str, mode: Mode) -> std::io::Result<fs::File> {
    fs::File::create(log_path(client, mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_the_drivers_print_them() {
        let ack: Event = serde_json::from_str(r#"{"t":5,"ev":"ack","p":1,"o":7,"seq":3}"#).unwrap();
        assert_eq!(ack, Event::Ack { t: 5, p: 1, o: 7, seq: 3 });
        let told_none: Event = serde_json::from_str(r#"{"t":5,"ev":"ack","p":1,"o":-1,"seq":3}"#).unwrap();
        assert_eq!(told_none, Event::Ack { t: 5, p: 1, o: u64::MAX, seq: 3 });
        let err: Event = serde_json::from_str(r#"{"ev":"err","fatal":true,"msg":"m","t":6}"#).unwrap();
        assert_eq!(err, Event::Err { t: 6, fatal: true, msg: "m".to_owned() });
    }
}
