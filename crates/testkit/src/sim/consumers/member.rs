//! A consumer: its library's rules as data, and where it is.

use std::collections::{HashMap, HashSet};

/// What a consumer does by its library and its settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// It asks how far an older leader epoch reached (KIP-320): Java, librdkafka and franz-go; kafka-python does not.
    pub(super) validates: bool,
    /// `auto.offset.reset=latest`.
    pub(super) latest: bool,
    /// It is the only member of a group.
    pub(super) grouped: bool,
    /// Steps between two commits.
    pub(super) commit_every: u64,
    /// Steps until a member learns that its group does not know it.
    pub(super) heartbeat: usize,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) rules: Rules,
    /// Not there before this step.
    pub(super) away_until: u64,
    /// The visit that it joined in; `None`: it must join.
    pub(super) joined: Option<usize>,
    /// The visit that its positions were last checked in.
    pub(super) checked: usize,
    /// When it learns of the newest switch.
    pub(super) learns_at: u64,
    /// By partition: the next offset, and the epoch of the record before it.
    pub(super) places: Vec<(i64, i32)>,
    pub(super) committed_at: u64,
    /// The first visit in which it had a committed offset of a partition, with the cluster and the offset.
    pub(super) seen: HashMap<usize, (usize, usize, i64)>,
    /// Cluster, partition, offset.
    pub(super) read: HashSet<(usize, usize, i64)>,
    /// By cluster and partition: where it was last as a member.
    pub(super) was_at: HashMap<(usize, usize), i64>,
}

impl Member {
    pub(super) fn new(name: String, rules: Rules, partitions: usize) -> Self {
        Self {
            name,
            rules,
            away_until: 0,
            joined: None,
            checked: 0,
            learns_at: 0,
            places: vec![(0, 0); partitions],
            committed_at: 0,
            seen: HashMap::new(),
            read: HashSet::new(),
            was_at: HashMap::new(),
        }
    }
}
