//! Addresses as users write them: `host:port` of a broker, `ip:port` or `ip:first-last` of a listener.

use super::Address;
use std::{fmt, net::IpAddr, str::FromStr};

/// Text that is no `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressError {
    /// What was expected.
    pub expected: &'static str,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host_port = AddressError { expected: "host:port, e.g. kafka-1:9092" };
        let (host, port) = split_port(text).ok_or(host_port)?;
        let host = valid_host(host).ok_or(host_port)?;
        let port = valid_port(port).ok_or(AddressError { expected: "a port from 1 to 65535" })?;
        Ok(Address { host: host.into(), port })
    }
}

/// Where a listener binds; why not, and what would be right.
pub(super) fn parse_listen(text: &str) -> Result<(IpAddr, (u16, u16)), (String, String)> {
    let form = "an address such as 0.0.0.0:9092 or 0.0.0.0:9092-9096";
    let Some((host, ports)) = split_port(text) else {
        let remedy = if text.starts_with(|c: char| c.is_ascii_digit()) && !text.contains('.') {
            format!("write 0.0.0.0:{text}")
        } else {
            "write 0.0.0.0:9092-9096, with one port per slot".into()
        };
        return Err((form.into(), remedy));
    };
    let Ok(bind) = host.parse() else {
        let remedy =
            format!("write 0.0.0.0:{ports} for all interfaces; names of this machine go to `advertise`");
        return Err(("an IP address of this machine before the port".into(), remedy));
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (Ok(first), Ok(last)) = (first.trim().parse::<u16>(), last.trim().parse::<u16>()) else {
        return Err(("ports from 1 to 65535".into(), format!("write {}:9092 or {}:9092-9096", host, host)));
    };
    if first == 0 || last == 0 {
        return Err(("ports from 1 to 65535".into(), "choose the port: clients need one that stays".into()));
    }
    if first > last {
        return Err(("the first port before the last".into(), format!("write {host}:{last}-{first}")));
    }
    Ok((bind, (first, last)))
}

/// Host (brackets removed) and port text; `None` without a colon, or for an IPv6 address without brackets.
fn split_port(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once("]:");
    }
    text.rsplit_once(':').filter(|(host, _)| !host.contains(':'))
}

fn valid_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// Where the number of a slot stands in its name.
pub(super) const SLOT: &str = "{slot}";

/// The name of a slot, by a name with [`SLOT`] in it; without, all have the same.
pub(super) fn name_of_slot(pattern: &str, slot: usize) -> String {
    pattern.replace(SLOT, &slot.to_string())
}

/// An IP address, or a host name (RFC 1123, and `_`, which container networks use).
pub(super) fn valid_host(text: &str) -> Option<&str> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = !text.is_empty()
        && text.len() <= 253
        && text.chars().all(letter)
        && text.split('.').all(|label| !label.is_empty() && label.len() <= 63);
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let valid = text.parse::<IpAddr>().is_ok() || (name && !numeric);
    valid.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_are_written() {
        for text in ["kafka-a0:9092", "10.0.0.1:1", "[::1]:65535", "my_host.example.com:9092"] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["kafka", ":9092", "::1:9092", "a b:9092", "a..b:1", "1.2.3.4.5:1", "a/b:1"] {
            assert_eq!(
                text.parse::<Address>().map_err(|e| e.expected),
                Err("host:port, e.g. kafka-1:9092"),
                "{text}"
            );
        }
        for text in ["kafka:", "kafka:0", "kafka:65536", "kafka:x"] {
            assert_eq!(
                text.parse::<Address>().map_err(|e| e.expected),
                Err("a port from 1 to 65535"),
                "{text}"
            );
        }
    }

    #[test]
    fn listeners_take_one_port_or_a_range() {
        assert_eq!(parse_listen("0.0.0.0:9092"), Ok(([0, 0, 0, 0].into(), (9092, 9092))));
        assert_eq!(parse_listen("127.0.0.1:9092-9096"), Ok(([127, 0, 0, 1].into(), (9092, 9096))));
        assert_eq!(parse_listen("[::]:9092-9093"), Ok(("::".parse().expect("an address"), (9092, 9093))));
    }
}
