//! Record batches: the header of format v2, and a walker over a blob of batches.
//!
//! `baseOffset` and `partitionLeaderEpoch` lie outside the CRC, so both are patched in place; `producerId` lies inside, and the
//! CRC is patched with it. The walker finds the headers and passes over the records without looking at them. It is made for
//! bytes that are still arriving, for blobs that end inside a batch (a broker cuts a fetch off at its size limit), and for the
//! message formats 0 and 1.

use crate::crc::change_of_crc;
use crate::error::DecodeError;

/// Where `baseOffset` (int64) sits in a batch.
pub const BASE_OFFSET_AT: usize = 0;
/// Where `batchLength` (int32) sits: the bytes of the batch after this field.
pub const BATCH_LENGTH_AT: usize = 8;
/// Where `partitionLeaderEpoch` (int32) sits, in format 2.
pub const PARTITION_LEADER_EPOCH_AT: usize = 12;
/// Where the format (int8) sits, in all formats.
pub const MAGIC_AT: usize = 16;
/// Where the CRC-32C (uint32) sits, in format 2.
pub const CRC_AT: usize = 17;
/// Where `attributes` (int16) sits; the CRC covers everything from here on.
pub const ATTRIBUTES_AT: usize = 21;
/// Where `lastOffsetDelta` (int32) sits.
pub const LAST_OFFSET_DELTA_AT: usize = 23;
/// Where `baseTimestamp` (int64) sits.
pub const BASE_TIMESTAMP_AT: usize = 27;
/// Where `maxTimestamp` (int64) sits.
pub const MAX_TIMESTAMP_AT: usize = 35;
/// Where `producerId` (int64) sits.
pub const PRODUCER_ID_AT: usize = 43;
/// Where `producerEpoch` (int16) sits.
pub const PRODUCER_EPOCH_AT: usize = 51;
/// Where `baseSequence` (int32) sits.
pub const BASE_SEQUENCE_AT: usize = 53;
/// Where the number of records (int32) sits.
pub const RECORDS_COUNT_AT: usize = 57;
/// Bytes of the header of format 2: where the records start.
pub const HEADER_LEN: usize = 61;

/// `baseOffset` and `batchLength`: what `batchLength` does not count.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes up to and with the format, which tells how to read the rest.
const UP_TO_MAGIC: usize = MAGIC_AT + 1;

/// `attributes`: the batch belongs to a transaction.
pub const TRANSACTIONAL: i16 = 1 << 4;
/// `attributes`: the batch holds a control record, such as a transaction's end.
pub const CONTROL: i16 = 1 << 5;

/// The header of a batch of format 2, as far as a proxy reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset of the first record.
    pub base_offset: i64,
    /// Bytes of the batch after this field.
    pub batch_length: i32,
    /// The leader epoch in which the batch was written; clients do not set it.
    pub partition_leader_epoch: i32,
    /// The format; always 2 here.
    pub magic: i8,
    /// Codec (bits 0 to 2), timestamp type (3), transactional (4), control (5).
    pub attributes: i16,
    /// The offset of the last record, relative to the first.
    pub last_offset_delta: i32,
    /// The producer's id, −1 for none.
    pub producer_id: i64,
    /// The producer's epoch, −1 for none.
    pub producer_epoch: i16,
    /// The sequence number of the first record, −1 for none.
    pub base_sequence: i32,
    /// The number of records.
    pub records_count: i32,
}

