//! A record batch as a broker keeps it: checked once, placed by patching its header.

use super::transactions::Marker;
use crate::errors::{CORRUPT_MESSAGE, INVALID_RECORD, MESSAGE_TOO_LARGE};
use bytes::{BufMut, Bytes, BytesMut};
use pointsman_wire::{
    BatchHeader,
    batch::{
        ATTRIBUTES_AT, BASE_TIMESTAMP_AT, BATCH_LENGTH_AT, CONTROL, CRC_AT, HEADER_LEN, LOG_OVERHEAD,
        MAGIC_AT, MAX_TIMESTAMP_AT, PARTITION_LEADER_EPOCH_AT, TRANSACTIONAL, patch_base_offset,
        patch_partition_leader_epoch,
    },
};

const LOG_APPEND_TIME: i16 = 1 << 3;
const CODEC: i16 = 7;

/// `message.timestamp.type` of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimestampType {
    /// The producer's.
    Create,
    /// The broker's, given here, in milliseconds.
    Append(i64),
}

/// One batch of format 2.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) bytes: Bytes,
    pub(crate) header: BatchHeader,
    pub(crate) base: i64,
    pub(crate) last: i64,
    pub(crate) epoch: i32,
    pub(crate) max_timestamp: i64,
    /// Set: this is a control batch, which ends a transaction.
    pub(crate) marker: Option<Marker>,
    append_time: i64,
}

impl Batch {
    /// The one batch of a Produce request, checked as a broker does. An error is a code of Kafka.
    pub(crate) fn produced(records: &[u8], max: usize, timestamps: TimestampType) -> Result<Self, i16> {
        let header = BatchHeader::parse(records).ok_or(CORRUPT_MESSAGE)?;
        let length = usize::try_from(header.batch_length).map_err(|_| CORRUPT_MESSAGE)? + LOG_OVERHEAD;
        match length {
            length if length > records.len() || length < HEADER_LEN => return Err(CORRUPT_MESSAGE),
            // A second batch: brokers take one per partition.
            length if length < records.len() => return Err(INVALID_RECORD),
            length if length > max => return Err(MESSAGE_TOO_LARGE),
            _ => {}
        }
        if stored_crc(records) != crc32c::crc32c(&records[ATTRIBUTES_AT..]) {
            return Err(CORRUPT_MESSAGE);
        }
        let counted = header.last_offset_delta.checked_add(1) == Some(header.records_count);
        if header.records_count < 1 || !counted || header.is_control() || header.base_offset != 0 {
            return Err(INVALID_RECORD);
        }
        let mut bytes = BytesMut::from(records);
        let append_time = stamp(&mut bytes, &header, timestamps);
        let max_timestamp = int64(&bytes, MAX_TIMESTAMP_AT);
        let (base, last) = (header.base_offset, header.last_offset());
        let bytes = bytes.freeze();
        Ok(Self { bytes, header, base, last, epoch: -1, max_timestamp, marker: None, append_time })
    }

    /// The control batch that ends a producer's transaction.
    pub(crate) fn end(producer: i64, epoch: i16, marker: Marker, now_ms: i64) -> Self {
        let bytes = control_batch(producer, epoch, marker, now_ms);
        let header = BatchHeader {
            base_offset: 0,
            batch_length: i32::try_from(bytes.len() - LOG_OVERHEAD).unwrap_or(0),
            partition_leader_epoch: -1,
            magic: 2,
            attributes: TRANSACTIONAL | CONTROL,
            last_offset_delta: 0,
            producer_id: producer,
            producer_epoch: epoch,
            base_sequence: -1,
            records_count: 1,
        };
        debug_assert_eq!(BatchHeader::parse(&bytes), Some(header));
        let marker = Some(marker);
        Self { bytes, header, base: 0, last: 0, epoch: -1, max_timestamp: now_ms, marker, append_time: -1 }
    }

    /// The time that a broker answers: −1 for the producer's own.
    pub(crate) fn append_time(&self) -> i64 {
        self.append_time
    }

