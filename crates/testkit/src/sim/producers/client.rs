//! An idempotent producer: batches in, requests out, answers in; what it does is in its [`Rules`].

use super::{
    broker::{Answer, Identity},
    rules::{Cure, Resend, Rules},
};
use pointsman_core::Now;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) rules: Rules,
    /// `None`: a producer id is asked for.
    pub(super) identity: Option<Identity>,
    pub(super) partitions: Vec<Queue>,
    /// When, partition, offset and number of each acknowledged record.
    pub(super) acks: Vec<(Now, usize, u64, u64)>,
    /// Records that were given up.
    pub(super) given_up: usize,
    /// It never sends again.
    pub(super) dead: bool,
    /// The epoch rises when nothing is under way any more; nothing is sent until then.
    draining: bool,
    requests: u64,
}

/// What is to be delivered to one partition.
#[derive(Debug)]
pub(super) struct Queue {
    /// The connection that metadata says leads to the leader.
    pub(super) slot: usize,
    /// Not acknowledged yet, in the order of the application.
    pub(super) batches: VecDeque<Pending>,
    /// Numbers of failed batches, the next to be sent first; only for [`Resend::LastFailedFirst`].
    failed: VecDeque<u64>,
    identity: Option<Identity>,
    next: i32,
    /// Whether the last answer was a success: then requests follow each other without waiting.
    flowing: bool,
}

/// Records of consecutive numbers (of this client and partition) that travel together.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) numbers: Vec<u64>,
    stamp: Option<(Identity, i32)>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Flying { request: u64, slot: usize },
    Failed { not_before: Now },
}

/// A Produce request of one batch.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) slot: usize,
    pub(super) partition: usize,
    pub(super) identity: Identity,
    pub(super) base: i32,
    pub(super) numbers: Vec<u64>,
}

impl Pending {
    fn flies(&self) -> bool {
        matches!(self.state, State::Flying { .. })
    }

    fn failed(&self) -> bool {
        matches!(self.state, State::Failed { .. })
    }

    fn ready(&self, now: Now) -> bool {
        match self.state {
            State::Waiting => true,
            State::Flying { .. } => false,
            State::Failed { not_before } => not_before <= now,
        }
    }
}

impl Client {
    pub(super) fn new(rules: Rules, partitions: usize) -> Self {
        let queue = || Queue {
            slot: 0,
            batches: VecDeque::new(),
            failed: VecDeque::new(),
            identity: None,
            next: 0,
            flowing: true,
        };
        Self {
            rules,
            identity: None,
            partitions: (0..partitions).map(|_| queue()).collect(),
            acks: Vec::new(),
            given_up: 0,
            dead: false,
            draining: false,
            requests: 0,
        }
    }

    /// The application hands records over.
    pub(super) fn add(&mut self, partition: usize, numbers: Vec<u64>) {
        self.partitions[partition].batches.push_back(Pending { numbers, stamp: None, state: State::Waiting });
    }

    /// Whether everything was delivered, or given up.
    pub(super) fn idle(&self) -> bool {
        self.partitions.iter().all(|queue| queue.batches.is_empty())
    }

    /// The requests that can be sent now.
    pub(super) fn send(&mut self, now: Now) -> Vec<Request> {
        let mut requests = Vec::new();
        if self.draining && !self.raise_epoch() {
            return requests;
        }
        let Some(identity) = self.identity.filter(|_| !self.dead) else { return requests };
        for (partition, queue) in self.partitions.iter_mut().enumerate() {
            while let Some(at) = queue.next_to_send(&self.rules, identity, now) {
                self.requests += 1;
                requests.push(queue.take_off(at, partition, identity, self.requests));
            }
        }
        requests
    }

    /// Whether nothing is under way any more, so that the epoch rises and what is not acknowledged is numbered anew.
    fn raise_epoch(&mut self) -> bool {
        if self.partitions.iter().flat_map(|queue| &queue.batches).any(Pending::flies) {
            return false;
        }
        if let Some(identity) = &mut self.identity {
            identity.epoch += 1;
        }
        self.partitions.iter_mut().flat_map(|queue| &mut queue.batches).for_each(|p| p.stamp = None);
        self.draining = false;
        true
    }

    /// Everything under way on a connection that was lost is sent again.
    pub(super) fn lost(&mut self, slot: usize, now: Now) {
        let on_it = |p: &Pending| matches!(p.state, State::Flying { slot: on, .. } if on == slot);
        for partition in 0..self.partitions.len() {
            let flying: Vec<u64> = self.partitions[partition]
                .batches
                .iter()
                .filter(|p| on_it(p))
                .filter_map(Pending::request)
                .collect();
            for request in flying {
                self.answer(partition, request, Answer::NotLeader, now, now);
            }
        }
    }

