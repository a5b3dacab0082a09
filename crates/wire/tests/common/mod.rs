//! What the tests share: all messages of all versions with sample values, events as comparable text, a generator of
//! repeatable numbers.

#![allow(dead_code, reason = "each test binary uses its own part")]

use bytes::Bytes;
use pointsman_wire::sample::{sample, sample_of_nulls};
use pointsman_wire::{Cursor, DecodeError, Event, Kind, Message, Struct, encode, tables};

/// A message of one version, filled, with its bytes.
pub(crate) struct Case {
    pub(crate) message: &'static Message,
    pub(crate) version: i16,
    pub(crate) value: Struct,
    pub(crate) body: Bytes,
}

/// Every api, version and direction; filled, all null, and empty.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for api in tables::apis() {
        for message in api.requests.iter().chain(api.responses).copied() {
            for version in message.versions.min..=message.versions.max {
                let filled = sample(message, version, &mut |_, _| None);
                for value in [filled, sample_of_nulls(message, version), Struct::new()] {
                    let body = bytes_of(message, version, &value).into();
                    cases.push(Case { message, version, value, body });
                }
            }
        }
    }
    cases
}

impl Case {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.message.name, self.version)
    }
}

pub(crate) fn bytes_of(message: &'static Message, version: i16, value: &Struct) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, version, value, &mut out)
        .unwrap_or_else(|error| panic!("{} {version}: {error}", message.name));
    out
}

/// Feeds the body in pieces; `split` says how many more bytes arrive when the cursor wants more. Chunks are joined.
pub(crate) fn events(
    message: &'static Message,
    version: i16,
    body: &[u8],
    split: &mut dyn FnMut() -> usize,
) -> Result<Vec<String>, DecodeError> {
    let mut cursor = Cursor::new(message, version, body.len());
    let (mut out, mut arrived, mut chunk) = (Vec::new(), 0, 0);
    loop {
        let Some(event) = cursor.next(&body[cursor.position()..arrived])? else {
            if arrived == body.len() {
                return Err(DecodeError::Truncated { needed: 1, left: 0 });
            }
            arrived = (arrived + split().max(1)).min(body.len());
            continue;
        };
        assert_eq!(event.at + event.len, cursor.position());
        if let Kind::Chunk { last } = event.kind {
            assert!(event.len > 0);
            chunk += event.len;
            if !last {
                continue;
            }
            out.push(format!("{} chunk of {chunk} to {}", event.field.name, cursor.position()));
            chunk = 0;
            continue;
        }
        out.push(text(&event));
        if event.kind == Kind::End {
            assert_eq!(cursor.position(), body.len());
            return Ok(out);
        }
    }
}

fn text(event: &Event) -> String {
    format!("{} {:?} {}+{}", event.field.name, event.kind, event.at, event.len)
}

/// xorshift64*, seeded: the same numbers in every run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap_or(0) % bound.max(1)
    }
}
