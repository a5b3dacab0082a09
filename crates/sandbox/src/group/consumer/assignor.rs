//! The assignors of the coordinator: who is to have what.

use super::member::{Held, TopicId};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Assignor {
    /// Of every topic, neighbours to each member, in the members' order.
    Range,
    /// As many partitions to each as to any other, and as few moves as that needs.
    Uniform,
}

/// A member, as an assignor sees it.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) id: String,
    /// Ranges go to members in this order.
    pub(super) order: String,
    /// The topics that it reads, with the number of their partitions.
    pub(super) topics: BTreeMap<TopicId, i32>,
    /// What was meant for it before.
    pub(super) had: Held,
}

impl Assignor {
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Range, Self::Uniform].into_iter().find(|assignor| assignor.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Uniform => "uniform",
        }
    }

    pub(super) fn assign(self, readers: Vec<Reader>) -> BTreeMap<String, Held> {
        match self {
            Self::Range => range(readers),
            Self::Uniform => uniform(&readers),
        }
    }
}

fn range(mut readers: Vec<Reader>) -> BTreeMap<String, Held> {
    readers.sort_by(|a, b| a.order.cmp(&b.order));
    let mut assigned: BTreeMap<String, Held> =
        readers.iter().map(|reader| (reader.id.clone(), Held::new())).collect();
    let topics: BTreeMap<TopicId, i32> = readers.iter().flat_map(|reader| reader.topics.clone()).collect();
    for (topic, count) in topics {
        let of: Vec<&Reader> = readers.iter().filter(|reader| reader.topics.contains_key(&topic)).collect();
        let mut rest = 0..count;
        for (at, reader) in of.iter().enumerate() {
            let left = i32::try_from(of.len() - at).unwrap_or(1);
            let share = (rest.end - rest.start + left - 1) / left;
            let own = (rest.start..rest.start + share).map(|index| (topic, index));
            assigned.entry(reader.id.clone()).or_default().extend(own);
            rest.start += share;
        }
    }
    assigned
}

fn uniform(readers: &[Reader]) -> BTreeMap<String, Held> {
    let mut assigned: Vec<Held> = keep(readers);
    let taken: Held = assigned.iter().flatten().copied().collect();
    let all: BTreeSet<(TopicId, i32)> = readers
        .iter()
        .flat_map(|reader| &reader.topics)
        .flat_map(|(topic, count)| (0..*count).map(|index| (*topic, index)))
        .collect();
    for partition in all.difference(&taken) {
        let least = (0..readers.len())
            .filter(|at| readers[*at].topics.contains_key(&partition.0))
            .min_by_key(|at| assigned[*at].len());
        if let Some(least) = least {
            assigned[least].insert(*partition);
        }
    }
    while let Some((partition, from, to)) = unfair(readers, &assigned) {
        assigned[from].remove(&partition);
        assigned[to].insert(partition);
    }
    readers.iter().map(|reader| reader.id.clone()).zip(assigned).collect()
}

/// What each had and still reads. Nothing was meant for two.
fn keep(readers: &[Reader]) -> Vec<Held> {
    let kept = |reader: &Reader| {
        let reads =
            |(topic, index): &(TopicId, i32)| reader.topics.get(topic).is_some_and(|count| index < count);
        reader.had.iter().copied().filter(reads).collect()
    };
    readers.iter().map(kept).collect()
}

/// A partition that one member has, and that would make another one's share more equal to its own. Each such move lessens the
/// sum of the squares of all shares, so they come to an end.
fn unfair(readers: &[Reader], assigned: &[Held]) -> Option<((TopicId, i32), usize, usize)> {
    let mut by_size: Vec<usize> = (0..readers.len()).collect();
    by_size.sort_by_key(|at| assigned[*at].len());
    for from in by_size.iter().rev().copied() {
        for to in by_size.iter().copied().filter(|to| assigned[*to].len() + 1 < assigned[from].len()) {
            let movable = |(topic, _): &&(TopicId, i32)| readers[to].topics.contains_key(topic);
            if let Some(partition) = assigned[from].iter().rev().find(movable) {
                return Some((*partition, from, to));
            }
        }
    }
    None
}
