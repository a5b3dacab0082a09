//! JoinGroup: to the group's coordinator. What a consumer subscribes to stands in it in the clients' own protocol
//! (`ConsumerProtocolSubscription`), which brokers do not read.

use super::{Route, Rule, table::MEMBER};
use crate::topology::CoordinatorKind::Group;
use bytes::{Buf, Bytes};
use pointsman_wire::value::{Struct, Value};

pub(super) const RULE: Rule = Rule::new(11, Route::Coordinator(Group), MEMBER);

/// Takes out what a consumer subscribes to and what it claims to own, if it claims anything, or in any case if it keeps more than it
/// `says`: then it is assigned nothing, gives up what it had, and joins again with nothing in its hands. Returns whether something was
/// taken out.
pub(crate) fn strip_claims(request: &mut Struct, says: bool) -> bool {
    if request.str("ProtocolType") != "consumer" {
        return false;
    }
    let mut claimed = false;
    for protocol in request.structs_mut("Protocols") {
        let bare = protocol.bytes("Metadata").and_then(|m| without_claims(m.clone(), says));
        let Some(bare) = bare else { continue };
        protocol.set("Metadata", Value::Bytes(bare));
        claimed = true;
    }
    claimed
}

/// A subscription without topics and owned partitions; `None`: it says that it owns none, if that is to be believed, or is not
/// understood.
fn without_claims(subscription: Bytes, says: bool) -> Option<Bytes> {
    let mut rest = subscription;
    let version = rest.try_get_i16().ok()?;
    for _ in 0..rest.try_get_i32().ok()? {
        skip_string(&mut rest)?;
    }
    let from = rest.clone();
    let user_data = usize::try_from(rest.try_get_i32().ok()?).unwrap_or(0);
    skip(&mut rest, user_data)?;
    let user_data = from.slice(..4 + user_data);
    let nothing = 0_i32.to_be_bytes();
    if version < 1 {
        return (!says).then(|| [&version.to_be_bytes()[..], &nothing, &user_data, &rest].concat().into());
    }
    let owned = rest.try_get_i32().ok()?;
    for _ in 0..owned {
        skip_string(&mut rest)?;
        let partitions = usize::try_from(rest.try_get_i32().ok()?).ok()?;
        skip(&mut rest, partitions.checked_mul(4)?)?;
    }
    let parts: [&[u8]; 5] = [&version.to_be_bytes(), &nothing, &user_data, &nothing, &rest];
    (owned > 0 || !says).then(|| parts.concat().into())
}

fn skip_string(rest: &mut Bytes) -> Option<()> {
    let len = usize::try_from(rest.try_get_i16().ok()?).ok()?;
    skip(rest, len)
}

fn skip(rest: &mut Bytes, len: usize) -> Option<()> {
    (rest.len() >= len).then(|| rest.advance(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Vec<u8> {
        [&i16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
    }

    fn subscription(version: i16, topics: &[&str], owned: &[(&str, &[i32])], rest: &[u8]) -> Bytes {
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
        topics.iter().for_each(|t| bytes.extend(string(t)));
        bytes.extend([0, 0, 0, 2, 7, 7]);
        if version >= 1 {
            bytes.extend(i32::try_from(owned.len()).unwrap().to_be_bytes());
            for (topic, partitions) in owned {
                bytes.extend(string(topic));
                bytes.extend(i32::try_from(partitions.len()).unwrap().to_be_bytes());
                partitions.iter().for_each(|p| bytes.extend(p.to_be_bytes()));
            }
        }
        bytes.extend(rest);
        bytes.into()
    }

    #[test]
    fn claims_are_taken_out_with_the_topics_and_the_rest_stays() {
        let rest = [0, 0, 0, 9, 0, 1, b'r'];
        for version in 1..=3 {
            let claims = subscription(version, &["a", "bc"], &[("a", &[0, 1]), ("bc", &[2])], &rest);
            assert_eq!(without_claims(claims, true), Some(subscription(version, &[], &[], &rest)));
        }
    }

    #[test]
    fn topics_are_taken_out_of_a_subscription_that_is_not_believed() {
        for version in 0..=3 {
            let silent = subscription(version, &["a", "bc"], &[], &[]);
            assert_eq!(without_claims(silent, false), Some(subscription(version, &[], &[], &[])));
        }
    }

    #[test]
    fn who_claims_nothing_and_what_is_no_subscription_is_left_alone() {
        assert_eq!(without_claims(subscription(0, &["a"], &[], &[]), true), None);
        assert_eq!(without_claims(subscription(3, &["a"], &[], &[0, 0, 0, 9, 0xff, 0xff]), true), None);
        let claims = subscription(1, &["a"], &[("a", &[0, 1])], &[]);
        (0..claims.len())
            .for_each(|cut| assert_eq!(without_claims(claims.slice(..cut), true), None, "cut at {cut}"));
        let mut hostile = claims.to_vec();
        let at = hostile.len() - 12;
        hostile[at..at + 4].copy_from_slice(&i32::MAX.to_be_bytes());
        assert_eq!(without_claims(hostile.into(), true), None);
    }
}