impl BatchHeader {
    /// The header at the start of `bytes`; `None` when they are fewer than [`HEADER_LEN`] or of an older format.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        let magic = i8::from_be_bytes(at(header, MAGIC_AT)?);
        (magic == 2).then_some(())?;
        Some(Self {
            base_offset: i64::from_be_bytes(at(header, BASE_OFFSET_AT)?),
            batch_length: i32::from_be_bytes(at(header, BATCH_LENGTH_AT)?),
            partition_leader_epoch: i32::from_be_bytes(at(header, PARTITION_LEADER_EPOCH_AT)?),
            magic,
            attributes: i16::from_be_bytes(at(header, ATTRIBUTES_AT)?),
            last_offset_delta: i32::from_be_bytes(at(header, LAST_OFFSET_DELTA_AT)?),
            producer_id: i64::from_be_bytes(at(header, PRODUCER_ID_AT)?),
            producer_epoch: i16::from_be_bytes(at(header, PRODUCER_EPOCH_AT)?),
            base_sequence: i32::from_be_bytes(at(header, BASE_SEQUENCE_AT)?),
            records_count: i32::from_be_bytes(at(header, RECORDS_COUNT_AT)?),
        })
    }

    /// Is it part of a transaction?
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Does it hold a control record?
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// The offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(self.last_offset_delta.into())
    }
}

fn at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Overwrites `baseOffset` of the batch that starts at `batch[0]`; false when too few bytes are there.
#[must_use]
pub fn patch_base_offset(batch: &mut [u8], offset: i64) -> bool {
    patch(batch, BASE_OFFSET_AT, &offset.to_be_bytes())
}

/// Overwrites `partitionLeaderEpoch` of the batch of format 2 that starts at `batch[0]`; false when too few bytes are
/// there.
#[must_use]
pub fn patch_partition_leader_epoch(batch: &mut [u8], epoch: i32) -> bool {
    patch(batch, PARTITION_LEADER_EPOCH_AT, &epoch.to_be_bytes())
}

/// Overwrites `producerId` of the batch of format 2 whose header stands at the start of `header`, and makes its CRC fit again;
/// false when too few bytes are there. The new CRC follows from the old one and the length that the header tells: no record
/// is read, and a CRC that was wrong stays wrong.
#[must_use]
pub fn patch_producer_id(header: &mut [u8], id: i64) -> bool {
    let Some(header) = header.first_chunk_mut::<HEADER_LEN>() else { return false };
    let (Some(old), Some(crc), Some(length)) =
        (at(header, PRODUCER_ID_AT), at(header, CRC_AT), at(header, BATCH_LENGTH_AT))
    else {
        return false;
    };
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
    let after = (length + LOG_OVERHEAD).checked_sub(PRODUCER_ID_AT + 8).and_then(|n| u32::try_from(n).ok());
    let Some(after) = after else { return false };
    let change = i64::from_be_bytes(old) ^ id;
    let crc = u32::from_be_bytes(crc) ^ change_of_crc(&change.to_be_bytes(), after);
    patch(header, PRODUCER_ID_AT, &id.to_be_bytes()) && patch(header, CRC_AT, &crc.to_be_bytes())
}

fn patch(batch: &mut [u8], at: usize, with: &[u8]) -> bool {
    let Some(place) = batch.get_mut(at..at + with.len()) else { return false };
    place.copy_from_slice(with);
    true
}

/// What [`Batches`] passed. All positions are in bytes from the start of the blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchEvent {
    /// The header of a batch: `len` bytes at `at`, all of which were in the input.
    Header {
        /// Where the batch starts.
        at: usize,
        /// Bytes of the header: [`HEADER_LEN`], or in formats 0 and 1 those up to the format byte.
        len: usize,
        /// Bytes of the whole batch, as it says itself.
        size: usize,
        /// Does the blob hold all of the batch?
        complete: bool,
        /// The format.
        magic: i8,
        /// What the header says, in format 2.
        header: Option<BatchHeader>,
    },
    /// Bytes of a batch after its header, or of a rest that is too short for a header: as many as there were.
    Body {
        /// Where they start.
        at: usize,
        /// How many.
        len: usize,
    },
    /// The end of the blob. Comes again when asked again.
    End,
}

/// A walker over a blob of batches, which can stop at any byte and go on when more have come.
///
/// It is used beside a [`Cursor`](crate::Cursor) in a records field: this walker says how far the arrived bytes may be
/// passed on, so that no header is passed on in pieces.
#[derive(Clone, Debug)]
pub struct Batches {
    position: usize,
    len: usize,
    /// Bytes until the next header.
    skip: usize,
}

