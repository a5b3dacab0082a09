//! Consumers at a planned move.

use super::*;

/// Produces have moved from `a` to `b` by command at generation 4; consumers may stay for 4 s.
fn draining() -> World {
    let mut world = World::serving_by(FailoverConfig { consumer_drain: 4 * S, ..rules() });
    world.max_epoch = 7;
    world.command(switch("b", false)).unwrap();
    assert_eq!(stays(&world), Some(("a", false)), "already while nothing takes produces");
    assert_eq!(world.active(), None);
    let actions = world.fenced();
    assert!(
        matches!(&actions[..], [Action::Activate { generation: 4, .. }, Action::Report(_)]),
        "{actions:?}"
    );
    world
}

fn stays(world: &World) -> Option<(&str, bool)> {
    match world.machine.consumers() {
        Consumers::Stay { on, leaving } => Some((&on.cluster, leaving)),
        _ => None,
    }
}

fn over(actions: &[Action]) -> Option<(Ended, Duration)> {
    actions.iter().find_map(|a| match a {
        Action::Drained(drained) => Some((drained.ended, drained.took)),
        _ => None,
    })
}

#[test]
fn consumers_stay_in_the_era_that_produces_have_left() {
    let world = draining();
    let era = Era { cluster: "a".into(), since: 2, epoch_base: 0, term: 0 };
    assert_eq!(world.machine.consumers(), Consumers::Stay { on: &era, leaving: false });
    assert_eq!((world.active(), world.machine.epoch_base()), (Some("b"), 7 + EPOCH_MARGIN));
}

#[test]
fn consumers_follow_when_everything_is_committed_behind_a_fence_of_their_own_and_to_higher_epochs() {
    let mut world = draining();
    world.now = S;
    let actions = world.step(Input::Committed { switch: 4 });
    assert_eq!(actions[0], Action::FenceConsumers { generation: 5 });
    assert_eq!(over(&actions), Some((Ended::Complete, S)));
    assert_eq!((world.machine.consumers(), world.active()), (Consumers::Wait, Some("b")));
    assert_eq!(world.step(Input::Fenced { generation: 4 }), [], "an older fence");
    let epoch_base = 2 * (7 + EPOCH_MARGIN);
    assert_eq!(
        world.step(Input::Fenced { generation: 5 }),
        [Action::MoveConsumers { generation: 6, epoch_base }]
    );
    assert_eq!(world.machine.consumers(), Consumers::Together);
    assert_eq!(
        (world.machine.epoch_base(), world.machine.since()),
        (epoch_base, 4),
        "produces notice nothing"
    );
}

#[test]
fn groups_are_asked_to_leave_when_everything_is_read_or_half_of_the_time_is_over() {
    let mut world = draining();
    assert_eq!(world.step(Input::Read { switch: 4 }), [Action::Announce { generation: 5 }]);
    assert_eq!(stays(&world), Some(("a", true)));
    assert_eq!(world.step(Input::Read { switch: 4 }), [], "once");

    let mut world = draining();
    assert_eq!((world.machine.deadline(), world.at(2 * S - Duration::from_millis(1))), (Some(2 * S), vec![]));
    assert_eq!(world.at(2 * S), [Action::Announce { generation: 5 }]);
    assert_eq!(world.machine.deadline(), Some(4 * S));
}

#[test]
fn what_was_found_out_for_another_switch_is_void() {
    let mut world = draining();
    assert_eq!(world.step(Input::Committed { switch: 2 }), []);
    assert_eq!(stays(&world), Some(("a", false)));
}

#[test]
fn a_drain_and_its_fence_are_bounded() {
    let mut world = draining();
    world.at(2 * S);
    assert_eq!(over(&world.at(4 * S)), Some((Ended::Deadline, 4 * S)));
    assert_eq!(world.machine.deadline(), Some(4 * S + FENCE_WAIT));
    assert!(matches!(&world.at(4 * S + FENCE_WAIT)[..], [Action::MoveConsumers { .. }]));
}

#[test]
fn a_cluster_that_loses_quorum_is_drained_no_longer() {
    let mut world = draining();
    let actions = world.standing("a", Standing::Lost);
    assert_eq!(over(&actions), Some((Ended::Lost, Duration::ZERO)));
    assert_eq!((world.machine.consumers(), world.active()), (Consumers::Wait, Some("b")));
}

