//! Variable-length integers of record batches: zigzag, seven bits per byte, at most ten bytes.

use bytes::{Buf, Bytes};

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "zigzag works on the bits")]
pub(super) fn write_varint(out: &mut Vec<u8>, value: i64) {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// Takes an integer off the front; `None` when it does not end in time.
pub(super) fn read_varint(rest: &mut Bytes) -> Option<i64> {
    let mut bits = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = rest.first().copied()?;
        rest.advance(1);
        bits |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((bits >> 1) as i64 ^ -((bits & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_all_sizes_come_back() {
        for value in [0, -1, 1, 63, 64, -64, -65, 300, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            let mut rest = Bytes::from(out);
            assert_eq!(read_varint(&mut rest), Some(value));
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn known_bytes() {
        for (value, bytes) in [(0, &[0][..]), (-1, &[1]), (1, &[2]), (-64, &[0x7f]), (64, &[0x80, 0x01])] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn an_integer_without_end_is_refused() {
        assert_eq!(read_varint(&mut Bytes::from_static(&[0x80])), None);
        assert_eq!(read_varint(&mut Bytes::from_static(&[0xff; 11])), None);
    }
}
