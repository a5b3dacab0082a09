//! Bytes that no honest peer would send: nothing panics, nothing grows, nothing is forwarded that was not understood.

use crate::{
    bodies::{fetch, good, list_offsets, metadata, produce, with_data},
    harness::Rig,
};
use pointsman_core::{metrics::CloseReason, rules};
use pointsman_wire::{
    sample::sample,
    tables,
    value::{self, Struct},
};

/// A small generator of numbers, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("small")
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

fn sized(mut body: Vec<u8>) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).expect("small").to_be_bytes().to_vec();
    frame.append(&mut body);
    frame
}

#[test]
fn random_requests_never_panic() {
    let mut random = Random(0x5eed);
    for _ in 0..20_000 {
        let mut rig = Rig::new();
        let len = 1 + random.below(80);
        let mut body = random.bytes(len);
        // Mostly of apis and versions that exist, so that the bytes get somewhere.
        if len >= 4 && random.below(4) > 0 {
            body[..2].copy_from_slice(&i16::try_from(random.below(93)).expect("small").to_be_bytes());
            body[2..4].copy_from_slice(&i16::try_from(random.below(14)).expect("small").to_be_bytes());
        }
        rig.feed(&sized(body));
    }
}

#[test]
fn flipped_bytes_in_requests_of_every_api_never_panic() {
    let mut random = Random(0xf11b);
    for (key, (min, max)) in rules::ours().apis {
        for version in [min, max] {
            let message = tables::request(key, version).expect("offered");
            let body =
                sample(message, version, &mut |_, field| (field.name == "ReplicaId").then(|| (-1).into()));
            let frame = value::encode_request(key, version, 1, Some("client"), &body).expect("encodes");
            for at in 8..frame.len() {
                let mut rig = Rig::new();
                let mut bytes = frame.clone();
                bytes[at] ^= 1 << random.below(8);
                rig.feed(&bytes);
                rig.switch();
                rig.wait(std::time::Duration::from_secs(1));
            }
        }
    }
}

#[test]
fn truncated_requests_close_the_connection() {
    for body in [produce(&[("orders", &[0, 1])], -1, None), produce(&[("lines", &[2])], -1, Some((1, 0, 0)))]
    {
        let frame = value::encode_request(0, 9, 1, Some("client"), &body).expect("encodes");
        for len in 5..frame.len() {
            let mut rig = Rig::new();
            rig.feed(&sized(frame[4..len].to_vec()));
            assert!(rig.sent().is_empty(), "cut to {len}");
            assert_eq!(rig.close.map(|c| c.reason), Some(CloseReason::BadRequest), "cut to {len}");
        }
    }
}

#[test]
fn random_and_flipped_responses_never_panic() {
    let mut random = Random(0xbad);
    let asks: [(i16, i16, Struct); 5] = [
        (0, 10, produce(&[("orders", &[0, 1])], -1, None)),
        (1, 12, fetch(&[("orders", &[0]), ("lines", &[0])])),
        (1, 12, fetch(&[("orders", &[0])])),
        (2, 5, list_offsets(&[("orders", &[0, 1])])),
        (3, 9, metadata()),
    ];
    for (key, version, body) in &asks {
        for round in 0..1500 {
            let mut rig = Rig::new();
            if round % 2 == 0 {
                rig.switch();
            }
            rig.ask(*key, *version, body);
            let sent = rig.sent().remove(0);
            let answer = if *key == 1 { with_data(&sent, 3) } else { good(&sent) };
            let mut frame =
                value::encode_response(*key, *version, sent.correlation, &answer).expect("encodes");
            if round % 5 == 0 {
                let len = 4 + random.below(60);
                frame = sized([&sent.correlation.to_be_bytes()[..], &random.bytes(len)].concat());
            } else if frame.len() > 8 {
                let at = 8 + random.below(frame.len() - 8);
                frame[at] ^= 1 << random.below(8);
            }
            rig.respond(sent.to, &frame);
            rig.wait(std::time::Duration::from_secs(1));
        }
    }
}

#[test]
fn flipped_bytes_in_responses_of_every_api_never_panic() {
    let mut random = Random(0xf1a9);
    for (key, (_, version)) in rules::ours().apis.into_iter().filter(|(key, _)| *key != 18) {
        let request = tables::request(key, version).expect("offered");
        let ask = sample(request, version, &mut |_, field| match field.name {
            "ReplicaId" | "Acks" => Some((-1).into()),
            "SessionId" => Some(0.into()),
            _ => None,
        });
        let answer = sample(tables::response(key, version).expect("offered"), version, &mut |_, _| None);
        for _ in 0..40 {
            let mut rig = Rig::new();
            rig.ask(key, version, &ask);
            rig.wait(std::time::Duration::from_secs(1));
            let Some(sent) = rig.sent().into_iter().find(|s| s.key == key) else { continue };
            let mut frame = value::encode_response(key, version, sent.correlation, &answer).expect("encodes");
            let at = 8 + random.below(frame.len().max(9) - 8);
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
            rig.respond(sent.to, &frame);
        }
    }
}

#[test]
fn what_is_not_offered_closes_the_connection_and_says_what() {
    for (key, version) in [(4, 0), (999, 0), (0, 99), (83, 0), (-1, 0)] {
        let mut rig = Rig::new();
        let frame = [
            &[0, 0, 0, 11],
            &i16::to_be_bytes(key)[..],
            &i16::to_be_bytes(version),
            &[0, 0, 0, 1, 255, 255, 0],
        ]
        .concat();
        rig.feed(&frame);
        let close = rig.close.expect("closed");
        assert_eq!(close.reason, CloseReason::BadRequest);
        assert!(close.detail.contains(&key.to_string()), "{}", close.detail);
        assert!(rig.session.in_flight() == 0);
    }
}

#[test]
fn an_api_versions_request_that_is_too_new_gets_an_answer_in_version_0() {
    let mut rig = Rig::new();
    rig.feed(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 5, 255, 255]);
    let reply = rig.raw_replies().remove(0);
    let (correlation, body) = value::decode_response(18, 0, &reply.slice(4..)).expect("version 0");
    assert_eq!((correlation, body.i16("ErrorCode")), (5, 35));
    assert!(body.structs("ApiKeys").count() > 50 && rig.close.is_none());
}

#[test]
fn a_client_that_calls_itself_a_replica_is_refused() {
    let mut rig = Rig::new();
    rig.ask(1, 12, &fetch(&[("orders", &[0])]).with("ReplicaId", 2));
    assert!(rig.sent().is_empty());
    assert_eq!(rig.close.map(|c| c.reason), Some(CloseReason::BadRequest));
}