    /// An answer to a request came.
    pub(super) fn answer(
        &mut self,
        partition: usize,
        request: u64,
        answer: Answer,
        now: Now,
        not_before: Now,
    ) {
        let queue = &mut self.partitions[partition];
        let Some(at) = queue.batches.iter().position(|p| p.request() == Some(request)) else { return };
        if at > 0 && self.rules.resend == Resend::OldestAloneThenAll {
            // Whatever it says: it is sent again behind the oldest, or was already told apart by it.
            queue.batches[at].state = State::Failed { not_before: now };
            return;
        }
        if let Answer::Written(offset) = answer {
            let acked = queue.batches.remove(at).map(|p| p.numbers).unwrap_or_default();
            queue.flowing = true;
            let place = (0..).map(|i| offset + i);
            self.acks.extend(
                acked.into_iter().zip(place).map(|(number, offset)| (now, partition, offset, number)),
            );
            return;
        }
        let is_old = queue.batches[at].stamp.map(|(identity, _)| identity) != self.identity;
        let cure = match answer {
            _ if is_old && self.rules.forsakes_old_identity => Cure::GiveUp,
            Answer::NotLeader | Answer::Written(_) => Cure::Retry,
            Answer::Gap if at == 0 => self.rules.gap_at_head,
            Answer::Gap => self.rules.gap_behind,
            Answer::OldEpoch => self.rules.old_epoch,
        };
        self.cure(partition, at, cure, is_old, not_before);
    }

    fn cure(&mut self, partition: usize, at: usize, cure: Cure, is_old: bool, not_before: Now) {
        let queue = &mut self.partitions[partition];
        queue.flowing = false;
        queue.batches[at].state = State::Failed { not_before };
        if self.rules.resend == Resend::LastFailedFirst {
            queue.failed.push_front(queue.batches[at].numbers[0]);
        }
        match cure {
            Cure::Retry => {}
            Cure::NewEpoch => self.draining |= !is_old,
            Cure::GiveUp => {
                queue.failed.pop_front();
                self.given_up += queue.batches.remove(at).map_or(0, |p| p.numbers.len());
                if !is_old {
                    self.identity = None;
                }
            }
            Cure::Fatal => self.dead = true,
        }
    }
}

impl Pending {
    fn request(&self) -> Option<u64> {
        if let State::Flying { request, .. } = self.state { Some(request) } else { None }
    }
}

impl Queue {
    fn next_to_send(&mut self, rules: &Rules, identity: Identity, now: Now) -> Option<usize> {
        let flying = self.batches.iter().filter(|p| p.flies()).count();
        if flying >= rules.in_flight {
            return None;
        }
        let elsewhere = |p: &Pending| matches!(p.state, State::Flying { slot, .. } if slot != self.slot);
        if rules.drains_before_it_moves && self.batches.iter().any(elsewhere) {
            return None;
        }
        let at = match rules.resend {
            Resend::OldestAlone if self.batches.iter().any(Pending::failed) => {
                Some(0).filter(|_| self.batches[0].failed())
            }
            Resend::OldestAloneThenAll if !self.flowing => {
                Some(0).filter(|_| flying == 0 && !self.batches.is_empty())
            }
            Resend::LastFailedFirst if !self.failed.is_empty() => {
                self.batches.iter().position(|p| p.numbers[0] == self.failed[0])
            }
            _ => self.batches.iter().position(|p| !p.flies()),
        }?;
        let new = self.batches[at].stamp.is_none();
        // Nothing is numbered under a new identity while something of the old one is not settled.
        let unsettled =
            new && self.identity != Some(identity) && self.batches.iter().any(|p| p.stamp.is_some());
        (self.batches[at].ready(now) && !unsettled).then_some(at)
    }

    fn take_off(&mut self, at: usize, partition: usize, identity: Identity, request: u64) -> Request {
        let batch = &mut self.batches[at];
        if self.failed.front() == Some(&batch.numbers[0]) {
            self.failed.pop_front();
        }
        let (identity, base) = *batch.stamp.get_or_insert_with(|| {
            if self.identity != Some(identity) {
                (self.identity, self.next) = (Some(identity), 0);
            }
            let base = self.next;
            self.next += i32::try_from(batch.numbers.len()).unwrap_or(0);
            (identity, base)
        });
        batch.state = State::Flying { request, slot: self.slot };
        Request {
            number: request,
            slot: self.slot,
            partition,
            identity,
            base,
            numbers: batch.numbers.clone(),
        }
    }
}
