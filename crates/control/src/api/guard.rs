//! Who may change something: nobody whom a web page sent.
//!
//! The API has no users yet and listens on loopback, which every browser on this machine can reach. A page of another
//! origin says so in `Origin`; one that bound its own name to 127.0.0.1 (DNS rebinding) says so in `Host`.

use super::routes::failure;
use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use serde_json::Value;
use std::net::IpAddr;

/// Lets reads through, and of everything else what comes from this machine's own hands.
pub(super) async fn refuse_foreign(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    match fault(request.headers()) {
        Some(error) if !reads => failure(StatusCode::FORBIDDEN, error, Value::Null),
        _ => next.run(request).await,
    }
}

fn fault(headers: &HeaderMap) -> Option<&'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let Some(host) = text(header::HOST).filter(|host| is_loopback(host)) else {
        return Some("expected a Host header that names loopback, e.g. 127.0.0.1:9901");
    };
    let own = |origin: &str| origin.strip_prefix("http://") == Some(host);
    match text(header::ORIGIN) {
        Some(origin) if !own(origin) => Some("refused: a page of another origin asked for it"),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for host in ["localhost", "LOCALHOST:9901", "127.0.0.1", "127.0.0.9:1", "[::1]", "[::1]:9901"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9901",
            "[::2]:1",
            "10.0.0.1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
