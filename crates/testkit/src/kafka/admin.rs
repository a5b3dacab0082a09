//! The long-lived Java helper: topics, end offsets and whole logs of any cluster, one JSON line each way.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Kafka;
use crate::log::LogRecord;
use crate::process::Process;

/// The helper's own time-out, in its requests; the wait here is a little longer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A handle to the helper process. Requests are served one after the other.
#[derive(Debug)]
pub struct Admin(Mutex<Helper>);

#[derive(Debug)]
struct Helper {
    _process: Process,
    input: ChildStdin,
    answers: Receiver<String>,
    last_id: u64,
}

/// A partition as the cluster's metadata has it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct PartitionState {
    /// Partition number.
    #[serde(rename = "p")]
    pub partition: u32,
    /// Node id of the leader, -1: none.
    pub leader: i32,
    /// Node ids of all replicas.
    pub replicas: Vec<i32>,
    /// Node ids of the replicas in sync.
    pub isr: Vec<i32>,
}

impl Admin {
    pub(super) fn start(kafka: &Kafka) -> Result<Self, String> {
        let mut java = kafka.tool("Admin");
        java.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Process::spawn("admin helper", &mut java)?;
        let input = process.take_stdin().ok_or("admin helper without input")?;
        let output = process.take_stdout().ok_or("admin helper without output")?;
        let (lines, answers) = channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        Ok(Self(Mutex::new(Helper { _process: process, input, answers, last_id: 0 })))
    }

    /// Makes a topic; one that exists already is an error.
    pub fn create_topic(
        &self,
        bootstrap: &str,
        topic: &str,
        partitions: usize,
        replication: usize,
        configs: &[(&str, &str)],
    ) -> Result<(), String> {
        let configs: serde_json::Map<String, Value> =
            configs.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let request = json!({"op": "create", "bootstrap": bootstrap, "topic": topic,
            "partitions": partitions, "replication": replication, "configs": configs});
        self.call(request, |_| ()).map(drop)
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, bootstrap: &str, topic: &str) -> Result<(), String> {
        self.call(json!({"op": "delete", "bootstrap": bootstrap, "topic": topic}), |_| ()).map(drop)
    }

    /// The names of all topics that are not internal, sorted.
    pub fn list_topics(&self, bootstrap: &str) -> Result<Vec<String>, String> {
        field(&self.call(json!({"op": "list", "bootstrap": bootstrap}), |_| ())?, "topics")
    }

    /// The partitions of a topic.
    pub fn describe_topic(&self, bootstrap: &str, topic: &str) -> Result<Vec<PartitionState>, String> {
        field(
            &self.call(json!({"op": "describe", "bootstrap": bootstrap, "topic": topic}), |_| ())?,
            "partitions",
        )
    }

    /// The topic id, as Kafka prints it.
    pub fn topic_id(&self, bootstrap: &str, topic: &str) -> Result<String, String> {
        field(
            &self.call(json!({"op": "describe", "bootstrap": bootstrap, "topic": topic}), |_| ())?,
            "topic_id",
        )
    }

    /// The node ids that a cluster, or a proxy, shows.
    pub fn node_ids(&self, bootstrap: &str) -> Result<Vec<i32>, String> {
        field(&self.call(json!({"op": "nodes", "bootstrap": bootstrap}), |_| ())?, "nodes")
    }

    /// The end offset of each partition of a topic.
    pub fn end_offsets(&self, bootstrap: &str, topic: &str) -> Result<Vec<u64>, String> {
        field(&self.call(json!({"op": "ends", "bootstrap": bootstrap, "topic": topic}), |_| ())?, "ends")
    }

    /// Every record of a topic up to its end offsets of now, whether committed or not.
    pub fn read_topic(&self, bootstrap: &str, topic: &str) -> Result<Vec<LogRecord>, String> {
        self.read(json!({"op": "read", "bootstrap": bootstrap, "topic": topic}))
    }

    /// Every committed record of a topic up to its end offsets of now. An open transaction is an error.
    pub fn read_committed(&self, bootstrap: &str, topic: &str) -> Result<Vec<LogRecord>, String> {
        let isolation = "read_committed";
        self.read(json!({"op": "read", "bootstrap": bootstrap, "topic": topic, "isolation": isolation}))
    }

    fn read(&self, request: Value) -> Result<Vec<LogRecord>, String> {
        let mut records = Vec::new();
        self.call(request, |record| records.push(record))?;
        Ok(records)
    }

    fn call(&self, mut request: Value, mut on_record: impl FnMut(LogRecord)) -> Result<Value, String> {
        let mut helper = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        helper.last_id += 1;
        let id = helper.last_id;
        request["id"] = json!(id);
        request["timeout_ms"] = json!(u64::try_from(TIMEOUT.as_millis()).unwrap_or(u64::MAX));
        writeln!(helper.input, "{request}").map_err(|e| format!("admin helper: {e}"))?;
        loop {
            let line = helper.answers.recv_timeout(TIMEOUT + Duration::from_secs(10)).map_err(|e| {
                format!("admin helper gives no answer to {} of {}: {e}", request["op"], request["bootstrap"])
            })?;
            let answer: Value =
                serde_json::from_str(&line).map_err(|e| format!("admin helper: {e}: {line}"))?;
            if answer["id"] == json!(id) {
                return outcome(&request, answer);
            }
            if let Ok(record) = serde_json::from_value(answer) {
                on_record(record);
            }
        }
    }
}

fn outcome(request: &Value, answer: Value) -> Result<Value, String> {
    if answer["ok"] == json!(true) {
        return Ok(answer);
    }
    Err(format!("{} of {}: {}", request["op"], request["topic"], answer["error"]))
}

fn field<T: for<'a> Deserialize<'a>>(answer: &Value, name: &str) -> Result<T, String> {
    serde_json::from_value(answer[name].clone()).map_err(|e| format!("admin helper: {name}: {e}"))
}
