//! The parser against hellos that are sound, cut, split, hostile and random.

use super::*;

fn vector16(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("short");
    [&length.to_be_bytes()[..], body].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(data)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(SERVER_NAME, &vector16(&[&[HOST_NAME][..], &vector16(name)].concat()))
}

/// A handshake message with these extensions.
fn message(extensions: &[u8]) -> Vec<u8> {
    let body =
        [&[3, 3][..], &[7; 32], &[4, 1, 2, 3, 4], &vector16(&[0x13, 0x01]), &[1, 0], &vector16(extensions)]
            .concat();
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&[CLIENT_HELLO][..], &length[1..], &body].concat()
}

/// The message in records of at most so many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[HANDSHAKE, 3, 1][..], &vector16(part)].concat();
    message.chunks(size).flat_map(record).collect()
}

fn hello(name: &str) -> Vec<u8> {
    let alpn = extension(16, &vector16(b"\x05kafka"));
    records(&message(&[alpn, sni(name.as_bytes())].concat()), 1 << 14)
}

#[test]
fn the_server_name_is_found_in_any_case_and_in_any_split_of_records_and_bytes() {
    let name = Hello::For(Some("b3.kafka.example.com".into()));
    let message = message(&[extension(43, b"\x02\x03\x04"), sni(b"B3.kafka.example.com")].concat());
    for size in [1, 2, 7, 64, 1 << 14] {
        let bytes = records(&message, size);
        for cut in 0..bytes.len() {
            assert_eq!(look(&bytes[..cut]), Hello::Incomplete, "{cut} bytes in records of {size}");
        }
        assert_eq!(look(&bytes), name);
        // What follows, such as early data, is none of the parser's business.
        assert_eq!(look(&[&bytes[..], &[23, 3, 3, 0, 1, 9]].concat()), name);
    }
}

#[test]
fn a_hello_without_a_name_is_told_apart() {
    assert_eq!(look(&records(&message(&extension(43, b"\x02\x03\x04")), 100)), Hello::For(None));
    let old = [&[3, 3][..], &[7; 32], &[0], &vector16(&[0, 1]), &[1, 0]].concat();
    let length = u32::try_from(old.len()).expect("short").to_be_bytes();
    let old = [&[CLIENT_HELLO][..], &length[1..], &old].concat();
    assert_eq!(look(&records(&old, 100)), Hello::For(None), "without extensions at all");
}

#[test]
fn what_is_not_tls_is_known_by_its_first_byte() {
    // A Kafka request, an HTTP request, SSLv2, an alert.
    for bytes in [&[0, 0, 0, 20, 0, 18][..], b"GET / HTTP/1.1\r\n", &[0x80, 0x2e, 1], &[21, 3, 1, 0, 2]] {
        assert_eq!(look(&bytes[..1]), Hello::NotTls, "{bytes:?}");
    }
    assert_eq!(look(&[22, 9]), Hello::NotTls);
    assert_eq!(look(&[22, 3, 1, 0xff]), Hello::NotTls);
}

#[test]
fn lengths_that_lie_are_refused_or_waited_for_but_never_believed() {
    let malformed = |bytes: &[u8]| assert!(matches!(look(bytes), Hello::Malformed(_)), "{:?}", look(bytes));
    malformed(&records(&message(&[0, 0, 0xff, 0xff]), 100));
    malformed(&records(&message(&sni(b"")), 100));
    malformed(&records(&message(&sni(&[0xff, 0xfe])), 100));
    malformed(&records(&message(&extension(SERVER_NAME, &[0, 9, 0])), 100));
    malformed(&records(&[2, 0, 0, 1, 0], 100));
    malformed(&records(&[CLIENT_HELLO, 0xff, 0xff, 0xff, 0], 100));
    malformed(&[22, 3, 1, 0, 0]);
    // A message that promises more than ever comes.
    let slow = records(&[&[CLIENT_HELLO, 0, 0x3f, 0xff][..], &vec![0; 0x3ff0]].concat(), 1 << 14);
    let more = [&[HANDSHAKE, 3, 1, 0x40, 0][..], &[0; 100]].concat();
    malformed(&[&slow[..], &more].concat()[..MAX_HELLO]);
}

#[test]
fn random_changes_of_a_hello_never_panic() {
    let good = hello("b0.kafka.example.com");
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).expect("small")
    };
    let mut named = 0;
    for _ in 0..50_000 {
        let mut bytes = good.clone();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            bytes[at] = u8::try_from(next(256)).expect("a byte");
        }
        bytes.truncate(1 + next(bytes.len()));
        named += usize::from(matches!(look(&bytes), Hello::For(Some(_))));
    }
    assert!(named > 0, "some changes leave the name as it is");
}
