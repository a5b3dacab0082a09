//! Probes that do not speak Kafka: an HTTP GET, and a mere TCP connection.

use super::tls::Files;
use crate::kafka::{CallError, LastGood, dial};
use pointsman_core::config::Address;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A status line is much shorter.
const STATUS_LINE: u64 = 256;
/// The first byte of a TLS alert: what a side that speaks TLS says to one that does not.
const ALERT: u8 = 21;

/// Somebody accepts connections.
pub(super) async fn tcp(address: &Address, known: &LastGood) -> Result<(), CallError> {
    dial(address, known).await.map(drop)
}

/// Somebody answers a GET with one of these statuses.
pub(super) async fn http(
    broker: &Address,
    port: u16,
    path: &str,
    status: (u16, u16),
    tls: Option<&Files>,
    known: &LastGood,
) -> Result<(), CallError> {
    let address = Address { host: broker.host.clone(), port };
    let stream = dial(&address, known).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: pointsman\r\nConnection: close\r\n\r\n"
    );
    match tls {
        Some(files) => {
            let stream = files.connect(&broker.host, stream).await?;
            // With TLS 1.3 the other side says only now what it has against this one.
            ask(stream, &request, status).await.map_err(|error| files.explain(&broker.host, error))
        }
        None => ask(stream, &request, status).await,
    }
}

async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
    status: (u16, u16),
) -> Result<(), CallError> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut line = Vec::new();
    let mut head = stream.take(STATUS_LINE);
    while !line.contains(&b'\n') {
        if head.read_buf(&mut line).await? == 0 {
            break;
        }
    }
    if line.first() == Some(&ALERT) {
        let remedy = "the port speaks TLS: write `tls: { ca_file: ca.pem }` under `http`";
        return Err(CallError::Protocol(remedy.into()));
    }
    check_status(&String::from_utf8_lossy(&line), status)
}

fn check_status(head: &str, (first, last): (u16, u16)) -> Result<(), CallError> {
    let line = head.lines().next().unwrap_or("");
    let mut words = line.split(' ');
    let version = words.next().unwrap_or("");
    match words.next().and_then(|code| code.parse::<u16>().ok()) {
        Some(code) if (first..=last).contains(&code) && version.starts_with("HTTP/1.") => Ok(()),
        Some(code) if version.starts_with("HTTP/1.") => {
            let expected = if first == last { first.to_string() } else { format!("{first} to {last}") };
            Err(CallError::Protocol(format!("HTTP status {code}, expected {expected}")))
        }
        _ => Err(CallError::Protocol("no HTTP status line".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::check_status;

    #[test]
    fn only_an_expected_status_is_well() {
        let check_status = |head| check_status(head, (200, 299));
        assert!(check_status("HTTP/1.1 200 OK\r\n").is_ok());
        assert!(check_status("HTTP/1.0 204 No Content\r\n").is_ok());
        assert!(super::check_status("HTTP/1.1 401 Unauthorized\r\n", (401, 401)).is_ok());
        for bad in ["HTTP/1.1 503 Service Unavailable\r\n", "HTTP/1.1 30", "220 smtp\r\n", ""] {
            assert!(check_status(bad).is_err(), "{bad}");
        }
    }
}
