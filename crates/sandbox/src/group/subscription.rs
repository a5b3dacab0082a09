//! Reads the topics out of a consumer's subscription.

use std::collections::BTreeSet;

/// The topics of a `ConsumerProtocolSubscription`. Version 0 is read, which all others begin with; `None`: not one.
pub(super) fn topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut topics = BTreeSet::new();
    for _ in 0..u32::try_from(i32::from_be_bytes(*count)).ok()? {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        topics.insert(String::from_utf8(name.to_vec()).ok()?);
        rest = after;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::topics;

    #[test]
    fn a_subscription_names_its_topics() {
        let metadata = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        let expected = ["a".to_owned(), "bc".to_owned()].into();
        assert_eq!(topics(metadata), Some(expected));
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_is_none() {
        let metadata = b"\0\x01\0\0\0\x02\0\x01a\0\x02bc";
        for end in 0..metadata.len() {
            assert_eq!(topics(&metadata[..end]), None, "{end} bytes");
        }
        assert_eq!(topics(b"\0\x01\x7f\xff\xff\xff"), None);
        assert_eq!(topics(b"\0\x01\xff\xff\xff\xff"), None);
    }
}
