//! Record batches of format 2: written with a producer's sequence, read without compression.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use pointsman_wire::{
    BatchHeader, Batches,
    batch::{ATTRIBUTES_AT, BASE_TIMESTAMP_AT, BatchEvent, CRC_AT, HEADER_LEN, LOG_OVERHEAD, MAGIC_AT},
};

use self::varint::{read_varint, write_varint};

mod varint;

/// `attributes`: the bits that name the compression.
const COMPRESSION: i16 = 0b111;

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The key, or none.
    pub key: Option<Bytes>,
    /// The value; none deletes the key in a compacted topic.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since 1970. Brokers delete by it: what is too old for the topic goes soon after it came.
    pub timestamp: i64,
}

impl Record {
    /// A record of now, without headers.
    #[must_use]
    pub fn now(key: Option<Bytes>, value: Option<Bytes>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Self { key, value, headers: Vec::new(), timestamp }
    }
}

/// A record as a log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Where it stands in the partition.
    pub offset: i64,
    /// The leader epoch in which its batch was written; −1 when the batch does not say.
    pub leader_epoch: i32,
    /// Who wrote it and in which place; a producer id of −1 for nobody in particular.
    pub producer: Stamp,
    /// The record itself.
    pub record: Record,
}

/// Who writes a batch: the idempotent producer and the sequence number of the first record (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Producer id; −1 for none.
    pub id: i64,
    /// Producer epoch; −1 for none.
    pub epoch: i16,
    /// Sequence number of the first record; −1 for none.
    pub sequence: i32,
}

impl Stamp {
    /// A producer that is not idempotent.
    pub const NONE: Self = Self { id: -1, epoch: -1, sequence: -1 };
}

/// What a blob of batches held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Records from the asked offset on.
    pub records: Vec<StoredRecord>,
    /// The offset behind the last complete batch, be it of records or of control; `None` when there was none.
    pub next_offset: Option<i64>,
    /// The leader epoch of that batch.
    pub leader_epoch: i32,
}

/// Why a blob could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes are no batches of format 2.
    Malformed(String),
    /// The batch at this offset does not have the checksum that it says.
    Checksum(i64),
    /// The batch at this offset is compressed.
    Compressed(i64),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed record batch: {what}"),
            Self::Checksum(at) => write!(f, "the batch at offset {at} has another checksum than it says"),
            Self::Compressed(at) => write!(f, "the batch at offset {at} is compressed, which we do not read"),
        }
    }
}

impl std::error::Error for BatchError {}

/// The bytes that a record takes in a batch, at most.
#[must_use]
pub fn size_of(record: &Record) -> usize {
    const LENGTHS: usize = 40;
    let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + of(value) + 20).sum();
    LENGTHS + of(&record.key) + of(&record.value) + headers
}

/// One batch of all the records, which must be at least one. Offsets begin at 0: the broker sets them.
#[must_use]
pub fn encode(records: &[Record], stamp: Stamp) -> Bytes {
    let first = records.first().map_or(0, |r| r.timestamp);
    let latest = records.iter().map(|r| r.timestamp).max().unwrap_or(first);
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    let mut out = vec![0; ATTRIBUTES_AT + 2];
    out[MAGIC_AT] = 2;
    out[MAGIC_AT - 4..MAGIC_AT].copy_from_slice(&(-1i32).to_be_bytes());
    out.extend_from_slice(&(count - 1).to_be_bytes());
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&latest.to_be_bytes());
    out.extend_from_slice(&stamp.id.to_be_bytes());
    out.extend_from_slice(&stamp.epoch.to_be_bytes());
    out.extend_from_slice(&stamp.sequence.to_be_bytes());
    out.extend_from_slice(&count.to_be_bytes());
    let mut body = Vec::new();
    for (delta, record) in (0i64..).zip(records) {
        body.clear();
        write_record(&mut body, delta, first, record);
        write_len(&mut out, body.len());
        out.extend_from_slice(&body);
    }
    let length = i32::try_from(out.len() - LOG_OVERHEAD).unwrap_or(i32::MAX);
    out[LOG_OVERHEAD - 4..LOG_OVERHEAD].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&out[ATTRIBUTES_AT..]);
    out[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    out.into()
}

fn write_record(out: &mut Vec<u8>, delta: i64, base_timestamp: i64, record: &Record) {
    out.push(0);
    write_varint(out, record.timestamp - base_timestamp);
    write_varint(out, delta);
    write_bytes(out, record.key.as_deref());
    write_bytes(out, record.value.as_deref());
    write_len(out, record.headers.len());
    for (name, value) in &record.headers {
        write_bytes(out, Some(name.as_bytes()));
        write_bytes(out, value.as_deref());
    }
}

