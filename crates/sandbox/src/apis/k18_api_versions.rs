//! ApiVersions: what this broker can do, and how far it has read the metadata.

use super::{Answer, Call, SERVED, array, versions};
use crate::{errors::UNSUPPORTED_VERSION, world::Shared};
use pointsman_wire::Struct;

pub(super) const KEY: i16 = 18;
/// `metadata.version` of Kafka 4.3.
const METADATA_VERSION: i16 = 29;
/// The oldest one that Kafka 4 can be started with.
const METADATA_VERSION_MIN: i16 = 7;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let feature = |min: &'static str, max: &'static str, from: i16| {
        array([Struct::new().with("Name", "metadata.version").with(min, from).with(max, METADATA_VERSION)])
    };
    let offset = call.shared.lock().brokers[call.broker].view.offset;
    Answer::Body(
        Struct::new()
            .with("ApiKeys", keys())
            .with("SupportedFeatures", feature("MinVersion", "MaxVersion", METADATA_VERSION_MIN))
            .with("FinalizedFeaturesEpoch", offset)
            .with("FinalizedFeatures", feature("MinVersionLevel", "MaxVersionLevel", METADATA_VERSION)),
    )
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
        Some(Struct::new().with("ApiKey", key).with("MinVersion", min).with("MaxVersion", max))
    };
    array(served.into_iter().filter_map(key))
}
