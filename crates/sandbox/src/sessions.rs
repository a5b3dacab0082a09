//! Fetch sessions (KIP-227): what a client asks for again and again is named once.

use crate::errors::{FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH};
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;

/// `max.incremental.fetch.session.cache.slots`.
const SLOTS: usize = 1000;
/// The epoch of a request that opens a session, or asks without one.
const INITIAL: i32 = 0;
/// The epoch of a request that closes its session.
const FINAL: i32 = -1;

/// How a client named the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Name(Arc<str>),
    Id(Uuid),
}

/// A partition that is asked for, and what was last told of it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) topic: Named,
    pub(crate) index: i32,
    pub(crate) offset: i64,
    pub(crate) max_bytes: usize,
    pub(crate) leader_epoch: i32,
    pub(crate) last_epoch: i32,
    /// High watermark and log start, as last told.
    pub(crate) told: Option<(i64, i64)>,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    wanted: Vec<Wanted>,
}

/// The sessions of one broker.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: HashMap<i32, Session>,
    last_id: i32,
}

/// What a request means.
#[derive(Debug)]
pub(crate) struct Opened {
    /// 0: no session.
    pub(crate) id: i32,
    pub(crate) wanted: Vec<Wanted>,
    /// Partitions of which nothing new is known are left out.
    pub(crate) incremental: bool,
}

impl Sessions {
    /// Takes a request's session fields; an error is a code of Kafka.
    pub(crate) fn open(
        &mut self,
        id: i32,
        epoch: i32,
        wanted: Vec<Wanted>,
        forgotten: &[(Named, i32)],
    ) -> Result<Opened, i16> {
        if epoch == INITIAL || epoch == FINAL {
            self.by_id.remove(&id);
            // A client that asks for nothing, or for the last time, needs no session.
            if epoch == FINAL || wanted.is_empty() || self.by_id.len() >= SLOTS {
                return Ok(Opened { id: 0, wanted, incremental: false });
            }
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            self.by_id.insert(self.last_id, Session { epoch: 1, wanted: wanted.clone() });
            return Ok(Opened { id: self.last_id, wanted, incremental: false });
        }
        let session = self.by_id.get_mut(&id).ok_or(FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != epoch {
            return Err(INVALID_FETCH_SESSION_EPOCH);
        }
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.wanted.retain(|w| !forgotten.iter().any(|(topic, index)| w.is(topic, *index)));
        for new in wanted {
            match session.wanted.iter_mut().find(|w| w.is(&new.topic, new.index)) {
                Some(known) => *known = Wanted { told: known.told, ..new },
                None => session.wanted.push(new),
            }
        }
        Ok(Opened { id, wanted: session.wanted.clone(), incremental: true })
    }

    /// Remembers what was told of a partition. One that had data goes to the end, so that all get their turn.
    pub(crate) fn told(
        &mut self,
        id: i32,
        topic: &Named,
        index: i32,
        told: Option<(i64, i64)>,
        had_data: bool,
    ) {
        let Some(session) = self.by_id.get_mut(&id) else { return };
        let Some(at) = session.wanted.iter().position(|w| w.is(topic, index)) else { return };
        session.wanted[at].told = told;
        if had_data {
            let served = session.wanted.remove(at);
            session.wanted.push(served);
        }
    }
}

impl Wanted {
    fn is(&self, topic: &Named, index: i32) -> bool {
        self.index == index && self.topic == *topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(index: i32) -> Wanted {
        let topic = Named::Name("t".into());
        Wanted { topic, index, offset: 0, max_bytes: 1, leader_epoch: -1, last_epoch: -1, told: None }
    }

    #[test]
    fn a_session_remembers_what_is_asked_for_until_it_is_forgotten() {
        let mut sessions = Sessions::default();
        let opened = sessions.open(0, 0, vec![wanted(0), wanted(1)], &[]).expect("opened");
        assert!(!opened.incremental);
        let next =
            sessions.open(opened.id, 1, vec![wanted(2)], &[(Named::Name("t".into()), 0)]).expect("known");
        let asked: Vec<i32> = next.wanted.iter().map(|w| w.index).collect();
        assert_eq!(asked, [1, 2]);
        assert!(next.incremental);
    }

    #[test]
    fn sessions_that_are_unknown_or_out_of_step_are_refused() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.open(5, 1, Vec::new(), &[]).unwrap_err(), FETCH_SESSION_ID_NOT_FOUND);
        let id = sessions.open(0, 0, vec![wanted(0)], &[]).expect("opened").id;
        assert_eq!(sessions.open(id, 2, Vec::new(), &[]).unwrap_err(), INVALID_FETCH_SESSION_EPOCH);
        assert_eq!(sessions.open(id, -1, Vec::new(), &[]).expect("closed").id, 0);
        assert_eq!(sessions.open(id, 1, Vec::new(), &[]).unwrap_err(), FETCH_SESSION_ID_NOT_FOUND);
    }

    #[test]
    fn a_partition_that_had_data_waits_for_its_turn() {
        let mut sessions = Sessions::default();
        let id = sessions.open(0, 0, vec![wanted(0), wanted(1)], &[]).expect("opened").id;
        sessions.told(id, &Named::Name("t".into()), 0, Some((1, 0)), true);
        let asked: Vec<i32> =
            sessions.open(id, 1, Vec::new(), &[]).expect("known").wanted.iter().map(|w| w.index).collect();
        assert_eq!(asked, [1, 0]);
    }
}
