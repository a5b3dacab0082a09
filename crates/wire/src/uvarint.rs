//! Unsigned varints (KIP-482): seven bits per byte, the low ones first, at most five bytes.
//!
//! Padded forms (`0x80 0x00`) are read, as Kafka reads them; they are never written.

use crate::error::DecodeError;

/// Reads the varint at the start of `input`: its value and its wire bytes, or `None` when it goes on after the input.
pub(crate) fn read(input: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0u32;
    for (at, byte) in input.iter().take(5).enumerate() {
        let bits = u32::from(byte & 0x7f);
        if at == 4 && *byte > 0x0f {
            return Err(DecodeError::Varint);
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    Ok(None)
}

/// Appends `value`.
pub(crate) fn write(mut value: u32, out: &mut Vec<u8>) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_reads_back() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX - 1, u32::MAX] {
            let mut out = Vec::new();
            write(value, &mut out);
            assert_eq!(read(&out), Ok(Some((value, out.len()))));
            for short in 0..out.len() {
                assert_eq!(read(&out[..short]), Ok(None));
            }
        }
    }

    #[test]
    fn more_than_32_bits_are_refused() {
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(DecodeError::Varint));
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), Err(DecodeError::Varint));
        assert_eq!(read(&[0x80, 0x00]), Ok(Some((0, 2))));
    }
}
