//! What `pointsman check --live` asks: every bootstrap server of a cluster, and one broker for all topics.

use crate::{
    discovery,
    kafka::{CallError, Connection, LastGood, dial},
    tasks::Tasks,
};
use pointsman_core::{
    Now,
    config::{Address, ClusterConfig},
    limits::SOURCE_WAIT,
    topology::{Observation, Topology, TopologyCell},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// A server that has not answered by then does not.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a cluster answered.
#[derive(Debug, Default)]
pub struct Report {
    /// Each bootstrap server, and why it could not be reached.
    pub servers: Vec<(Address, Result<(), String>)>,
    /// What its metadata says, all topics included; `None`: no server answered.
    pub topology: Option<Arc<Topology>>,
    /// What else an operator should know.
    pub notes: Vec<String>,
}

/// Asks a cluster. All servers at once, each within ten seconds.
pub async fn ask(cluster: &ClusterConfig) -> Report {
    let tasks = Tasks::default();
    let mut source = discovery::watch(cluster, &tasks.tracker, &tasks.stop);
    // A silent source leaves the list empty: that is reported below.
    let _ = timeout(SOURCE_WAIT, source.wait_for(|servers| !servers.is_empty())).await;
    let servers = source.borrow().clone();
    drop(source);
    tasks.end().await;
    let mut report = Report::default();
    if servers.is_empty() {
        report.notes.push("the source of its bootstrap servers names none".into());
    }
    let mut asked = tokio::task::JoinSet::new();
    for (index, server) in servers.iter().cloned().enumerate() {
        asked.spawn(async move { (index, server.clone(), ask_server(&server, index == 0).await) });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(index, ..)| *index);
    let cell = TopologyCell::default();
    for (_, server, answer) in answers {
        report.take(server, answer, &cell);
    }
    report.all_topics(&cell).await;
    report
}

struct Answer {
    observation: Observation,
    note: Option<String>,
}

impl Report {
    fn take(&mut self, server: Address, answer: Result<Answer, String>, cell: &TopologyCell) {
        match answer {
            Ok(answer) => {
                cell.merge(&answer.observation, Now::ZERO);
                self.topology = Some(cell.load());
                if let Some(note) = answer.note.filter(|note| !self.notes.contains(note)) {
                    self.notes.push(note);
                }
                self.servers.push((server, Ok(())));
            }
            Err(why) => self.servers.push((server, Err(why))),
        }
    }

    /// The first server was asked for all topics; if it is down, another one is.
    async fn all_topics(&mut self, cell: &TopologyCell) {
        if self.servers.first().is_none_or(|(_, answer)| answer.is_ok()) {
            return;
        }
        let Some((server, _)) = self.servers.iter().find(|(_, answer)| answer.is_ok()) else { return };
        match ask_server(server, true).await {
            Ok(answer) => {
                cell.merge(&answer.observation, Now::ZERO);
                self.topology = Some(cell.load());
            }
            Err(why) => self.notes.push(format!("its topics could not be listed: {why}")),
        }
    }
}

async fn ask_server(server: &Address, all_topics: bool) -> Result<Answer, String> {
    match timeout(DEADLINE, ask_broker(server, all_topics)).await {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no answer within {DEADLINE:?}")),
    }
}

async fn ask_broker(server: &Address, all_topics: bool) -> Result<Answer, CallError> {
    let mut connection = Connection::new(dial(server, &LastGood::default()).await?);
    connection.api_versions().await?;
    let observation = connection.metadata(all_topics).await?;
    let note = match connection.quorum_leader().await {
        Ok(Some(leader)) if leader >= 0 => None,
        Ok(Some(_)) => Some("it has no metadata quorum".into()),
        Ok(None) => Some("its brokers cannot be asked for the metadata quorum".into()),
        Err(error) => Some(format!("the metadata quorum cannot be asked: {error}")),
    };
    Ok(Answer { observation, note })
}
