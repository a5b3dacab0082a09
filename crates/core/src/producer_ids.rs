//! Producer ids that stay true over a switch (docs/decisions/0006-producer-ids.md).
//!
//! Every cluster hands out producer ids from 0 on, and remembers the sequence numbers of each. A *term* is a stay of the chain on
//! one cluster. Clients see a **virtual** id: the real one, marked with the term of its birth. The cluster of that term gets the real
//! id back; the cluster of any other term gets an **upstream** id that no cluster ever handed out and that no other term uses, so
//! that nothing is remembered under it.
//!
//! ```text
//!            63 62 61        49          36                                0
//!  virtual    0  0  0 ────────────────────  real id                             born in the first term: the real id itself
//!  virtual    0  0  1 0 ───  term of birth  real id                             born later
//!  upstream   0  1  permuted by the virtual cluster's name: term, term of birth, real id
//! ```
//!
//! In the first term nothing is translated. An id that nobody was given here passes as it is.
//!
//! Between clusters that hold the same logs with the same producers ([`ProducerIds::kept`]) the virtual id is the upstream one too, on
//! every cluster and in every term: what one of them remembers of a producer the other remembers as well
//! (docs/decisions/0008-identical-offsets.md). It still carries the term of its birth, because the clusters hand out the same ids.

use crate::broken::Mechanism;
use uuid::Uuid;

/// Bits of a real id: at a thousand new producers per second enough for two years.
const REAL_BITS: u32 = 36;
const REAL: i64 = (1 << REAL_BITS) - 1;
/// Bits of a term.
const TERM_BITS: u32 = 13;
const TERM: i64 = (1 << TERM_BITS) - 1;
/// Marks a virtual id with the term of its birth.
const VIRTUAL: i64 = 1 << 61;
/// Marks an upstream id.
const UPSTREAM: i64 = 1 << 62;
/// Bits of each half of an upstream id.
const HALF_BITS: u32 = 31;
const HALF: u64 = (1 << HALF_BITS) - 1;
const ROUNDS: usize = 6;

/// The producer ids of a virtual cluster in one term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProducerIds {
    /// As it stands in ids: 0 is the first term only, later ones go round from 1 to 8191.
    term: i64,
    keys: [u64; ROUNDS],
    /// Upstream ids are the virtual ones.
    kept: bool,
}

/// A virtual id, taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Birth {
    term: i64,
    real: i64,
}

