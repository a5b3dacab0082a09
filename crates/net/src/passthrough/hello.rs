//! The server name in a TLS ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3), without a TLS library: nothing is
//! decrypted, and every byte goes to the broker as it came.
//!
//! Hostile by assumption: each length is checked against the bytes that are there, and nothing is allocated for one.

/// Largest ClientHello that is read, with its record headers: with post-quantum keys one has some 2 KiB.
pub(super) const MAX_HELLO: usize = 16 << 10;
const RECORD_HEADER: usize = 5;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// The beginning of a ClientHello.
    Incomplete,
    /// A ClientHello for this host, in lower case; `None`: for none.
    For(Option<String>),
    /// Not TLS.
    NotTls,
    /// TLS, but no sound ClientHello.
    Malformed(&'static str),
}

/// Looks at what has come so far.
pub(super) fn look(bytes: &[u8]) -> Hello {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        match record(rest) {
            Record::Whole(body, after) => {
                message.extend_from_slice(body);
                rest = after;
            }
            Record::Partial => break,
            Record::NotTls => return Hello::NotTls,
            Record::Empty => return Hello::Malformed("an empty record"),
        }
        match handshake(&message) {
            Some(Ok(body)) => return server_name(body).map_or_else(Hello::Malformed, Hello::For),
            Some(Err(wrong)) => return Hello::Malformed(wrong),
            None => {}
        }
    }
    if bytes.len() >= MAX_HELLO { Hello::Malformed("larger than 16 KiB") } else { Hello::Incomplete }
}

enum Record<'a> {
    Whole(&'a [u8], &'a [u8]),
    Partial,
    Empty,
    NotTls,
}

/// A record of the handshake; a wrong beginning is told by its first bytes.
fn record(bytes: &[u8]) -> Record<'_> {
    let wrong = |at: usize, right: fn(u8) -> bool| bytes.get(at).is_some_and(|b| !right(*b));
    // Version 3.x, and at most 2^14 bytes and some.
    if wrong(0, |b| b == HANDSHAKE) || wrong(1, |b| b == 3) || wrong(2, |b| b <= 4) || wrong(3, |b| b <= 0x41)
    {
        return Record::NotTls;
    }
    let Some(&[_, _, _, high, low]) = bytes.first_chunk::<RECORD_HEADER>() else { return Record::Partial };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length == 0 {
        return Record::Empty;
    }
    let body = &bytes[RECORD_HEADER..];
    if body.len() < length { Record::Partial } else { Record::Whole(&body[..length], &body[length..]) }
}

/// The body of the ClientHello, once it is complete.
fn handshake(message: &[u8]) -> Option<Result<&[u8], &'static str>> {
    let (&kind, rest) = message.split_first()?;
    if kind != CLIENT_HELLO {
        return Some(Err("the first message is no ClientHello"));
    }
    let (&[a, b, c], body) = rest.split_first_chunk::<3>()?;
    let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
    if length > MAX_HELLO {
        return Some(Err("larger than 16 KiB"));
    }
    (body.len() >= length).then(|| Ok(&body[..length]))
}

fn server_name(body: &[u8]) -> Result<Option<String>, &'static str> {
    let mut body = Reader(body);
    body.skip(2 + 32)?;
    let session = body.vector8()?;
    let (_ciphers, _compression) = (body.vector16()?, body.vector8()?);
    if session.len() > 32 {
        return Err("a session id of more than 32 bytes");
    }
    if body.0.is_empty() {
        return Ok(None);
    }
    let mut extensions = Reader(body.vector16()?);
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let data = extensions.vector16()?;
        if kind == SERVER_NAME {
            return host_name(data).map(Some);
        }
    }
    Ok(None)
}

fn host_name(data: &[u8]) -> Result<String, &'static str> {
    let mut names = Reader(Reader(data).vector16()?);
    while !names.0.is_empty() {
        let kind = names.byte()?;
        let name = names.vector16()?;
        if kind == HOST_NAME {
            let name = std::str::from_utf8(name).map_err(|_| "a server name that is no text")?;
            let sound = !name.is_empty() && name.len() <= 255 && name.is_ascii();
            return if sound { Ok(name.to_ascii_lowercase()) } else { Err("a server name that is no name") };
        }
    }
    Err("a server name extension without a host name")
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or("a length beyond the end")?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, n: usize) -> Result<(), &'static str> {
        self.take(n).map(drop)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        self.take(1).map(|b| b[0])
    }

    fn number(&mut self) -> Result<u16, &'static str> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    fn vector8(&mut self) -> Result<&'a [u8], &'static str> {
        let n = self.byte()?;
        self.take(n.into())
    }

    fn vector16(&mut self) -> Result<&'a [u8], &'static str> {
        let n = self.number()?;
        self.take(n.into())
    }
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
