//! What Pointsman does to the requests of transactions, with its own ids and its own answers.

use super::{
    cluster::{Cluster, Identity},
    producer::{Answer, Ask},
};
use pointsman_core::{
    producer_ids::ProducerIds,
    rules::transactions::{END_GIVES_ID, END_TXN, INIT_PRODUCER_ID, belongs, lost},
};

const PRODUCE: i16 = 0;
const ADD_PARTITIONS: i16 = 24;

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// None.
    Nothing,
    /// Requests of a transaction that began elsewhere reach the active cluster.
    Passed,
    /// The same, and their ids are the clusters' own.
    Raw,
    /// An abort of such a transaction reaches it.
    AbortPassed,
    /// A new id is asked for with the old one, which is another cluster's.
    OldIdAsked,
}

pub(super) struct Pointsman {
    broken: Broken,
    pub(super) term: u32,
}

impl Pointsman {
    pub(super) fn new(broken: Broken) -> Self {
        Self { broken, term: 0 }
    }

    fn ids(&self) -> ProducerIds {
        ProducerIds::new("main", if self.broken == Broken::Raw { 0 } else { self.term })
    }

    /// Takes a request to the active cluster, or answers it.
    pub(super) fn request(&self, cluster: &mut Cluster, producer: usize, v2: bool, ask: Ask) -> Answer {
        let ids = self.ids();
        let identity = ask.identity();
        let stale = ids.is_of_another_term(identity.id) && self.broken != Broken::Passed;
        let upstream = Identity { id: ids.upstream(identity.id), ..identity };
        let given = |found: Identity| match ids.given(found.id) {
            Some(id) => Answer::Given(Identity { id, ..found }),
            None => Answer::Error(14),
        };
        let (key, version) = match ask {
            Ask::Init(_) => (INIT_PRODUCER_ID, 5),
            Ask::Add(_) => (ADD_PARTITIONS, 3),
            Ask::Produce(..) => (PRODUCE, if v2 { 12 } else { 9 }),
            Ask::End(..) => (END_TXN, if v2 { END_GIVES_ID } else { END_GIVES_ID - 2 }),
        };
        let anew = Identity { id: -1, epoch: -1 };
        if stale && (key == PRODUCE || belongs(key)) {
            return match ask {
                Ask::End(_, false) if self.broken == Broken::AbortPassed => {
                    self.pass(cluster, producer, v2, ask, upstream, &given)
                }
                Ask::End(_, false) if v2 => cluster.init(producer, anew).map_or_else(Answer::Error, given),
                Ask::End(_, false) => Answer::Done,
                _ => Answer::Error(lost(key, version)),
            };
        }
        let asked = if key == INIT_PRODUCER_ID && stale && self.broken != Broken::OldIdAsked {
            anew
        } else {
            upstream
        };
        self.pass(cluster, producer, v2, ask, asked, &given)
    }

    fn pass(
        &self,
        cluster: &mut Cluster,
        producer: usize,
        v2: bool,
        ask: Ask,
        identity: Identity,
        given: &impl Fn(Identity) -> Answer,
    ) -> Answer {
        let done = |result: Result<(), i16>| result.map_or_else(Answer::Error, |()| Answer::Done);
        match ask {
            Ask::Init(_) => cluster.init(producer, identity).map_or_else(Answer::Error, given),
            Ask::Add(_) => done(cluster.add(producer, identity)),
            Ask::Produce(_, record) => done(cluster.produce(producer, identity, v2, record)),
            Ask::End(_, commit) => match cluster.end_txn(producer, identity, commit, v2) {
                Ok(next) if v2 => given(next),
                Ok(_) => Answer::Done,
                Err(code) => Answer::Error(code),
            },
        }
    }
}

impl Ask {
    fn identity(self) -> Identity {
        match self {
            Self::Init(identity) | Self::Add(identity) => identity,
            Self::Produce(identity, _) | Self::End(identity, _) => identity,
        }
    }
}