impl ProducerIds {
    /// Those of a virtual cluster of that name, after its chain has moved to another cluster `term` times.
    pub fn new(virtual_cluster: &str, term: u32) -> Self {
        let term =
            if term == 0 || Mechanism::Generation.is_off() { 0 } else { 1 + i64::from(term - 1) % TERM };
        let name = format!("pointsman:producer-ids:{virtual_cluster}");
        let (high, low) = Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).as_u64_pair();
        let mut key = high;
        let keys = std::array::from_fn(|_| {
            key = scramble(key ^ low);
            key
        });
        Self { term, keys, kept: false }
    }

    /// Those of clusters that hold the same logs and know the same producers: a producer keeps its id on all of them.
    #[must_use]
    pub fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// Whether the ids in batches pass as they are.
    pub fn pass(&self) -> bool {
        self.term == 0 || self.kept
    }

    /// Whether a client got this id in another term, so that the active cluster knows nothing of its transactions.
    pub fn is_of_another_term(&self, id: i64) -> bool {
        !self.kept && born(id).is_some_and(|birth| birth.term != self.term)
    }

    /// What the active cluster gets for a client's id.
    pub fn upstream(&self, id: i64) -> i64 {
        match born(id) {
            _ if self.pass() => id,
            None => id,
            Some(birth) if birth.term == self.term => birth.real,
            Some(birth) => UPSTREAM | self.mix(birth),
        }
    }

    /// What a client gets for an id that the active cluster handed out just now; `None` for one that is too large to be marked.
    /// Below 0: no id, as it is.
    pub fn given(&self, real: i64) -> Option<i64> {
        match real {
            ..0 => Some(real),
            0..=REAL if self.term == 0 => Some(real),
            0..=REAL => Some(VIRTUAL | self.term << REAL_BITS | real),
            _ => None,
        }
    }

    /// What a client sees for an id in a description of the active cluster. A real id is taken for one of this term, although one
    /// that the same cluster handed out in an earlier term looks alike.
    pub fn described(&self, id: i64) -> i64 {
        match id & UPSTREAM {
            _ if id < 0 || self.kept => id,
            0 => self.given(id).unwrap_or(id),
            _ => self.unmix(id).unwrap_or(id),
        }
    }

    fn mix(&self, birth: Birth) -> i64 {
        let plain = self.term << (TERM_BITS + REAL_BITS) | birth.term << REAL_BITS | birth.real;
        let plain = plain.cast_unsigned();
        let (mut left, mut right) = (plain >> HALF_BITS, plain & HALF);
        for key in self.keys {
            (left, right) = (right, left ^ round(key, right));
        }
        (left << HALF_BITS | right).cast_signed()
    }

    /// The virtual id behind an upstream id, if one of a term up to this one was mixed into it.
    fn unmix(&self, id: i64) -> Option<i64> {
        let mixed = (id & !UPSTREAM).cast_unsigned();
        let (mut left, mut right) = (mixed >> HALF_BITS, mixed & HALF);
        for key in self.keys.iter().rev() {
            (left, right) = (right ^ round(*key, left), left);
        }
        let plain = (left << HALF_BITS | right).cast_signed();
        let (term, born) = (plain >> (TERM_BITS + REAL_BITS), plain >> REAL_BITS & TERM);
        let known = (1..=self.term).contains(&term) && (0..=self.term).contains(&born) && born != term;
        known.then(|| ProducerIds { term: born, ..*self }.given(plain & REAL)).flatten()
    }
}

fn born(id: i64) -> Option<Birth> {
    let (term, real) = (id >> REAL_BITS & TERM, id & REAL);
    let birth = Birth { term, real };
    let is_first = (0..=REAL).contains(&id);
    let is_later = term != 0 && id == VIRTUAL | term << REAL_BITS | real;
    (is_first || is_later).then_some(birth)
}

fn round(key: u64, half: u64) -> u64 {
    scramble(key ^ half) >> (64 - HALF_BITS)
}

