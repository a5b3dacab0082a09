//! The demo with a view: keeps the model up to date, and does what the user asks for.

use super::{
    ground::CLUSTERS,
    scene::{Notes, Scene},
    script,
    stage::{PARTITIONS, Stage, TOPIC},
    view::{self, Broker, BrokerId, BrokerState, Cluster, Command, EventKind, Model, Slot},
};
use pointsman_control::handle::Handle;
use pointsman_core::{
    snapshot::Snapshot,
    status::{Status, VirtualClusterStatus},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

/// How often the model is made anew.
const REFRESH: Duration = Duration::from_millis(100);
/// Commands that wait.
const COMMANDS: usize = 16;

/// Shows the stage until the user has seen enough.
pub(super) async fn show(stage: Stage) -> Result<(), String> {
    let stage = Arc::new(stage);
    // Nothing is judged, and a long evening must not fill the memory.
    stage.scene.record(false);
    let (models, seen) = watch::channel(Model::default());
    let (commands, mut asked) = mpsc::channel(COMMANDS);
    let observer = observe(&stage, move |model| drop(models.send(model)));
    let screen = tokio::task::spawn_blocking(move || view::show(seen, commands));
    let mut doing = JoinSet::new();
    while let Some(command) = asked.recv().await {
        if command == Command::Quit {
            break;
        }
        while doing.try_join_next().is_some() {}
        // Restarting takes a while, and meanwhile something else can be asked for.
        let stage = Arc::clone(&stage);
        let busy = !doing.is_empty();
        doing.spawn(async move { obey(&stage, command, busy).await });
    }
    doing.shutdown().await;
    observer.abort();
    let _ = observer.await;
    let shown = screen.await.map_err(|e| e.to_string())?.map_err(|e| format!("the terminal: {e}"));
    if let Some(stage) = Arc::into_inner(stage) {
        stage.strike().await;
    }
    shown
}

/// Tells the scene why Pointsman switched, and makes a model of everything, again and again.
pub(super) fn observe(stage: &Stage, mut sink: impl FnMut(Model) + Send + 'static) -> JoinHandle<()> {
    let (scene, handle) = (stage.scene.clone(), stage.running.handle());
    let (snapshots, first_port, admin) = (stage.running.snapshots(), stage.first_port, stage.admin);
    let servers: Vec<Vec<String>> = (0..CLUSTERS.len()).map(|c| stage.ground.servers(c)).collect();
    let registries = stage.ground.encrypted.is_some();
    tokio::spawn(async move {
        let mut ticks = interval(REFRESH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(status) = status(&handle, &scene).await else { return };
            let snapshot = snapshots.borrow().clone();
            let slots = |active| slots(status.virtual_clusters.first(), active, first_port, &servers);
            sink(model(&scene, &status, &snapshot, slots, first_port, admin, registries));
        }
    })
}

async fn status(handle: &Handle, scene: &Scene) -> Option<Status> {
    let status = handle.status().await.ok()?;
    let switch = status.virtual_clusters.first().and_then(|v| v.switches.first());
    let to = scene.notes().last_switch.as_ref().and_then(|s| s.to).map(|c| CLUSTERS[c].0);
    if let Some(switch) = switch.filter(|s| to.is_some() && s.to.as_deref() == to) {
        scene.explain(&switch.reason);
    }
    Some(status)
}

async fn obey(stage: &Stage, command: Command, busy: bool) {
    match command {
        Command::Kill(id) => stage.kill(id.cluster, &[id.broker]).await,
        Command::Pause(id) => stage.pause(id.cluster, id.broker, true).await,
        Command::Resume(id) => stage.pause(id.cluster, id.broker, false).await,
        Command::Restart(id) => {
            if stage.scene.notes().broker(id) != Some(BrokerState::Killed) {
                stage.kill(id.cluster, &[id.broker]).await;
            }
            stage.restart(id.cluster, &[id.broker]).await;
        }
        Command::KillQuorum => {
            if let Some((cluster, brokers)) = quorum(&stage.scene) {
                stage.kill(cluster, &brokers).await;
            }
        }
        Command::EnterRecovery => {
            if let Some((cluster, brokers)) = quorum(&stage.scene) {
                stage.recovery_mode(cluster, &brokers, true);
            }
        }
        Command::LeaveRecovery => stage.leave_recovery(),
        Command::RestoreAll => stage.restore_all().await,
        Command::PlayScript if busy => {
            stage.scene.event(EventKind::Note, "one thing after the other: please wait");
        }
        Command::PlayScript => {
            stage.scene.record(true);
            match verdict(stage).await {
                Ok(verdict) => stage.scene.event(EventKind::Note, &verdict),
                Err(error) => stage.scene.event(EventKind::Problem, &error),
            }
            stage.scene.record(false);
            stage.scene.caption("");
        }
        Command::Quit => {}
    }
}

/// Plays the story and judges it while traffic goes on.
async fn verdict(stage: &Stage) -> Result<String, String> {
    stage.restore_all().await;
    let story = script::play(stage).await?;
    let outcome = script::judge(stage, &story).await?;
    Ok(match outcome.broken_promise() {
        None => format!("compared with both logs: {} records acknowledged, none lost", outcome.acked),
        Some(promise) => format!("a promise was broken: {promise}"),
    })
}

/// Those brokers of the active cluster without which the others are no majority.
fn quorum(scene: &Scene) -> Option<(usize, Vec<usize>)> {
    let cluster = scene.notes().active()?;
    let mut brokers = scene.are(cluster, BrokerState::Up);
    let remain = (CLUSTERS[cluster].1 - 1) / 2;
    brokers.truncate(brokers.len().saturating_sub(remain));
    Some((cluster, brokers))
}

fn model(
    scene: &Scene,
    status: &Status,
    snapshot: &Snapshot,
    slots: impl Fn(Option<usize>) -> Vec<Slot>,
    first_port: u16,
    admin: SocketAddr,
    registries: bool,
) -> Model {
    let notes = scene.notes();
    let served = status.virtual_clusters.first();
    Model {
        now: notes.now(),
        join: format!("127.0.0.1:{first_port}").into(),
        admin: admin.to_string().into(),
        topic: TOPIC.into(),
        caption: if notes.caption.is_empty() { hint(&notes).into() } else { Arc::clone(&notes.caption) },
        generation: status.generation,
        connections: served.map_or(0, |v| usize::try_from(v.connections).unwrap_or(usize::MAX)),
        active: notes.active(),
        registries,
        clusters: (0..CLUSTERS.len()).map(|c| cluster(c, &notes.brokers[c], status, snapshot)).collect(),
        slots: slots(notes.active()),
        clients: notes.clients(),
        history: notes.acked.clone(),
        events: notes.events.iter().cloned().collect(),
        last_switch: notes.last_switch.clone(),
    }
}

/// What to try next, while no story is told. At most 78 characters, the width of the narrowest screen.
fn hint(notes: &Notes) -> &'static str {
    let broken = notes.brokers.iter().flatten().any(|state| *state != BrokerState::Up);
    match (notes.active(), broken) {
        (Some(0), false) => "Clients are at work. Try m to kill the primary's quorum, or s for a story.",
        (Some(0), true) => "The primary still has a quorum: nothing moves. Try m, or a to bring all back.",
        (Some(_), true) => "The secondary serves; no client was told anything. Press a to bring all back.",
        (Some(_), false) => "The primary is well again. Pointsman waits 3 s, in case it falters.",
        (None, _) => "No cluster has a quorum: requests are refused. Press a to bring all back.",
    }
}