impl Batches {
    /// A walker at the start of a blob of `len` bytes.
    #[must_use]
    pub const fn new(len: usize) -> Self {
        Self { position: 0, len, skip: 0 }
    }

    /// Bytes of the blob used so far: where the next input must start.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Bytes of the blob until the next header.
    #[must_use]
    pub const fn body_left(&self) -> usize {
        self.skip
    }

    /// Passes over up to `len` bytes before the next header, unseen (the kernel may have moved them). Returns how many.
    pub fn skip(&mut self, len: usize) -> usize {
        let len = len.min(self.skip);
        self.position += len;
        self.skip -= len;
        len
    }

    /// The next event, from `input`: the bytes of the blob from [`position`](Self::position) on, as far as they have
    /// arrived. `Ok(None)` means that the next header needs more than that.
    pub fn next(&mut self, input: &[u8]) -> Result<Option<BatchEvent>, DecodeError> {
        let left = self.len - self.position;
        let input = &input[..input.len().min(left)];
        if left == 0 {
            return Ok(Some(BatchEvent::End));
        }
        if self.skip == 0 && left < UP_TO_MAGIC {
            self.skip = left;
        }
        if self.skip > 0 {
            return Ok(self.body(input));
        }
        self.header(input, left)
    }

    fn body(&mut self, input: &[u8]) -> Option<BatchEvent> {
        let len = self.skip.min(input.len());
        if len == 0 {
            return None;
        }
        let at = self.position;
        self.position += len;
        self.skip -= len;
        Some(BatchEvent::Body { at, len })
    }