/// The finisher of SplitMix64.
const fn scramble(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    const TERMS: [u32; 8] = [0, 1, 2, 3, 4, 100, 8190, 8191];

    fn reals() -> impl Iterator<Item = i64> {
        (0..64).chain([1000, 1001, 123_456_789, REAL - 1, REAL])
    }

    /// (term of birth, real id, virtual id) of every id of the samples.
    fn ids() -> Vec<(u32, i64, i64)> {
        let given = |term| reals().map(move |r| (term, r, ProducerIds::new("main", term).given(r).unwrap()));
        TERMS.into_iter().flat_map(given).collect()
    }

    #[test]
    fn ids_are_real_in_the_first_term_and_pass_untouched() {
        let first = ProducerIds::new("main", 0);
        assert!(first.pass() && ProducerIds::default().pass());
        for id in reals().chain(ids().into_iter().map(|i| i.2)) {
            assert_eq!(first.upstream(id), id);
        }
        assert!(reals().all(|real| first.given(real) == Some(real) && first.described(real) == real));
    }

    #[test]
    fn the_cluster_of_an_ids_birth_gets_the_real_id_back() {
        for (term, real, id) in ids() {
            let producers = ProducerIds::new("main", term);
            assert!(!producers.is_of_another_term(id));
            assert_eq!((producers.upstream(id), producers.described(real)), (real, id), "term {term}");
        }
    }

    #[test]
    fn no_two_ids_of_any_terms_are_alike() {
        let mut seen: HashMap<i64, (u32, u32, i64)> = HashMap::new();
        let virtual_ids: HashSet<i64> = ids().into_iter().map(|i| i.2).collect();
        assert_eq!(virtual_ids.len(), ids().len());
        for term in TERMS.into_iter().filter(|t| *t > 0) {
            let producers = ProducerIds::new("main", term);
            let others = ids().into_iter().filter(|(born, ..)| *born != term);
            for (born, real, id) in others {
                let upstream = producers.upstream(id);
                assert!(producers.is_of_another_term(id));
                assert!(
                    upstream >= UPSTREAM,
                    "never negative, never an id that a cluster or Pointsman hands out"
                );
                let before = seen.insert(upstream, (term, born, real));
                assert_eq!(before, None, "term {term}, born in {born}, {real}");
            }
        }
    }

    #[test]
    fn an_upstream_id_is_described_by_the_virtual_one() {
        for (number, term) in TERMS.into_iter().enumerate() {
            let producers = ProducerIds::new("main", term);
            let earlier = ids().into_iter().filter(|(born, ..)| TERMS[..number].contains(born));
            for (_, _, id) in earlier {
                assert_eq!(producers.described(producers.upstream(id)), id, "term {term}");
            }
        }
    }

    #[test]
    fn virtual_clusters_that_share_a_cluster_do_not_meet_there() {
        let upstream = |name| {
            let producers = ProducerIds::new(name, 1);
            reals().map(move |id| producers.upstream(id))
        };
        let all: HashSet<i64> = upstream("main").chain(upstream("other")).collect();
        assert_eq!(all.len(), 2 * reals().count());
    }

    #[test]
    fn where_the_clusters_know_the_same_producers_an_id_stays_as_it_is_and_no_other_producer_has_it() {
        let mut seen = HashSet::new();
        for (_, real, id) in ids() {
            assert!(seen.insert(id), "{real} twice");
            for term in TERMS {
                let producers = ProducerIds::new("main", term).kept();
                assert_eq!((producers.upstream(id), producers.described(id)), (id, id));
                assert!(producers.pass() && !producers.is_of_another_term(id));
            }
        }
        let given = |term| ProducerIds::new("main", term).kept().given(5);
        assert_eq!((given(0), given(1)), (Some(5), Some(VIRTUAL | 1 << 36 | 5)));
    }

    #[test]
    fn what_is_no_id_and_what_nobody_was_given_pass() {
        for term in TERMS {
            let producers = ProducerIds::new("main", term);
            for id in [
                -1,
                i64::MIN,
                REAL + 1,
                VIRTUAL,
                VIRTUAL | REAL,
                VIRTUAL | 1 << 60 | 1 << 36,
                UPSTREAM | 7,
                i64::MAX,
            ] {
                assert_eq!(producers.upstream(id), id, "{id} in term {term}");
                assert!(!producers.is_of_another_term(id));
            }
            assert_eq!((producers.given(-1), producers.described(-1)), (Some(-1), -1));
        }
    }

    #[test]
    fn an_id_that_is_too_large_is_not_cut() {
        for term in TERMS {
            let producers = ProducerIds::new("main", term);
            assert_eq!([producers.given(REAL + 1), producers.given(i64::MAX)], [None, None]);
            assert_eq!(producers.described(REAL + 1), REAL + 1);
        }
    }

    #[test]
    fn terms_go_round_but_never_come_back_to_the_first() {
        assert_eq!(ProducerIds::new("main", 8192), ProducerIds::new("main", 1));
        assert_ne!(ProducerIds::new("main", 8191 * 5), ProducerIds::new("main", 0));
        assert!(!ProducerIds::new("main", u32::MAX).pass());
    }

    #[test]
    fn what_is_sent_does_not_change_from_version_to_version() {
        // Brokers remember these: another value after an update would be another producer.
        let producers = ProducerIds::new("main", 1);
        assert_eq!(producers.given(5), Some(VIRTUAL | 1 << 36 | 5));
        assert_eq!(producers.upstream(5), 9_061_962_232_270_199_127);
    }
}
