//! What happens in the demo, in order.

use super::{
    report::Outcome,
    say,
    stage::{PARTITIONS, Stage, now_ns},
};
use pointsman_testkit::{
    history::{Input, Side, Window, check},
    process::wait_for,
};
use std::{collections::HashSet, thread::sleep, time::Duration};

const STEADY: Duration = Duration::from_secs(60);
/// Undisturbed traffic before a fault and after a move.
const SETTLE: Duration = Duration::from_secs(2);
/// How long two dead brokers are watched.
const MINORITY: Duration = Duration::from_secs(5);
const MOVE: Duration = Duration::from_secs(30);
const RECOVERY: Duration = Duration::from_secs(90);

pub(super) fn play(stage: &mut Stage) -> Result<Outcome, String> {
    stage.wait_traffic(0, STEADY)?;
    sleep(SETTLE);
    say("two of five brokers of the primary are killed: it keeps its quorum, and nothing may move");
    stage.primary.kill(&[0, 1]);
    sleep(MINORITY);

    say("the third one is killed: the primary has lost its quorum");
    let failed_at = now_ns();
    stage.primary.kill(&[2]);
    let moved =
        wait_active(stage, "secondary", failed_at, MOVE).and_then(|_| stage.wait_traffic(failed_at, MOVE));
    note(moved, "every partition is served by the secondary");
    sleep(SETTLE);

    say("the three brokers are started again");
    let restarted_at = now_ns();
    stage.primary.restart(&[0, 1, 2])?;
    stage.primary.wait_ready()?;
    // The decision may come before the last broker is ready.
    let back = wait_active(stage, "primary", restarted_at, RECOVERY);
    let failback_at = *back.as_ref().unwrap_or(&now_ns());
    note(back.and_then(|at| stage.wait_traffic(at, MOVE)), "every partition is served by the primary again");
    sleep(SETTLE);

    let ended_at = now_ns();
    judge(stage, failed_at, failback_at, ended_at)
}

/// What did not come in time shows in the outcome; the demo goes on.
fn note(result: Result<(), String>, done: &str) {
    match result {
        Ok(()) => say(done),
        Err(error) => say(&format!("not in time: {error}")),
    }
}

fn wait_active(stage: &Stage, name: &str, since: u64, limit: Duration) -> Result<u64, String> {
    wait_for(limit, || stage.active_since(name, since))
}

fn judge(stage: &mut Stage, failed_at: u64, failback_at: u64, ended_at: u64) -> Result<Outcome, String> {
    let clients = stage.finish(failback_at);
    stage.wait_primary_in_sync()?;
    let (primary, secondary) = stage.logs()?;
    let windows = [
        Window { start: failed_at, end: failback_at, to: Side::Secondary },
        Window { start: failback_at, end: ended_at, to: Side::Primary },
    ];
    let input = Input {
        partitions: PARTITIONS,
        clients: &clients,
        primary: &primary,
        secondary: &secondary,
        windows: &windows,
    };
    let consumed: HashSet<&str> =
        clients.iter().flat_map(|c| &c.consumed).map(|r| r.value.as_str()).collect();
    Ok(Outcome::of(&check(&input), consumed.len()))
}