    /// Gives the batch its place in the log.
    pub(crate) fn place(&mut self, base: i64, epoch: i32) {
        let mut bytes = BytesMut::from(std::mem::take(&mut self.bytes));
        // Both lie in the header, which is there.
        let placed = patch_base_offset(&mut bytes, base) && patch_partition_leader_epoch(&mut bytes, epoch);
        debug_assert!(placed);
        self.bytes = bytes.freeze();
        self.header.base_offset = base;
        self.header.partition_leader_epoch = epoch;
        (self.base, self.last, self.epoch) = (base, self.header.last_offset(), epoch);
    }

    /// The first record that is not older than `timestamp`: offset and timestamp. Of a compressed batch, which a sandbox does
    /// not open, the first record if the whole batch is new enough, else the last.
    pub(crate) fn first_since(&self, timestamp: i64) -> (i64, i64) {
        let first = int64(&self.bytes, BASE_TIMESTAMP_AT);
        if self.header.attributes & LOG_APPEND_TIME != 0 || self.append_time >= 0 {
            return (self.base, self.max_timestamp);
        }
        if first >= timestamp {
            return (self.base, first);
        }
        if self.header.attributes & CODEC == 0 {
            let mut records = &self.bytes[HEADER_LEN..];
            while let Some((delta, offset)) = next_record(&mut records) {
                if first + delta >= timestamp {
                    return (self.base + offset, first + delta);
                }
            }
        }
        (self.last, self.max_timestamp)
    }
}

/// A batch of one record: key (version, type), value (version, coordinator epoch), as in KIP-98.
fn control_batch(producer: i64, epoch: i16, marker: Marker, now_ms: i64) -> Bytes {
    // Its length, attributes, deltas of time and offset, a key of 4 bytes, a value of 6, no headers; zigzag varints.
    const RECORD: [u8; 5] = [16 << 1, 0, 0, 0, 4 << 1];
    let mut batch = BytesMut::new();
    batch.put_bytes(0, BATCH_LENGTH_AT);
    batch.put_i32(0);
    batch.put_i32(-1);
    batch.put_i8(2);
    batch.put_u32(0);
    batch.put_i16(TRANSACTIONAL | CONTROL);
    batch.put_i32(0);
    batch.put_i64(now_ms);
    batch.put_i64(now_ms);
    batch.put_i64(producer);
    batch.put_i16(epoch);
    batch.put_i32(-1);
    batch.put_i32(1);
    batch.put_slice(&RECORD);
    batch.put_i16(0);
    batch.put_i16(i16::from(marker.commit));
    batch.put_u8(6 << 1);
    batch.put_i16(0);
    batch.put_i32(marker.coordinator_epoch);
    batch.put_u8(0);
    debug_assert_eq!((batch[MAGIC_AT], batch[PARTITION_LEADER_EPOCH_AT]), (2, 0xff));
    let length = u32::try_from(batch.len() - LOG_OVERHEAD).unwrap_or(0);
    batch[BATCH_LENGTH_AT..LOG_OVERHEAD].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    batch.freeze()
}

/// The timestamp and offset deltas of the record at the front, which is then passed.
fn next_record(records: &mut &[u8]) -> Option<(i64, i64)> {
    let length = usize::try_from(varint(records)?).ok()?;
    let (mut record, rest) = records.split_at_checked(length)?;
    *records = rest;
    record = record.get(1..)?;
    Some((varint(&mut record)?, varint(&mut record)?))
}

fn varint(input: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

/// Writes the broker's time where the topic wants it, and the CRC that follows; answers the time, or −1.
fn stamp(bytes: &mut BytesMut, header: &BatchHeader, timestamps: TimestampType) -> i64 {
    let TimestampType::Append(now) = timestamps else { return -1 };
    let attributes = header.attributes | LOG_APPEND_TIME;
    bytes[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
    bytes[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&now.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    now
}

fn stored_crc(batch: &[u8]) -> u32 {
    batch.get(CRC_AT..CRC_AT + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn int64(batch: &[u8], at: usize) -> i64 {
    batch.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(-1, i64::from_be_bytes)
}
