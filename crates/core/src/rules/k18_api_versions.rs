//! ApiVersions: answered here, with what Pointsman and every cluster of the chain can do.

use super::{Fail, Route, Rule, error};
use crate::offer::Offer;
use pointsman_wire::value::Struct;

pub(super) const RULE: Rule = Rule::new(18, Route::Local, Fail::Close);

/// The response for an offer.
pub(crate) fn response(offer: &Offer, error: i16) -> Struct {
    let api = |(key, (min, max)): (&i16, &(i16, i16))| {
        Struct::new()
            .with("ApiKey", *key)
            .with("MinVersion", advertised_min(*key, *min))
            .with("MaxVersion", *max)
    };
    let supported = offer.supported.iter().map(|(name, (min, max))| {
        Struct::new().with("Name", &**name).with("MinVersion", *min).with("MaxVersion", *max)
    });
    let finalized = offer.finalized.iter().map(|(name, (min, max))| {
        Struct::new().with("Name", &**name).with("MinVersionLevel", *min).with("MaxVersionLevel", *max)
    });
    Struct::new()
        .with("ErrorCode", error)
        .with("ApiKeys", offer.apis.iter().map(api).collect::<Vec<_>>())
        .with("SupportedFeatures", supported.collect::<Vec<_>>())
        .with("FinalizedFeatures", finalized.collect::<Vec<_>>())
        .with("FinalizedFeaturesEpoch", i64::try_from(offer.finalized_epoch).unwrap_or(i64::MAX))
}

/// librdkafka takes Produce without version 0 as a broker too old for message format 2, so Kafka advertises it all the same
/// (KAFKA-18659); requests below 3 are refused.
fn advertised_min(key: i16, min: i16) -> i16 {
    if key == 0 { 0 } else { min }
}

/// The error of an ApiVersions request in a version that is not offered; it is answered in version 0.
pub(crate) const UNSUPPORTED: i16 = error::UNSUPPORTED_VERSION;