#[test]
fn a_cluster_that_is_lost_between_the_two_phases_is_left_behind_a_fence_all_the_same() {
    let mut world = World::serving_by(FailoverConfig { consumer_drain: 4 * S, ..rules() });
    world.command(switch("b", false)).unwrap();
    world.standing("a", Standing::Lost);
    world.fenced();
    assert_eq!((world.active(), world.machine.deadline()), (Some("b"), Some(Duration::ZERO)));
    assert!(matches!(&world.at(Duration::ZERO)[..], [Action::FenceConsumers { .. }, Action::Drained(_)]));
}

#[test]
fn a_move_whose_target_is_lost_meanwhile_fences_consumers_before_anything_is_active() {
    let mut world = World::serving_by(FailoverConfig { consumer_drain: 4 * S, ..rules() });
    world.command(switch("b", false)).unwrap();
    world.standing("b", Standing::Lost);
    assert_eq!(world.fenced(), [Action::Fence { generation: 4 }]);
    assert_eq!((world.machine.consumers(), world.active()), (Consumers::Together, None));
    let actions = world.fenced();
    assert!(matches!(&actions[0], Action::Activate { cluster, .. } if &**cluster == "a"), "{actions:?}");
    assert_eq!(world.machine.consumers(), Consumers::Together);
}

#[test]
fn produces_that_have_to_move_again_take_consumers_with_them() {
    let mut world = draining();
    let actions = world.standing("b", Standing::Lost);
    assert_eq!(over(&actions), Some((Ended::Interrupted, Duration::ZERO)));
    assert_eq!(actions[1], Action::Fence { generation: 5 });
    assert_eq!((world.machine.consumers(), world.active()), (Consumers::Together, None));
    world.fenced();
    assert_eq!((world.active(), world.machine.consumers()), (Some("a"), Consumers::Together));
}

#[test]
fn only_planned_moves_that_nothing_forces_are_drained() {
    let with_drain = || World::serving_by(FailoverConfig { consumer_drain: 4 * S, ..rules() });
    let mut lost = with_drain();
    lost.standing("a", Standing::Lost);
    assert_eq!(lost.machine.consumers(), Consumers::Together);
    lost.fenced();
    lost.standing("a", Standing::Quorum);
    lost.at(30 * S);
    assert_eq!(stays(&lost), Some(("b", false)), "a failback is planned");
    let mut forced = with_drain();
    forced.command(switch("b", true)).unwrap();
    assert_eq!(forced.machine.consumers(), Consumers::Together);
    let mut off = World::serving();
    off.command(switch("b", false)).unwrap();
    assert_eq!(off.machine.consumers(), Consumers::Together);
}

#[test]
fn while_consumers_are_behind_no_command_is_taken_and_nothing_fails_back() {
    let mut world = draining();
    assert_eq!(world.command(switch("a", false)), Err(Refusal::Switching));
    let mut world =
        World::serving_by(FailoverConfig { consumer_drain: 4 * S, hold: Duration::ZERO, ..rules() });
    world.standing("a", Standing::Lost);
    world.fenced();
    world.standing("a", Standing::Quorum);
    world.fenced();
    assert_eq!(stays(&world), Some(("b", false)));
}

#[test]
fn a_restart_amid_a_drain_moves_consumers_at_once_and_to_higher_epochs() {
    let mut world = draining();
    let (base, saved) = (world.machine.epoch_base(), world.machine.saved());
    assert!(saved.trailing);
    world.machine = Machine::restore(&saved, chain(), rules(), 9 * S);
    assert_eq!((world.active(), world.machine.consumers()), (Some("b"), Consumers::Together));
    assert_eq!(world.machine.epoch_base(), base + 7 + EPOCH_MARGIN);
    assert!(!world.machine.saved().trailing);
    assert_eq!(world.at(9 * S), []);
}

/// The state may not have been stored since the drain began.
#[test]
fn a_restart_right_after_consumers_have_followed_shows_no_lower_epochs() {
    let mut world = draining();
    let saved = world.machine.saved();
    world.step(Input::Committed { switch: 4 });
    world.step(Input::Fenced { generation: 5 });
    let shown = world.machine.epoch_base();
    world.machine = Machine::restore(&saved, chain(), rules(), 9 * S);
    assert_eq!(world.machine.epoch_base(), shown);
}

#[test]
fn a_chain_without_the_drained_cluster_moves_consumers() {
    let mut world = draining();
    let mut moment = Moment { now: S, generation: &mut world.generation, max_epoch: 0 };
    let actions = world.machine.configure(vec!["b".into()], rules(), &mut moment);
    assert_eq!(over(&actions), Some((Ended::Lost, S)));
}
