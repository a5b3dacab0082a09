//! The four bytes before every message, and what sits where behind them.

use crate::error::DecodeError;

/// The largest frame accepted by default, in bytes after the size: Kafka's `socket.request.max.bytes`.
pub const MAX_FRAME: usize = 104_857_600;

/// Bytes of the size prefix.
pub const SIZE_LEN: usize = 4;

/// The size in bytes that follows the prefix. Zero, negative and more than `max` are refused.
pub fn frame_size(prefix: [u8; SIZE_LEN], max: usize) -> Result<usize, DecodeError> {
    let size = i32::from_be_bytes(prefix);
    match usize::try_from(size) {
        Ok(bytes) if bytes > 0 && bytes <= max => Ok(bytes),
        _ => Err(DecodeError::FrameSize { size, max }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sizes_from_one_to_the_limit_pass() {
        assert_eq!(frame_size(1i32.to_be_bytes(), 10), Ok(1));
        assert_eq!(frame_size(10i32.to_be_bytes(), 10), Ok(10));
        for size in [0, -1, 11, i32::MIN, i32::MAX] {
            assert_eq!(frame_size(size.to_be_bytes(), 10), Err(DecodeError::FrameSize { size, max: 10 }));
        }
    }
}
