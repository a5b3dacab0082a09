//! Every transition of the machine, driven by hand.

mod drain;

use super::*;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

/// A machine with its clock and its counter of generations.
struct World {
    machine: Machine,
    generation: u64,
    now: Now,
    max_epoch: i32,
}

fn chain() -> Vec<Arc<str>> {
    vec!["a".into(), "b".into()]
}

fn rules() -> FailoverConfig {
    FailoverConfig { hold: 30 * S, consumer_drain: Duration::ZERO, ..FailoverConfig::default() }
}

impl World {
    fn new(rules: FailoverConfig) -> Self {
        Self { machine: Machine::new(chain(), rules), generation: 0, now: Now::ZERO, max_epoch: -1 }
    }

    /// Both clusters have quorum, `a` is active.
    fn serving() -> Self {
        Self::serving_by(rules())
    }

    fn serving_by(rules: FailoverConfig) -> Self {
        let mut world = Self::new(rules);
        world.standing("a", Standing::Quorum);
        world.standing("b", Standing::Quorum);
        world.fenced();
        assert_eq!(world.active(), Some("a"));
        world
    }

    fn step(&mut self, input: Input) -> Vec<Action> {
        let mut moment =
            Moment { now: self.now, generation: &mut self.generation, max_epoch: self.max_epoch };
        self.machine.step(input, &mut moment)
    }

    fn command(&mut self, command: Command) -> Result<Vec<Action>, Refusal> {
        let mut moment =
            Moment { now: self.now, generation: &mut self.generation, max_epoch: self.max_epoch };
        self.machine.command(command, &mut moment)
    }

    fn standing(&mut self, cluster: &str, standing: Standing) -> Vec<Action> {
        self.step(Input::Standing { cluster: cluster.into(), standing, trouble: None })
    }

    fn fenced(&mut self) -> Vec<Action> {
        self.step(Input::Fenced { generation: self.machine.since() })
    }

    fn at(&mut self, now: Now) -> Vec<Action> {
        self.now = now;
        self.step(Input::Timer)
    }

    fn active(&self) -> Option<&str> {
        self.machine.active().map(|a| &**a)
    }
}

fn switch(to: &str, force: bool) -> Command {
    Command::Switch { to: to.into(), seen: None, force }
}

#[test]
fn the_first_start_waits_until_preferred_clusters_are_decided() {
    let mut world = World::new(rules());
    assert_eq!(world.standing("b", Standing::Quorum), []);
    assert_eq!(world.standing("a", Standing::Lost), [Action::Fence { generation: 1 }]);
    let actions = world.fenced();
    assert_eq!(actions[0], Action::Activate { generation: 2, cluster: "b".into(), epoch_base: 0 });
}

#[test]
fn a_switch_fences_first_and_raises_the_epoch_base() {
    let mut world = World::serving();
    world.max_epoch = 7;
    assert_eq!(world.standing("a", Standing::Lost), [Action::Fence { generation: 3 }]);
    assert_eq!((world.active(), world.machine.deadline()), (None, Some(FENCE_WAIT)));
    let actions = world.fenced();
    let activate = Action::Activate { generation: 4, cluster: "b".into(), epoch_base: 7 + EPOCH_MARGIN };
    assert_eq!(actions[0], activate);
    let Action::Report(switch) = &actions[1] else { panic!("{actions:?}") };
    assert_eq!((switch.from.as_deref(), switch.to.as_deref()), (Some("a"), Some("b")));
    assert_eq!(switch.reason, Reason::QuorumLost);
}

#[test]
fn a_fence_that_never_passes_is_bounded() {
    let mut world = World::serving();
    world.standing("a", Standing::Lost);
    assert_eq!(world.at(FENCE_WAIT - Duration::from_millis(1)), []);
    assert_eq!(world.at(FENCE_WAIT).len(), 2);
    assert_eq!(world.active(), Some("b"));
}

#[test]
fn the_fence_of_another_generation_is_void() {
    let mut world = World::serving();
    world.standing("a", Standing::Lost);
    assert_eq!(world.step(Input::Fenced { generation: 2 }), []);
    assert_eq!(world.active(), None);
}

