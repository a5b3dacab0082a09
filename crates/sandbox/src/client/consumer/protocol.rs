//! What members of a consumer group tell each other inside JoinGroup and SyncGroup: Kafka's ConsumerProtocol.
//!
//! Java and librdkafka members read and write the same bytes. Later versions only append fields, so what comes is read
//! as far as it is needed and the rest is passed over.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};

/// Partitions by topic.
pub type Partitions = BTreeMap<String, Vec<i32>>;

/// Version 1 has the partitions that the member still owns: none, since all are given up before a join.
const SUBSCRIPTION_VERSION: i16 = 1;
const ASSIGNMENT_VERSION: i16 = 0;
const NO_USER_DATA: i32 = -1;

/// What a member says when it joins: the topics that it wants.
#[must_use]
pub fn encode_subscription(topics: &[String]) -> Bytes {
    let mut out = SUBSCRIPTION_VERSION.to_be_bytes().to_vec();
    write_len(&mut out, topics.len());
    for topic in topics {
        write_string(&mut out, topic);
    }
    out.extend_from_slice(&NO_USER_DATA.to_be_bytes());
    write_len(&mut out, 0);
    out.into()
}

/// The topics that a member wants; `None` when the bytes are no subscription.
#[must_use]
pub fn decode_subscription(bytes: &Bytes) -> Option<Vec<String>> {
    let mut rest = bytes.clone();
    read_i16(&mut rest)?;
    let count = read_i32(&mut rest)?;
    (0..count).map(|_| read_string(&mut rest)).collect()
}

/// What the leader says to a member: its partitions.
#[must_use]
pub fn encode_assignment(partitions: &Partitions) -> Bytes {
    let mut out = ASSIGNMENT_VERSION.to_be_bytes().to_vec();
    write_len(&mut out, partitions.len());
    for (topic, indexes) in partitions {
        write_string(&mut out, topic);
        write_len(&mut out, indexes.len());
        for index in indexes {
            out.extend_from_slice(&index.to_be_bytes());
        }
    }
    out.extend_from_slice(&NO_USER_DATA.to_be_bytes());
    out.into()
}

/// The partitions that a member gets; no bytes are none. `None` when the bytes are no assignment.
#[must_use]
pub fn decode_assignment(bytes: &Bytes) -> Option<Partitions> {
    let mut rest = bytes.clone();
    if rest.is_empty() {
        return Some(Partitions::new());
    }
    read_i16(&mut rest)?;
    let count = read_i32(&mut rest)?;
    let mut partitions = Partitions::new();
    for _ in 0..count {
        let topic = read_string(&mut rest)?;
        let indexes = read_i32(&mut rest)?;
        let indexes: Option<Vec<i32>> = (0..indexes).map(|_| read_i32(&mut rest)).collect();
        partitions.insert(topic, indexes?);
    }
    Some(partitions)
}

fn write_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&i32::try_from(len).unwrap_or(i32::MAX).to_be_bytes());
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn read_i16(rest: &mut Bytes) -> Option<i16> {
    rest.try_get_i16().ok()
}

fn read_i32(rest: &mut Bytes) -> Option<i32> {
    rest.try_get_i32().ok()
}

fn read_string(rest: &mut Bytes) -> Option<String> {
    let len = usize::try_from(read_i16(rest)?).ok().filter(|len| *len <= rest.len())?;
    String::from_utf8(rest.split_to(len).to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_has_the_known_bytes() {
        let bytes = encode_subscription(&["ab".to_owned()]);
        assert_eq!(&bytes[..], b"\0\x01\0\0\0\x01\0\x02ab\xff\xff\xff\xff\0\0\0\0");
        assert_eq!(decode_subscription(&bytes), Some(vec!["ab".to_owned()]));
    }

    #[test]
    fn later_versions_of_a_subscription_are_read() {
        // Version 3 as the Java client writes it: owned partitions, generation −1, no rack.
        let bytes = b"\0\x03\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff";
        assert_eq!(decode_subscription(&Bytes::from_static(bytes)), Some(vec!["t".to_owned()]));
    }

    #[test]
    fn an_assignment_has_the_known_bytes() {
        let partitions = Partitions::from([("t".to_owned(), vec![0, 2])]);
        let bytes = encode_assignment(&partitions);
        assert_eq!(&bytes[..], b"\0\0\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x02\xff\xff\xff\xff");
        assert_eq!(decode_assignment(&bytes), Some(partitions));
        assert_eq!(decode_assignment(&Bytes::new()), Some(Partitions::new()));
    }

    #[test]
    fn bytes_that_end_early_are_refused() {
        let subscription = encode_subscription(&["ab".to_owned()]);
        assert_eq!(decode_subscription(&subscription.slice(..9)), None);
        let assignment = encode_assignment(&Partitions::from([("t".to_owned(), vec![0, 2])]));
        assert_eq!(decode_assignment(&assignment.slice(..18)), None);
        assert_eq!(decode_assignment(&Bytes::from_static(b"\0\0\x7f\xff\xff\xff")), None);
    }
}
