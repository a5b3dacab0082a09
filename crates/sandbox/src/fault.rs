//! Faults on single answers: what a broken broker, or a broken network, does to them.

use pointsman_wire::Struct;
use std::{fmt, sync::Arc, time::Duration};

/// What happens to an answer.
#[derive(Clone)]
pub enum Action {
    /// It is never sent; the connection stays, and later answers come.
    Drop,
    /// The connection ends instead.
    Close,
    /// It comes later; what follows on the connection waits behind it.
    Delay(Duration),
    /// It is changed before it is encoded.
    Alter(Arc<dyn Fn(&mut Struct) + Send + Sync>),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop => f.write_str("Drop"),
            Self::Close => f.write_str("Close"),
            Self::Delay(by) => f.debug_tuple("Delay").field(by).finish(),
            Self::Alter(_) => f.write_str("Alter"),
        }
    }
}

/// Which answers, and what happens to them.
#[derive(Debug, Clone)]
pub struct Injected {
    /// Api key.
    pub api: i16,
    /// Index of the broker; `None`: any.
    pub broker: Option<usize>,
    /// How many answers.
    pub times: usize,
    /// What happens.
    pub action: Action,
}

/// The action for an answer, if there is one for it; it is used up by one.
pub(crate) fn take(injected: &mut Vec<Injected>, api: i16, broker: usize) -> Option<Action> {
    injected.retain(|i| i.times > 0);
    let fits = |i: &&mut Injected| i.api == api && i.broker.is_none_or(|b| b == broker);
    let found = injected.iter_mut().find(fits)?;
    found.times -= 1;
    Some(found.action.clone())
}
