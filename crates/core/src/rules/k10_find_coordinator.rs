//! FindCoordinator: any broker knows; the answer is remembered, because requests are routed by it.

use super::{Fail, Route, Rule, error, texts::Texts};
use crate::topology::{CoordinatorKind, NodeId};
use pointsman_wire::{
    cursor::Kind,
    edit::walk,
    error::DecodeError,
    header,
    tables::{self, find_coordinator_request as asks, find_coordinator_response as ids},
    value::{Pieces, Struct, Value},
    write::Writer,
};

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

/// The key type of a request, and its one key before [`MANY`]; of a frame, size included.
pub(crate) fn asked(frame: &[u8]) -> Option<(i64, Option<String>)> {
    let header = header::request_header(frame.get(4..)?).ok()?;
    let (message, body) = (tables::request(header.key, header.version)?, frame.get(4 + header.len..)?);
    let (mut key_type, mut key) = (0, None);
    let read = walk(message, header.version, body, |event, bytes| match (event.field.id, event.kind) {
        (asks::KEY_TYPE, Kind::Scalar) => {
            key_type = bytes.first().map_or(0, |byte| i64::from(byte.cast_signed()));
        }
        (asks::KEY, Kind::Text { prefix, .. }) => {
            key = std::str::from_utf8(&bytes[usize::from(prefix)..]).ok().map(str::to_owned);
        }
        _ => {}
    });
    read.ok().map(|()| (key_type, key))
}

/// The first version that asks for several keys at once; older ones ask for the first.
pub(crate) const MANY: i16 = 4;

/// The body of a request for coordinators. Versions up to 3 carry one key, later ones an array.
pub(crate) fn request(version: i16, kind: CoordinatorKind, keys: &Texts) -> Option<Vec<u8>> {
    let message = tables::request(RULE.key, version)?;
    let key_type = match kind {
        CoordinatorKind::Group => 0,
        CoordinatorKind::Transaction => 1,
    };
    let root = Struct::new().with("Key", keys.first()).with("KeyType", key_type);
    let pieces = Pieces::new(message, version);
    let body = pieces.root(&root, ("CoordinatorKeys", keys.len()), &mut |_, out| {
        let mut writer = Writer::new(out);
        keys.iter().for_each(|key| writer.string(key, message.is_flexible(version)));
        Ok(())
    });
    body.ok()
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

/// Calls `visit` with each key and real node in the body of a response that come without error. `asked` is the request's key, which old
/// versions do not repeat.
pub(crate) fn answers(
    version: i16,
    body: &[u8],
    asked: Option<&str>,
    mut visit: impl FnMut(&str, NodeId),
) -> Result<(), DecodeError> {
    let message = tables::response(RULE.key, version)
        .ok_or(DecodeError::UnsupportedVersion { key: RULE.key, version })?;
    let many = message.fields.iter().any(|f| f.id == ids::COORDINATORS && f.in_sequence(version));
    let (mut key, mut node, mut error, mut host) = (asked.unwrap_or_default(), -1, 0, 0);
    walk(message, version, body, |event, bytes| match (event.field.id, event.kind) {
        (ids::COORDINATORS_KEY, Kind::Text { prefix, .. }) => {
            let text = body.get(event.at + usize::from(prefix)..event.at + event.len);
            key = text.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        }
        (ids::HOST, Kind::Text { prefix, .. }) => host = bytes.len() - usize::from(prefix),
        (ids::NODE_ID | ids::COORDINATORS_NODE_ID, Kind::Scalar) => {
            node = bytes.try_into().map_or(-1, NodeId::from_be_bytes);
        }
        (ids::ERROR_CODE | ids::COORDINATORS_ERROR_CODE, Kind::Scalar) => {
            error = bytes.try_into().map_or(-1, i16::from_be_bytes);
        }
        (ids::COORDINATORS, Kind::ElementEnd) if error == 0 && node >= 0 => visit(key, node),
        _ => {}
    })?;
    if !many && asked.is_some() && error == 0 && host > 0 {
        visit(key, node);
    }
    Ok(())
}