fn cluster(index: usize, states: &[BrokerState], status: &Status, snapshot: &Snapshot) -> Cluster {
    let name = CLUSTERS[index].0;
    let health = status.clusters.iter().find(|c| &*c.name == name);
    let known = snapshot.clusters.iter().find(|c| &*c.name == name).map(|c| c.topology.load());
    let leads = |node: i32, state: BrokerState| -> Vec<u32> {
        let leads = |p: &u32| {
            let leader =
                known.as_ref().and_then(|t| t.topics.get(TOPIC)?.partitions.get(*p as usize).copied());
            state == BrokerState::Up && leader.is_some_and(|p| p.leader == node)
        };
        (0..PARTITIONS).filter(leads).collect()
    };
    let broker =
        |(node, state): (i32, &BrokerState)| Broker { node, state: *state, leads: leads(node, *state) };
    Cluster {
        name: name.into(),
        quorum: health.is_some_and(|h| h.quorum),
        needed: health.map_or(0, |h| h.needed),
        brokers: (1..).zip(states).map(broker).collect(),
    }
}

/// Where each slot leads. The status names a broker as `node@host:port`, behind passthrough by its address alone.
fn slots(
    served: Option<&VirtualClusterStatus>,
    active: Option<usize>,
    first_port: u16,
    servers: &[Vec<String>],
) -> Vec<Slot> {
    let slots = served.map_or(&[][..], |v| &v.slots);
    let broker = |told: &Option<String>| broker(told.as_deref()?, active, servers);
    (first_port..).zip(slots).map(|(port, slot)| Slot { port, broker: broker(&slot.broker) }).collect()
}

fn broker(told: &str, active: Option<usize>, servers: &[Vec<String>]) -> Option<BrokerId> {
    if let Some((node, _)) = told.split_once('@') {
        return Some(BrokerId { cluster: active?, broker: node.parse::<usize>().ok()?.checked_sub(1)? });
    }
    let place = |of: &Vec<String>| of.iter().position(|server| server == told);
    servers.iter().enumerate().find_map(|(cluster, of)| Some(BrokerId { cluster, broker: place(of)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slots_broker_is_found_by_its_node_and_behind_passthrough_by_its_address() {
        let servers = [vec!["127.0.0.1:9".to_owned()], vec!["h:1".to_owned(), "h:2".to_owned()]];
        let of = |cluster, broker| Some(BrokerId { cluster, broker });
        assert_eq!(broker("3@h:1", Some(0), &servers), of(0, 2));
        assert_eq!(broker("h:2", Some(1), &servers), of(1, 1));
        assert_eq!(broker("127.0.0.1:9", None, &servers), of(0, 0));
        for unknown in ["3@h:1", "0@h:1", "x@h:1", "h:3", ""] {
            assert_eq!(broker(unknown, None, &servers), None, "{unknown}");
        }
    }
}