#[test]
fn without_any_quorum_nothing_is_active_until_one_is_back() {
    let mut world = World::serving();
    world.standing("b", Standing::Lost);
    world.standing("a", Standing::Lost);
    let actions = world.fenced();
    assert!(matches!(&actions[..], [Action::Report(s)] if s.to.is_none()), "{actions:?}");
    let actions = world.standing("b", Standing::Quorum);
    assert!(matches!(&actions[0], Action::Activate { cluster, .. } if &**cluster == "b"), "{actions:?}");
}

#[test]
fn a_switch_whose_target_is_lost_meanwhile_says_that_nothing_will_be_active() {
    let mut world = World::serving();
    world.standing("a", Standing::Lost);
    assert!(world.machine.switching());
    world.standing("b", Standing::Lost);
    let actions = world.fenced();
    assert_eq!(actions[0], Action::Close { generation: 4 });
    assert!(matches!(&actions[1], Action::Report(s) if s.to.is_none()), "{actions:?}");
    assert!(!world.machine.switching());
}

#[test]
fn failback_waits_for_an_unbroken_hold() {
    let mut world = World::serving();
    world.standing("a", Standing::Lost);
    world.fenced();
    world.now = 10 * S;
    world.standing("a", Standing::Quorum);
    world.now = 35 * S;
    world.standing("a", Standing::Lost);
    world.standing("a", Standing::Quorum);
    assert_eq!(world.at(64 * S), []);
    assert_eq!(world.machine.deadline(), Some(65 * S));
    assert_eq!(world.at(65 * S).len(), 1);
    world.fenced();
    assert_eq!(world.active(), Some("a"));
}

#[test]
fn moving_away_from_a_dead_cluster_is_never_delayed() {
    let mut world = World::serving();
    world.standing("a", Standing::Lost);
    world.fenced();
    world.now = S;
    world.standing("a", Standing::Quorum);
    world.standing("b", Standing::Lost);
    world.fenced();
    assert_eq!(world.active(), Some("a"));
}

#[test]
fn a_command_switches_and_is_not_undone_by_failback() {
    let mut world = World::serving();
    world.command(Command::Switch { to: "b".into(), seen: Some(2), force: false }).unwrap();
    world.fenced();
    assert_eq!(world.active(), Some("b"));
    assert_eq!((world.at(1000 * S), world.machine.deadline()), (vec![], None));
    world.command(Command::Failback).unwrap();
    world.fenced();
    assert_eq!(world.active(), Some("a"));
}

#[test]
fn control_can_be_given_back_to_the_policy() {
    let mut world = World::serving();
    assert_eq!(world.command(Command::Automatic), Err(Refusal::NotPinned));
    world.command(switch("b", false)).unwrap();
    assert_eq!(world.command(Command::Automatic), Err(Refusal::Switching));
    world.now = 10 * S;
    world.fenced();
    assert!(world.machine.pinned());
    assert_eq!(world.command(Command::Automatic), Ok(vec![]));
    assert!(!world.machine.pinned());
    assert_eq!(world.machine.deadline(), Some(40 * S), "the hold counts from the switch");
    assert_eq!(world.at(40 * S).len(), 1);
    world.fenced();
    assert_eq!(world.active(), Some("a"));
}

#[test]
fn control_given_back_after_the_hold_fails_back_at_once() {
    let mut world = World::serving();
    world.command(switch("b", false)).unwrap();
    world.fenced();
    world.now = 1000 * S;
    assert!(matches!(&world.command(Command::Automatic).unwrap()[..], [Action::Fence { .. }]));
    let actions = world.fenced();
    assert!(matches!(&actions[1], Action::Report(s) if s.reason == Reason::Failback), "{actions:?}");
}

#[test]
fn a_command_does_not_hold_against_the_loss_of_quorum() {
    let mut world = World::serving();
    world.command(switch("b", false)).unwrap();
    world.fenced();
    world.standing("b", Standing::Lost);
    world.fenced();
    assert_eq!((world.active(), world.machine.pinned()), (Some("a"), false));
}