    fn header(&mut self, input: &[u8], left: usize) -> Result<Option<BatchEvent>, DecodeError> {
        let (Some(length), Some(magic)) = (at(input, BATCH_LENGTH_AT), at(input, MAGIC_AT)) else {
            return Ok(None);
        };
        let (length, magic) = (i32::from_be_bytes(length), i8::from_be_bytes(magic));
        let len = if magic < 2 { UP_TO_MAGIC } else { HEADER_LEN };
        let bad = DecodeError::NegativeLength { field: "batchLength", length };
        let size = usize::try_from(length).map_err(|_| bad)? + LOG_OVERHEAD;
        if size < len {
            return Err(DecodeError::Truncated { needed: len, left: size });
        }
        let complete = size <= left;
        if left < len {
            self.skip = left;
            return Ok(self.body(input));
        }
        if input.len() < len {
            return Ok(None);
        }
        let event = BatchEvent::Header {
            at: self.position,
            len,
            size,
            complete,
            magic,
            header: BatchHeader::parse(&input[..len]),
        };
        self.position += len;
        self.skip = size.min(left) - len;
        Ok(Some(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::record_batch;

    /// Where a batch starts, its size, and whether all of it is there.
    type Found = (usize, usize, bool);

    /// Walks in pieces of `piece` bytes; positions of headers, and how many bytes were passed in all.
    fn headers(blob: &[u8], piece: usize) -> Result<(Vec<Found>, usize), DecodeError> {
        let mut batches = Batches::new(blob.len());
        let (mut found, mut arrived) = (Vec::new(), 0);
        loop {
            match batches.next(&blob[batches.position()..arrived])? {
                Some(BatchEvent::Header { at, size, complete, .. }) => found.push((at, size, complete)),
                Some(BatchEvent::Body { .. }) => {}
                Some(BatchEvent::End) => return Ok((found, batches.position())),
                None => {
                    assert!(arrived < blob.len(), "stuck at {}", batches.position());
                    arrived = (arrived + piece).min(blob.len());
                }
            }
        }
    }

    #[test]
    fn the_header_reads_what_was_patched() {
        let mut batch = record_batch(5, 6).to_vec();
        assert!(patch_base_offset(&mut batch, 1 << 40) && patch_partition_leader_epoch(&mut batch, 77));
        let header = BatchHeader::parse(&batch).unwrap();
        assert_eq!((header.base_offset, header.partition_leader_epoch), (1 << 40, 77));
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (-1, -1, -1));
        assert_eq!((header.records_count, header.last_offset()), (1, 1 << 40));
        assert!(!header.is_transactional() && !header.is_control());
        assert_eq!(BatchHeader::parse(&batch[..HEADER_LEN - 1]), None);
        batch[MAGIC_AT] = 1;
        assert_eq!(BatchHeader::parse(&batch), None);
    }

    #[test]
    fn the_crc_follows_the_producer_id_over_batches_of_any_length() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        for round in 0..2_000 {
            let records = usize::try_from(next() % 5_000).unwrap();
            let mut batch: Vec<u8> = (0..HEADER_LEN + records).map(|_| next().to_le_bytes()[0]).collect();
            let length = i32::try_from(batch.len() - LOG_OVERHEAD).unwrap();
            batch[BATCH_LENGTH_AT..][..4].copy_from_slice(&length.to_be_bytes());
            batch[MAGIC_AT] = 2;
            let crc = crate::crc::crc32c(&batch[ATTRIBUTES_AT..]);
            batch[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
            let id = next().cast_signed();
            // Only the header is at hand.
            assert!(patch_producer_id(&mut batch[..HEADER_LEN], id));
            let header = BatchHeader::parse(&batch).unwrap();
            let crc = u32::from_be_bytes(batch[CRC_AT..][..4].try_into().unwrap());
            let wanted = (id, crate::crc::crc32c(&batch[ATTRIBUTES_AT..]));
            assert_eq!((header.producer_id, crc), wanted, "round {round}, {records} bytes of records");
        }
        assert!(!patch_producer_id(&mut record_batch(0, 1).to_vec()[..HEADER_LEN - 1], 1));
    }

    #[test]
    fn batches_are_found_in_any_split() {
        let one = record_batch(0, 1);
        let blob = [&one[..], &one[..], &one[..]].concat();
        let size = one.len();
        for piece in 1..=blob.len() {
            let (found, end) = headers(&blob, piece).unwrap();
            assert_eq!(found, [(0, size, true), (size, size, true), (2 * size, size, true)]);
            assert_eq!(end, blob.len());
        }
    }

    #[test]
    fn a_blob_cut_anywhere_ends_without_error() {
        let one = record_batch(0, 1);
        let blob = [&one[..], &one[..]].concat();
        for len in 0..blob.len() {
            let (found, end) = headers(&blob[..len], 7).unwrap();
            let expected = usize::from(len >= HEADER_LEN) + usize::from(len >= one.len() + HEADER_LEN);
            assert_eq!((found.len(), end), (expected, len), "cut to {len}");
            assert_eq!(
                found.last().is_some_and(|last| !last.2),
                expected > 0 && len != one.len() && { len < one.len() || len >= one.len() + HEADER_LEN }
            );
        }
    }

    #[test]
    fn old_formats_are_passed_over() {
        let mut old = [0; 34];
        old[11] = 22;
        old[MAGIC_AT] = 1;
        let blob = [&old[..], &old[..]].concat();
        assert_eq!(headers(&blob, 5), Ok((vec![(0, 34, true), (34, 34, true)], 68)));
    }

    #[test]
    fn a_length_that_cannot_be_is_refused() {
        for length in [-1, 0, 48, i32::MIN] {
            let mut blob = record_batch(0, 1).to_vec();
            blob[BATCH_LENGTH_AT..][..4].copy_from_slice(&i32::to_be_bytes(length));
            assert!(headers(&blob, 100).is_err(), "{length}");
        }
        let mut blob = record_batch(0, 1).to_vec();
        blob[BATCH_LENGTH_AT..][..4].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(matches!(headers(&blob, 100).as_ref().map(|(found, _)| &found[..]), Ok([(0, _, false)])));
    }
}
