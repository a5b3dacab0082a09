//! The way from one generation to the next, and what time brings.

use super::{
    codes,
    state::{Group, JoinPhase, State, Turn},
};
use std::time::{Duration, Instant};

/// A deadline that is always ahead, so that a group that cannot get on does not spin.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// What is due.
#[derive(Clone, Debug)]
enum Due {
    Session(String),
    Pending(String),
    JoinPhase,
    SyncPhase,
}

impl Group {
    /// A rebalance begins, or, when one is under way, the join phase ends if everybody is there.
    pub(super) fn rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::PreparingRebalance {
            self.end_join_phase_if_complete(turn);
        } else {
            self.prepare_rebalance(turn);
        }
    }

    pub(super) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(turn);
        }
        self.members.iter_mut().for_each(|member| member.owes_sync = false);
        self.sync_ends = None;
        let initial = self.state == State::Empty;
        self.enter(State::PreparingRebalance);
        if initial {
            self.member_added = false;
            let step = turn.config.initial_rebalance_delay;
            let left = self.rebalance_timeout().saturating_sub(step);
            self.join_phase = Some(JoinPhase::Initial { ends: turn.now + step, step, left });
        } else if self.all_joined() {
            self.end_join_phase(turn);
        } else {
            self.wait_for_joins(turn.now);
        }
    }

    /// An assignment will not come any more: whoever waits for it has to join again.
    fn refuse_syncs(&mut self, turn: &mut Turn<'_>) {
        for member in &mut self.members {
            member.assignment.clear();
            if let Some(ticket) = member.syncing.take() {
                turn.tickets.sync_error(Some(ticket), codes::REBALANCE_IN_PROGRESS);
                member.heard(turn.now);
            }
        }
    }

    fn wait_for_joins(&mut self, now: Instant) {
        let ends = now + self.rebalance_timeout().max(LEAST_WAIT);
        self.join_phase = Some(JoinPhase::Rebalance { ends });
    }

    /// Ends the join phase if all have joined; that of a group that was empty lasts its time.
    pub(super) fn end_join_phase_if_complete(&mut self, turn: &mut Turn<'_>) {
        let may_end = self.state == State::PreparingRebalance && self.previous != State::Empty;
        if may_end && self.all_joined() {
            self.end_join_phase(turn);
        }
    }

    /// The next generation, of those who have joined and of static members, who may be away.
    fn end_join_phase(&mut self, turn: &mut Turn<'_>) {
        self.join_phase = None;
        let absent =
            |member: &&super::member::Member| member.joining.is_none() && member.instance_id.is_none();
        let absent: Vec<String> =
            self.members.iter().filter(absent).map(|member| member.id.clone()).collect();
        absent.iter().for_each(|id| self.remove(turn, id));
        if !self.elect_leader() && !self.members.is_empty() {
            self.wait_for_joins(turn.now);
            return;
        }
        self.next_generation();
        if self.state == State::Empty {
            self.save();
        } else {
            self.announce(turn);
        }
    }

    /// The leader must be one who joined.
    fn elect_leader(&mut self) -> bool {
        let joined = |id: &str| self.member(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_deref().is_some_and(joined) {
            return true;
        }
        let first =
            self.members.iter().find(|member| member.joining.is_some()).map(|member| member.id.clone());
        if first.is_some() {
            self.leader = first;
            return true;
        }
        false
    }

    /// Answers every JoinGroup; now every member owes a SyncGroup.
    fn announce(&mut self, turn: &mut Turn<'_>) {
        for at in 0..self.members.len() {
            let ticket = self.members[at].joining.take();
            let id = self.members[at].id.clone();
            turn.tickets.join(ticket, || {
                let members = if self.is_leader(&id) { self.joined_members() } else { Vec::new() };
                super::JoinReply { members, ..self.join_reply(&id) }
            });
            let member = &mut self.members[at];
            member.heard(turn.now);
            member.is_new = false;
            member.owes_sync = true;
        }
        self.sync_ends = Some(turn.now + self.rebalance_timeout().max(LEAST_WAIT));
    }

    /// Those who have not sent a SyncGroup in time are out.
    fn end_sync_phase(&mut self, turn: &mut Turn<'_>) {
        self.sync_ends = None;
        let silent: Vec<String> =
            self.members.iter().filter(|member| member.owes_sync).map(|member| member.id.clone()).collect();
        if matches!(self.state, State::CompletingRebalance | State::Stable) && !silent.is_empty() {
            silent.iter().for_each(|id| self.remove(turn, id));
            self.prepare_rebalance(turn);
        }
    }

    /// Waits once more when members came in the meantime and none of them has to wait beyond its limit.
    fn end_initial_join_phase(&mut self, turn: &mut Turn<'_>, step: Duration, left: Duration) {
        if !self.member_added || left.is_zero() {
            self.end_join_phase(turn);
            return;
        }
        self.member_added = false;
        let next = turn.config.initial_rebalance_delay.min(left);
        let left = left.saturating_sub(step);
        self.join_phase = Some(JoinPhase::Initial { ends: turn.now + next, step: next, left });
    }

    fn end_session(&mut self, turn: &mut Turn<'_>, id: &str) {
        let Some(member) = self.member_mut(id) else { return };
        member.session_ends = None;
        if member.is_excused() {
            return;
        }
        self.remove(turn, id);
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(turn),
            State::PreparingRebalance if self.all_joined() => self.end_join_phase(turn),
            _ => {}
        }
    }

    fn end_pending(&mut self, turn: &mut Turn<'_>, id: &str) {
        self.pending.remove(id);
        if self.state == State::PreparingRebalance && self.all_joined() {
            self.end_join_phase(turn);
        }
    }

    fn deadlines(&self) -> impl Iterator<Item = (Instant, Due)> {
        let sessions = self
            .members
            .iter()
            .filter_map(|member| member.session_ends.map(|ends| (ends, Due::Session(member.id.clone()))));
        let pending = self.pending.iter().map(|(id, ends)| (*ends, Due::Pending(id.clone())));
        let join = self.join_phase.map(|phase| (phase.ends(), Due::JoinPhase));
        let sync = self.sync_ends.map(|ends| (ends, Due::SyncPhase));
        sessions.chain(pending).chain(join).chain(sync)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let sessions = self.members.iter().filter_map(|member| member.session_ends);
        let phases = self.join_phase.map(JoinPhase::ends).into_iter().chain(self.sync_ends);
        sessions.chain(self.pending.values().copied()).chain(phases).min()
    }

    /// Does all that is due, the earliest first.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        if let Some(consumers) = &mut self.consumers {
            consumers.tick(turn.now);
        }
        while self.next_deadline().is_some_and(|at| at <= turn.now) {
            let Some((_, due)) = self.deadlines().min_by_key(|(at, _)| *at) else { return };
            match due {
                Due::Session(id) => self.end_session(turn, &id),
                Due::Pending(id) => self.end_pending(turn, &id),
                Due::SyncPhase => self.end_sync_phase(turn),
                Due::JoinPhase => match self.join_phase.take() {
                    Some(JoinPhase::Initial { step, left, .. }) => {
                        self.end_initial_join_phase(turn, step, left);
                    }
                    _ => self.end_join_phase(turn),
                },
            }
        }
    }

    /// A coordinator has the group from now on: every session begins anew.
    pub(super) fn load(&mut self, turn: &mut Turn<'_>) {
        self.members.iter_mut().for_each(|member| member.heard(turn.now));
        if let Some(consumers) = &mut self.consumers {
            consumers.load(turn.now, turn.config.consumer_session_timeout);
        }
        if self.members.len() > turn.config.max_size {
            self.prepare_rebalance(turn);
        }
    }
}
