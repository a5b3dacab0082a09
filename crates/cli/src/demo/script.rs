//! The story that the demo plays by itself: a minority loss, a failover, a failback, and the verdict.

use super::{
    report::Outcome,
    scene::now_ns,
    stage::{PARTITIONS, Stage, TOPIC},
    view::EventKind,
};
use pointsman_testkit::history::{Input, Side, Window, check};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;

const STEADY: Duration = Duration::from_secs(60);
/// Undisturbed traffic before a fault and after a move.
const SETTLE: Duration = Duration::from_secs(2);
/// How long two dead brokers are watched.
const MINORITY: Duration = Duration::from_secs(5);
const MOVE: Duration = Duration::from_secs(30);
const RECOVERY: Duration = Duration::from_secs(90);
const CATCH_UP: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

const PRIMARY: usize = 0;
const SECONDARY: usize = 1;

/// When what is judged began and ended, on the wall clock.
pub(super) struct Story {
    failed_at: u64,
    failback_at: u64,
    ended_at: u64,
    second: Option<SecondAct>,
}

/// What only clusters behind passthrough with TLS can show.
struct SecondAct {
    /// The primary's quorum went into recovery mode.
    recovery_at: u64,
    /// The secondary's quorum died.
    down_at: u64,
    /// Connections that were refused since, from the quickest on; `None`: one was not.
    refusals: Option<Vec<Duration>>,
    /// The primary left recovery mode.
    back_at: u64,
    ended_at: u64,
}

/// Plays the story.
///
/// # Errors
/// There was no steady traffic to begin with.
pub(super) async fn play(stage: &Stage) -> Result<Story, String> {
    let scene = &stage.scene;
    scene.caption("Two producers and a consumer group are at work, on the primary.");
    let began = now_ns();
    wait(STEADY, || scene.traffic_since(began)).await?;
    scene.event(EventKind::Note, "steady traffic on every partition, served by the primary");
    sleep(SETTLE).await;

    scene.caption("Two of five brokers die: quorum holds, nothing moves; some partitions wait.");
    stage.kill(PRIMARY, &[0, 1]).await;
    sleep(MINORITY).await;

    scene.caption("The third one dies: the primary has lost its quorum.");
    let failed_at = now_ns();
    stage.kill(PRIMARY, &[2]).await;
    let moved = match wait(MOVE, || scene.active_since(SECONDARY, failed_at)).await {
        Ok(_) => wait(MOVE, || scene.traffic_since(failed_at)).await,
        Err(error) => Err(error),
    };
    note(stage, moved, "The secondary serves. The clients waited, and were told nothing else.");
    sleep(SETTLE).await;

    scene.caption("The three brokers are started again.");
    let restarted_at = now_ns();
    stage.restart(PRIMARY, &[0, 1, 2]).await;
    let back = wait(RECOVERY, || scene.active_since(PRIMARY, restarted_at)).await;
    let failback_at = *back.as_ref().unwrap_or(&now_ns());
    let served = match back {
        Ok(at) => wait(MOVE, || scene.traffic_since(at)).await,
        Err(error) => Err(error),
    };
    note(stage, served, "The primary serves again.");
    sleep(SETTLE).await;
    let ended_at = now_ns();
    let second = if stage.ground.encrypted.is_some() { Some(second_act(stage).await) } else { None };
    Ok(Story { failed_at, failback_at, ended_at, second })
}

/// Recovery mode, then no cluster at all, then the primary again.
async fn second_act(stage: &Stage) -> SecondAct {
    let scene = &stage.scene;
    scene.caption("Three of the primary's registries stop; its Kafka ports stay open: recovery mode.");
    let recovery_at = now_ns();
    stage.recovery_mode(PRIMARY, &[0, 1, 2], true);
    let moved = served_by(stage, SECONDARY, recovery_at).await;
    note(stage, moved, "The secondary serves, though every port of the primary accepts.");
    sleep(SETTLE).await;

    scene.caption("Two of the secondary's three brokers die: no cluster has a quorum.");
    let down_at = now_ns();
    stage.kill(SECONDARY, &[0, 1]).await;
    let refusals = match wait(MOVE, || scene.nobody_serves()).await {
        Ok(()) => stage.refusals().await,
        Err(error) => {
            scene.event(EventKind::Problem, &format!("not in time: {error}"));
            None
        }
    };
    if let Some(slowest) = refusals.as_ref().and_then(|all| all.last()) {
        scene.event(EventKind::Note, &format!("connections are refused, the slowest after {slowest:.1?}"));
    }

    scene.caption("The primary's registries answer again.");
    let back_at = now_ns();
    stage.recovery_mode(PRIMARY, &[0, 1, 2], false);
    let back = served_by(stage, PRIMARY, back_at).await;
    note(stage, back, "The primary serves again.");
    sleep(SETTLE).await;
    let ended_at = now_ns();
    // Its log is needed for the verdict.
    stage.restart(SECONDARY, &[0, 1]).await;
    SecondAct { recovery_at, down_at, refusals, back_at, ended_at }
}

/// Waits until a cluster is active, and then serves every client on every partition.
async fn served_by(stage: &Stage, cluster: usize, since: u64) -> Result<(), String> {
    let active = wait(MOVE, || stage.scene.active_since(cluster, since)).await?;
    wait(MOVE, || stage.scene.traffic_since(active)).await
}

/// What did not come in time shows in the outcome; the demo goes on.
fn note(stage: &Stage, done: Result<(), String>, caption: &str) {
    match done {
        Ok(()) => stage.scene.caption(caption),
        Err(error) => stage.scene.event(EventKind::Problem, &format!("not in time: {error}")),
    }
}

async fn wait<T>(limit: Duration, look: impl Fn() -> Result<T, String>) -> Result<T, String> {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(POLL).await,
            found => return found,
        }
    }
}

/// Judges the story by what the clients saw and what the logs of the clusters hold.
pub(super) async fn judge(stage: &Stage, story: &Story) -> Result<Outcome, String> {
    // A consumer that does not catch up is a result too.
    let last_move = story.second.as_ref().map_or(story.failback_at, |second| second.back_at);
    let _ = wait(CATCH_UP, || stage.scene.caught_up(last_move)).await;
    let clients = stage.scene.histories();
    stage.ground.wait_in_sync(PRIMARY, TOPIC).await?;
    stage.ground.wait_in_sync(SECONDARY, TOPIC).await?;
    let primary = stage.ground.log(PRIMARY, TOPIC, PARTITIONS).await?;
    let secondary = stage.ground.log(SECONDARY, TOPIC, PARTITIONS).await?;
    let mut windows = vec![
        Window { start: story.failed_at, end: story.failback_at, to: Side::Secondary },
        Window { start: story.failback_at, end: story.ended_at, to: Side::Primary },
    ];
    if let Some(second) = &story.second {
        windows.push(Window { start: second.recovery_at, end: second.down_at, to: Side::Secondary });
        windows.push(Window { start: second.back_at, end: second.ended_at, to: Side::Primary });
    }
    let input = Input {
        partitions: PARTITIONS,
        clients: &clients,
        primary: &primary,
        secondary: &secondary,
        windows: &windows,
    };
    let consumed: HashSet<&str> =
        clients.iter().flat_map(|c| &c.consumed).map(|r| r.value.as_str()).collect();
    let refusals = story.second.as_ref().map(|second| second.refusals.as_deref());
    Ok(Outcome::of(&check(&input), consumed.len(), refusals))
}
