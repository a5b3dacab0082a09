//! Record batches of format 2, written and read by hand.

use bytes::Bytes;
use pointsman_wire::batch::{BatchHeader, CRC_AT, HEADER_LEN, LOG_OVERHEAD, TRANSACTIONAL};

/// A batch to be written.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) values: Vec<Vec<u8>>,
    /// Of all records.
    pub(crate) timestamp: i64,
    /// Producer id, epoch and first sequence number; −1 for none.
    pub(crate) producer: (i64, i16, i32),
    /// It belongs to a transaction.
    pub(crate) transactional: bool,
}

impl Batch {
    pub(crate) fn of(values: &[&str]) -> Self {
        let values = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        Self { values, timestamp: 1_700_000_000_000, producer: (-1, -1, -1), transactional: false }
    }

    pub(crate) fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = timestamp;
        self
    }

    pub(crate) fn by(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    pub(crate) fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    pub(crate) fn bytes(&self) -> Bytes {
        let mut records = Vec::new();
        for (delta, value) in self.values.iter().enumerate() {
            let mut record = vec![0]; // attributes
            varint(&mut record, 0);
            varint(&mut record, i64::try_from(delta).expect("few records"));
            varint(&mut record, -1);
            varint(&mut record, i64::try_from(value.len()).expect("a short value"));
            record.extend_from_slice(value);
            varint(&mut record, 0);
            varint(&mut records, i64::try_from(record.len()).expect("a short record"));
            records.extend(record);
        }
        let count = i32::try_from(self.values.len()).expect("few records");
        let length = i32::try_from(HEADER_LEN - LOG_OVERHEAD + records.len()).expect("a short batch");
        let mut batch = Vec::new();
        batch.extend(0_i64.to_be_bytes());
        batch.extend(length.to_be_bytes());
        batch.extend((-1_i32).to_be_bytes()); // partition leader epoch
        batch.push(2);
        batch.extend([0; 4]); // CRC, below
        batch.extend(if self.transactional { TRANSACTIONAL } else { 0 }.to_be_bytes());
        batch.extend((count - 1).to_be_bytes());
        batch.extend(self.timestamp.to_be_bytes());
        batch.extend(self.timestamp.to_be_bytes());
        batch.extend(self.producer.0.to_be_bytes());
        batch.extend(self.producer.1.to_be_bytes());
        batch.extend(self.producer.2.to_be_bytes());
        batch.extend(count.to_be_bytes());
        batch.extend(records);
        let crc = crc32c::crc32c(&batch[CRC_AT + 4..]);
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        batch.into()
    }
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while left > 0x7f {
        out.push(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).expect("seven bits"));
}

/// The headers of all complete batches.
pub(crate) fn batches(mut blob: &[u8]) -> Vec<BatchHeader> {
    let mut found = Vec::new();
    while let Some(header) = BatchHeader::parse(blob) {
        let size = usize::try_from(header.batch_length).expect("a length") + LOG_OVERHEAD;
        if blob.len() < size {
            break;
        }
        found.push(header);
        blob = &blob[size..];
    }
    found
}
