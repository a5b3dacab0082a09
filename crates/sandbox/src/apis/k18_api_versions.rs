//! ApiVersions: what this broker can do, and how far it has read the metadata.

use super::{Answer, Call, SERVED, array, versions};
use crate::{
    errors::{INVALID_REQUEST, UNSUPPORTED_VERSION},
    world::Shared,
};
use pointsman_wire::Struct;

pub(super) const KEY: i16 = 18;
const PRODUCE: i16 = 0;
/// From this version on a client says which software it is.
const NAMED: i16 = 3;
/// Features with the oldest and the newest level: all are finalized at the newest. The metadata.version is that of Kafka 4.3,
/// and Kafka 4 can be started from 7 on; group.version 1 is KIP-848; transaction.version 2 is KIP-890.
const FEATURES: [(&str, i16, i16); 3] =
    [("group.version", 0, 1), ("metadata.version", 7, 29), ("transaction.version", 0, 2)];

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let supported = FEATURES.map(|(name, min, max)| {
        Struct::new().with("Name", name).with("MinVersion", min).with("MaxVersion", max)
    });
    let finalized = FEATURES.map(|(name, _, level)| {
        Struct::new().with("Name", name).with("MinVersionLevel", level).with("MaxVersionLevel", level)
    });
    let named = |field| software(call.request.str(field));
    if call.version >= NAMED && !(named("ClientSoftwareName") && named("ClientSoftwareVersion")) {
        return Answer::Body(Struct::new().with("ErrorCode", INVALID_REQUEST));
    }
    let offset = call.shared.lock().brokers[call.broker].view.offset;
    Answer::Body(
        Struct::new()
            .with("ApiKeys", keys())
            .with("SupportedFeatures", array(supported))
            .with("FinalizedFeaturesEpoch", offset)
            .with("FinalizedFeatures", array(finalized)),
    )
}

/// Letters and digits, with dots and dashes in between (KIP-511).
fn software(name: &str) -> bool {
    let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-');
    edge(name.bytes().next()) && edge(name.bytes().next_back()) && name.bytes().all(inner)
}

/// The answer to a version that is not known: in version 0, with what is known (KIP-511).
pub(super) fn unsupported(_: &Shared) -> Answer {
    Answer::OtherVersion(Struct::new().with("ErrorCode", UNSUPPORTED_VERSION).with("ApiKeys", keys()), 0)
}

fn keys() -> pointsman_wire::Value {
    let mut served = SERVED;
    served.sort_unstable();
    let key = |key: i16| {
        let (min, max) = versions(key)?;
        // Produce is listed from 0 on for the sake of old clients, though below 3 it is not served.
        let min = if key == PRODUCE { 0 } else { min };
        Some(Struct::new().with("ApiKey", key).with("MinVersion", min).with("MaxVersion", max))
    };
    array(served.into_iter().filter_map(key))
}
