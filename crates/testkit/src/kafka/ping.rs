//! One Metadata request over a plain socket: does this broker answer, and whom does it know?

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Metadata v1 with no topics: size, header v1 (api key 3, version 1, correlation id 7, client id "ping"), and
/// an empty array, which from v1 on means "no topics".
const REQUEST: [u8; 22] = [0, 0, 0, 18, 0, 3, 0, 1, 0, 0, 0, 7, 0, 4, b'p', b'i', b'n', b'g', 0, 0, 0, 0];

/// ApiVersions v0: size, header v1 (api key 18, version 0, correlation id 7, client id "ping").
const VERSIONS: [u8; 18] = [0, 0, 0, 14, 0, 18, 0, 0, 0, 0, 0, 7, 0, 4, b'p', b'i', b'n', b'g'];

/// The node ids of the brokers that the one at `address`, or a proxy there, shows.
pub fn node_ids(address: SocketAddr, timeout: Duration) -> Result<Vec<i32>, String> {
    let answer = exchange(address, timeout, &REQUEST).map_err(|e| format!("{address}: {e}"))?;
    parse(&answer).ok_or_else(|| format!("{address}: not a Metadata response: {answer:?}"))
}

/// The versions of each api that the broker at `address`, or a proxy there, offers: api key → first and last.
pub fn api_versions(address: SocketAddr, timeout: Duration) -> Result<BTreeMap<i16, (i16, i16)>, String> {
    let answer = exchange(address, timeout, &VERSIONS).map_err(|e| format!("{address}: {e}"))?;
    parse_versions(&answer).ok_or_else(|| format!("{address}: not an ApiVersions response: {answer:?}"))
}

fn parse_versions(answer: &[u8]) -> Option<BTreeMap<i16, (i16, i16)>> {
    let mut rest = answer.get(4..)?;
    let error = short(&mut rest)?;
    let count = int(&mut rest)?;
    let mut versions = BTreeMap::new();
    for _ in 0..count {
        versions.insert(short(&mut rest)?, (short(&mut rest)?, short(&mut rest)?));
    }
    (error == 0).then_some(versions)
}

fn short(rest: &mut &[u8]) -> Option<i16> {
    let (head, tail) = rest.split_first_chunk::<2>()?;
    *rest = tail;
    Some(i16::from_be_bytes(*head))
}

fn exchange(address: SocketAddr, timeout: Duration, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(request)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    // A small cluster's answer is small; a wild length is cut off and then fails to parse.
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap_or(0).min(65_536)];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn parse(answer: &[u8]) -> Option<Vec<i32>> {
    let mut rest = answer.get(4..)?;
    let count = int(&mut rest)?;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(int(&mut rest)?);
        string(&mut rest)?; // host
        int(&mut rest)?; // port
        string(&mut rest)?; // rack
    }
    Some(ids)
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(i32::from_be_bytes(*head))
}

fn string(rest: &mut &[u8]) -> Option<()> {
    let (head, tail) = rest.split_first_chunk::<2>()?;
    let length = usize::try_from(i16::from_be_bytes(*head)).unwrap_or(0);
    *rest = tail.get(length..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_versions};

    #[test]
    fn versions_are_read_and_an_error_is_none() {
        let mut answer = vec![0, 0, 0, 7, 0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
        assert_eq!(parse_versions(&answer), Some([(18, (0, 4))].into()));
        answer[5] = 35;
        assert_eq!(parse_versions(&answer), None);
    }

    #[test]
    fn brokers_are_read_and_a_short_answer_is_none() {
        let mut answer = vec![0, 0, 0, 7, 0, 0, 0, 1];
        answer.extend([0, 0, 0, 5, 0, 1, b'h', 0, 0, 1, 0, 0xff, 0xff]);
        assert_eq!(parse(&answer), Some(vec![5]));
        assert_eq!(parse(&answer[..answer.len() - 1]), None);
    }
}