#[test]
fn a_forced_cluster_serves_without_quorum_until_it_loses_one_that_it_has_had() {
    let mut world = World::serving();
    world.standing("b", Standing::Lost);
    assert_eq!(world.command(switch("b", false)), Err(Refusal::NoQuorum("b".into())));
    world.command(switch("b", true)).unwrap();
    world.fenced();
    assert_eq!(world.active(), Some("b"));
    assert_eq!((world.at(1000 * S), world.active()), (vec![], Some("b")));

    let saved = world.machine.saved();
    world.machine = Machine::restore(&saved, chain(), rules(), world.now);
    world.standing("a", Standing::Quorum);
    assert_eq!((world.standing("b", Standing::Lost), world.active()), (vec![], Some("b")), "after a restart");

    world.standing("b", Standing::Quorum);
    world.standing("b", Standing::Lost);
    world.fenced();
    assert_eq!(world.active(), Some("a"));
}

#[test]
fn while_nothing_is_active_a_command_can_force_a_cluster() {
    let mut world = World::serving();
    world.standing("b", Standing::Lost);
    world.standing("a", Standing::Lost);
    world.fenced();
    let actions = world.command(switch("b", true)).unwrap();
    assert!(matches!(&actions[0], Action::Activate { cluster, .. } if &**cluster == "b"), "{actions:?}");
}

#[test]
fn commands_that_cannot_be_right_are_refused() {
    let mut world = World::serving();
    let switch = |to: &str, seen| Command::Switch { to: to.into(), seen, force: false };
    assert_eq!(world.command(switch("c", None)), Err(Refusal::NotInChain("c".into())));
    assert_eq!(world.command(switch("a", None)), Err(Refusal::AlreadyActive("a".into())));
    assert_eq!(world.command(switch("b", Some(1))), Err(Refusal::Outdated { seen: 1, since: 2 }));
    assert_eq!(world.command(Command::Failback), Err(Refusal::NothingPreferred));
    world.standing("b", Standing::Lost);
    assert_eq!(world.command(switch("b", None)), Err(Refusal::NoQuorum("b".into())));
}

#[test]
fn without_automatic_failover_only_a_command_moves_clients() {
    let mut world = World::new(FailoverConfig { automatic: false, ..rules() });
    world.standing("b", Standing::Quorum);
    world.standing("a", Standing::Lost);
    assert_eq!(world.active(), None, "waits for the first of the chain");
    world.standing("a", Standing::Quorum);
    world.fenced();
    world.standing("a", Standing::Lost);
    assert_eq!(world.active(), Some("a"));
    world.command(Command::Switch { to: "b".into(), seen: None, force: false }).unwrap();
    world.fenced();
    assert_eq!(world.active(), Some("b"));
}

#[test]
fn a_planned_switch_waits_longer_for_a_cluster_that_catches_up_and_any_other_does_not() {
    let catch_up = 5 * S;
    let mut world = World::new(FailoverConfig { catch_up, ..rules() });
    for cluster in ["a", "b"] {
        world.standing(cluster, Standing::Quorum);
    }
    world.fenced();
    world.command(switch("b", false)).unwrap();
    assert_eq!(world.machine.deadline(), Some(FENCE_WAIT + catch_up));
    world.fenced();
    world.standing("b", Standing::Lost);
    assert_eq!(world.machine.deadline(), Some(FENCE_WAIT), "a failover");
    world.fenced();
    assert_eq!(world.active(), Some("a"));
}

#[test]
fn a_planned_switch_of_which_nobody_says_that_the_copy_is_complete_is_given_up() {
    let mut world = World::new(FailoverConfig { catch_up: 5 * S, ..rules() });
    for cluster in ["a", "b"] {
        world.standing(cluster, Standing::Quorum);
    }
    world.fenced();
    world.command(switch("b", false)).unwrap();
    world.at(FENCE_WAIT + 5 * S);
    assert_eq!(world.active(), Some("a"));
    world.command(switch("b", true)).unwrap();
    world.at(2 * FENCE_WAIT + 5 * S);
    assert_eq!(world.active(), Some("b"), "forced");
}

#[test]
fn a_planned_switch_to_a_cluster_that_lacks_records_is_given_up() {
    let mut world = World::serving();
    world.command(switch("b", false)).unwrap();
    let generation = world.machine.since();
    assert_eq!(world.step(Input::Behind { generation: generation - 1 }), [], "of another fence");
    let actions = world.step(Input::Behind { generation });
    assert!(matches!(&actions[0], Action::Activate { cluster, .. } if &**cluster == "a"), "{actions:?}");
    let Action::Report(switch) = &actions[1] else { panic!("{actions:?}") };
    assert_eq!((switch.from.as_deref(), switch.to.as_deref()), (Some("a"), Some("a")));
    assert_eq!((switch.reason, world.machine.term()), (Reason::Behind, 0));
}

