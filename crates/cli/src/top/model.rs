//! What the monitor shows, as plain data.

use crate::screen::events::EventKind;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Everything on the screen but the user's own choices.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Host and port of the admin API.
    pub(super) admin: Arc<str>,
    /// When this was true: Unix time in milliseconds.
    pub(super) now_ms: u64,
    /// Whether the admin API answers.
    pub(super) answer: Answer,
    /// The last status; null before the first answer.
    pub(super) status: Arc<Value>,
    /// By name of the virtual cluster; none before the second answer, and while there is no answer.
    pub(super) rates: BTreeMap<String, Rates>,
    /// The newest stands last.
    pub(super) events: Vec<Event>,
}

/// Whether the admin API answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was not asked yet.
    Awaited,
    /// It does.
    Good,
    /// It does not.
    Missing {
        /// Since when: Unix time in milliseconds.
        since_ms: u64,
        /// Why, in words.
        why: String,
    },
}

/// What happens to a virtual cluster in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    /// Bytes from clients.
    pub(super) received: f64,
    /// Bytes to clients.
    pub(super) sent: f64,
    /// Requests; none in passthrough.
    pub(super) requests: f64,
    /// New connections.
    pub(super) accepted: f64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Unix time in milliseconds.
    pub(super) at_ms: u64,
    /// What kind of thing.
    pub(super) kind: EventKind,
    /// In words, one line.
    pub(super) text: String,
}
