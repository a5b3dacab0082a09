//! FindCoordinator: any broker knows; the answer is remembered, because requests are routed by it.

use super::{Fail, Route, Rule, error};
use crate::topology::{CoordinatorKind, NodeId};
use pointsman_wire::value::{Struct, Value};

pub(super) const RULE: Rule = Rule::new(10, Route::Any, Fail::Replay);

/// The key type of a transactional id.
pub(crate) const TRANSACTION: i64 = 1;

/// The kind of a key type, if Pointsman routes by it.
pub(crate) fn kind(key_type: i64) -> Option<CoordinatorKind> {
    match key_type {
        0 => Some(CoordinatorKind::Group),
        TRANSACTION => Some(CoordinatorKind::Transaction),
        _ => None,
    }
}

/// The first version that asks for several keys at once; older ones ask for the first.
pub(crate) const MANY: i16 = 4;

/// A request for coordinators. Versions up to 3 carry one key, later ones an array.
pub(crate) fn request(kind: CoordinatorKind, keys: &[Box<str>]) -> Struct {
    let key_type = match kind {
        CoordinatorKind::Group => 0,
        CoordinatorKind::Transaction => 1,
    };
    Struct::new()
        .with("Key", keys.first().map(|key| &**key))
        .with("KeyType", key_type)
        .with("CoordinatorKeys", keys.iter().map(|key| Value::from(&**key)).collect::<Vec<_>>())
}

/// Between brokers: such keys hold topic ids, as text.
pub(crate) const SHARE: u8 = 2;

/// The answer to a client that asks for coordinators of share partitions: what brokers say to whoever is no broker.
pub(crate) fn refusal(request: &Struct) -> Struct {
    let refused = |key: &str| {
        Struct::new()
            .with("Key", key)
            .with("NodeId", -1)
            .with("Host", "")
            .with("Port", -1)
            .with("ErrorCode", error::CLUSTER_AUTHORIZATION_FAILED)
    };
    let keys = request.array("CoordinatorKeys").iter().filter_map(Value::as_str);
    refused("").with("Coordinators", keys.map(refused).collect::<Vec<_>>())
}

/// The (key, real node) pairs of a response without error. `asked` is the request's key, which old versions do not repeat.
pub(crate) fn answers(response: &Struct, asked: Option<&str>) -> Vec<(String, NodeId)> {
    let many = response.structs("Coordinators").filter(|c| c.i16("ErrorCode") == 0 && c.i32("NodeId") >= 0);
    let mut found: Vec<_> = many.map(|c| (c.str("Key").to_owned(), c.i32("NodeId"))).collect();
    if let Some(asked) = asked
        && found.is_empty()
        && response.array("Coordinators").is_empty()
        && response.i16("ErrorCode") == 0
        && !response.str("Host").is_empty()
    {
        found.push((asked.to_owned(), response.i32("NodeId")));
    }
    found
}