#[test]
fn a_failback_that_is_given_up_is_tried_again_after_the_hold_and_keeps_what_a_command_chose() {
    let mut world = World::serving();
    world.standing("a", Standing::Lost);
    world.fenced();
    world.standing("a", Standing::Quorum);
    world.at(30 * S);
    world.step(Input::Behind { generation: world.machine.since() });
    assert_eq!((world.active(), world.machine.deadline()), (Some("b"), Some(60 * S)));

    let mut world = World::serving();
    world.command(switch("b", false)).unwrap();
    world.fenced();
    world.command(switch("a", false)).unwrap();
    world.step(Input::Behind { generation: world.machine.since() });
    assert!(world.machine.pinned() && world.active() == Some("b"));
}

#[test]
fn a_forced_switch_and_a_failover_are_not_given_up() {
    let mut world = World::serving();
    world.command(switch("b", true)).unwrap();
    assert_eq!(world.step(Input::Behind { generation: world.machine.since() }), []);
    world.fenced();
    assert_eq!(world.active(), Some("b"));
    world.standing("b", Standing::Lost);
    assert_eq!(world.step(Input::Behind { generation: world.machine.since() }), []);
}

#[test]
fn a_restart_goes_on_with_the_active_cluster_and_its_epoch_base() {
    let mut world = World::serving();
    world.standing("a", Standing::Lost);
    let fencing = world.machine.saved();
    world.fenced();
    let saved = world.machine.saved();
    world.machine = Machine::restore(&saved, chain(), rules(), Now::ZERO);
    assert_eq!((world.active(), world.machine.epoch_base()), (Some("b"), EPOCH_MARGIN));

    // Between the two phases: whatever was about to be activated may have been, so the base rises once more.
    world.machine = Machine::restore(&fencing, chain(), rules(), Now::ZERO);
    world.standing("a", Standing::Lost);
    world.standing("b", Standing::Quorum);
    world.fenced();
    assert_eq!((world.active(), world.machine.epoch_base()), (Some("b"), 2 * EPOCH_MARGIN));
}

#[test]
fn a_term_ends_with_the_move_to_another_cluster_and_only_with_it() {
    let mut world = World::serving();
    assert_eq!(world.machine.term(), 0);
    world.standing("b", Standing::Lost);
    world.standing("a", Standing::Lost);
    world.fenced();
    world.standing("a", Standing::Quorum);
    assert_eq!((world.active(), world.machine.term()), (Some("a"), 0), "back on the same cluster");
    world.standing("b", Standing::Quorum);
    world.standing("a", Standing::Lost);
    world.fenced();
    assert_eq!((world.active(), world.machine.term()), (Some("b"), 1));
    world.machine = Machine::restore(&world.machine.saved(), chain(), rules(), Now::ZERO);
    assert_eq!(world.machine.term(), 1);
    world.standing("a", Standing::Quorum);
    world.standing("b", Standing::Lost);
    world.fenced();
    assert_eq!((world.active(), world.machine.term()), (Some("a"), 2));
}

#[test]
fn a_term_that_may_have_begun_before_a_crash_is_not_given_to_another_cluster() {
    let mut world = World::serving();
    world.standing("a", Standing::Lost);
    let fencing = world.machine.saved();
    world.fenced();
    assert_eq!((world.active(), world.machine.term()), (Some("b"), 1));
    for (active, lost) in [("a", "b"), ("b", "a")] {
        world.machine = Machine::restore(&fencing, chain(), rules(), Now::ZERO);
        world.standing(lost, Standing::Lost);
        world.standing(active, Standing::Quorum);
        world.fenced();
        assert_eq!((world.active(), world.machine.term()), (Some(active), 2));
    }
}

#[test]
fn a_chain_without_the_active_cluster_leaves_it() {
    let mut world = World::serving();
    let mut moment = Moment { now: S, generation: &mut world.generation, max_epoch: 0 };
    let actions = world.machine.configure(vec!["b".into()], rules(), &mut moment);
    assert_eq!(actions, [Action::Fence { generation: 3 }]);
    world.fenced();
    assert_eq!(world.active(), Some("b"));
}