fn write_len(out: &mut Vec<u8>, len: usize) {
    write_varint(out, i64::try_from(len).unwrap_or(i64::MAX));
}

fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => write_varint(out, -1),
        Some(bytes) => {
            write_len(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

/// The records of a blob as a Fetch response has it, from offset `from` on. A batch that the broker has cut off at its
/// size limit is left out, and so are control batches, whose offsets count nevertheless.
///
/// # Errors
/// See [`BatchError`].
pub fn decode(blob: &Bytes, from: i64) -> Result<Decoded, BatchError> {
    let mut walker = Batches::new(blob.len());
    let mut out = Decoded { leader_epoch: -1, ..Decoded::default() };
    loop {
        let event =
            walker.next(&blob[walker.position()..]).map_err(|e| BatchError::Malformed(e.to_string()))?;
        match event {
            Some(BatchEvent::Header { at, size, complete: true, header: Some(header), .. }) => {
                batch(&blob.slice(at..at + size), &header, from, &mut out)?;
            }
            Some(BatchEvent::Header { complete: true, magic, .. }) => {
                return Err(BatchError::Malformed(format!("format {magic}, expected 2")));
            }
            Some(BatchEvent::Header { .. } | BatchEvent::Body { .. }) => {}
            Some(BatchEvent::End) | None => return Ok(out),
        }
    }
}

fn batch(bytes: &Bytes, header: &BatchHeader, from: i64, out: &mut Decoded) -> Result<(), BatchError> {
    let said = u32::from_be_bytes(fixed(bytes, CRC_AT));
    if crc32c::crc32c(&bytes[ATTRIBUTES_AT..]) != said {
        return Err(BatchError::Checksum(header.base_offset));
    }
    if !header.is_control() {
        if header.attributes & COMPRESSION != 0 {
            return Err(BatchError::Compressed(header.base_offset));
        }
        let short =
            || BatchError::Malformed(format!("a record of the batch at {} ends early", header.base_offset));
        let mut rest = bytes.slice(HEADER_LEN..);
        for place in 0..header.records_count {
            let record = read_record(&mut rest, header, place, bytes).ok_or_else(short)?;
            if record.offset >= from {
                out.records.push(record);
            }
        }
    }
    out.next_offset = Some(header.last_offset() + 1);
    out.leader_epoch = header.partition_leader_epoch;
    Ok(())
}

fn read_record(rest: &mut Bytes, header: &BatchHeader, place: i32, batch: &Bytes) -> Option<StoredRecord> {
    let len = read_varint(rest)?;
    let mut body = take(rest, len)?;
    take(&mut body, 1)?;
    let base_timestamp = i64::from_be_bytes(fixed(batch, BASE_TIMESTAMP_AT));
    let timestamp = base_timestamp.wrapping_add(read_varint(&mut body)?);
    let offset = header.base_offset.checked_add(read_varint(&mut body)?)?;
    let key = read_bytes(&mut body)?;
    let value = read_bytes(&mut body)?;
    let count = read_varint(&mut body)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = read_bytes(&mut body)??;
        headers.push((String::from_utf8_lossy(&name).into_owned(), read_bytes(&mut body)?));
    }
    let sequence =
        if header.base_sequence < 0 { -1 } else { header.base_sequence.wrapping_add(place) & i32::MAX };
    Some(StoredRecord {
        offset,
        leader_epoch: header.partition_leader_epoch,
        producer: Stamp { id: header.producer_id, epoch: header.producer_epoch, sequence },
        record: Record { key, value, headers, timestamp },
    })
}

/// The next `len` bytes, if they are there.
fn take(rest: &mut Bytes, len: i64) -> Option<Bytes> {
    let len = usize::try_from(len).ok().filter(|len| *len <= rest.len())?;
    Some(rest.split_to(len))
}

/// Bytes after their length; −1 is none.
fn read_bytes(rest: &mut Bytes) -> Option<Option<Bytes>> {
    match read_varint(rest)? {
        -1 => Some(None),
        len => take(rest, len).map(Some),
    }
}

fn fixed<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..at + N).and_then(|b| b.try_into().ok()).unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_wire::batch::{CONTROL, patch_base_offset};

    const STAMP: Stamp = Stamp { id: 7, epoch: 3, sequence: 40 };

    fn record(key: Option<&'static str>, value: &'static str, timestamp: i64) -> Record {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        Record { key: key.map(bytes), value: Some(bytes(value)), headers: Vec::new(), timestamp }
    }

    fn two() -> Vec<Record> {
        let mut first = record(Some("k"), "v", 1000);
        first.headers.push(("h".to_owned(), Some(Bytes::from_static(b"x"))));
        vec![first, record(None, "", 1005)]
    }

    fn at(offset: i64, records: &[Record]) -> Vec<u8> {
        let mut batch = encode(records, STAMP).to_vec();
        assert!(patch_base_offset(&mut batch, offset));
        batch
    }

    fn offsets(decoded: &Decoded) -> Vec<i64> {
        decoded.records.iter().map(|r| r.offset).collect()
    }

    /// Bytes and checksum were computed by hand from the format's description.
    #[test]
    fn a_batch_has_the_known_bytes() {
        let expected: [&[u8]; 10] = [
            b"\0\0\0\0\0\0\0\0\0\0\0\x45",               // base offset, length 69
            b"\xff\xff\xff\xff\x02",                     // leader epoch −1, format 2
            b"\x2b\x62\x2a\xa4",                         // CRC-32C of all that follows
            b"\0\0",                                     // attributes
            b"\0\0\0\x01",                               // last offset delta
            b"\0\0\0\0\0\0\x03\xe8\0\0\0\0\0\0\x03\xed", // timestamps 1000 and 1005
            b"\0\0\0\0\0\0\0\x07\0\x03\0\0\0\x28",       // producer 7, epoch 3, sequence 40
            b"\0\0\0\x02",                               // two records
            b"\x18\0\0\0\x02k\x02v\x02\x02h\x02x",       // 12 bytes: k, v, one header
            b"\x0c\0\x0a\x02\x01\0\0",                   // 6 bytes: 5 ms and one offset later, no key
        ];
        assert_eq!(encode(&two(), STAMP)[..], expected.concat()[..]);
    }

    #[test]
    fn records_come_back_with_their_places() {
        let decoded = decode(&Bytes::from(at(100, &two())), 0).unwrap();
        assert_eq!((offsets(&decoded), decoded.next_offset), (vec![100, 101], Some(102)));
        assert_eq!(decoded.records.iter().map(|r| r.record.clone()).collect::<Vec<_>>(), two());
        assert_eq!(decoded.records[1].producer, Stamp { sequence: 41, ..STAMP });
    }

    #[test]
    fn what_lies_before_the_asked_offset_is_left_out() {
        let blob = [at(10, &two()), at(12, &two())].concat();
        let decoded = decode(&Bytes::from(blob), 11).unwrap();
        assert_eq!((offsets(&decoded), decoded.next_offset), (vec![11, 12, 13], Some(14)));
    }

    #[test]
    fn control_batches_count_but_give_no_records() {
        let mut control = at(12, &two());
        control[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&CONTROL.to_be_bytes());
        let crc = crc32c::crc32c(&control[ATTRIBUTES_AT..]);
        control[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        let decoded = decode(&Bytes::from([at(10, &two()), control].concat()), 0).unwrap();
        assert_eq!((offsets(&decoded), decoded.next_offset), (vec![10, 11], Some(14)));
    }

    #[test]
    fn a_blob_cut_off_anywhere_gives_its_complete_batches() {
        let (one, two) = (at(0, &two()), at(2, &two()));
        let blob = Bytes::from([one.clone(), two.clone()].concat());
        for len in 0..=blob.len() {
            let complete = usize::from(len >= one.len()) + usize::from(len == blob.len());
            let decoded = decode(&blob.slice(..len), 0).unwrap();
            assert_eq!(decoded.records.len(), 2 * complete, "cut to {len}");
        }
    }

    #[test]
    fn damage_and_compression_are_refused() {
        let good = at(5, &two());
        for place in CRC_AT..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x40;
            assert_eq!(decode(&Bytes::from(bad), 0), Err(BatchError::Checksum(5)), "byte {place}");
        }
        let mut compressed = good;
        compressed[ATTRIBUTES_AT + 1] = 1;
        let crc = crc32c::crc32c(&compressed[ATTRIBUTES_AT..]);
        compressed[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(decode(&Bytes::from(compressed), 0), Err(BatchError::Compressed(5)));
    }

    #[test]
    fn a_record_is_never_larger_than_its_estimate() {
        for record in two() {
            let (alone, size) = (encode(std::slice::from_ref(&record), STAMP).len(), size_of(&record));
            assert!(alone - HEADER_LEN <= size, "{alone} for {size}");
        }
    }
}
