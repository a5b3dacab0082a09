//! `health.probe`: what is asked of each broker.

use super::{
    ProbeKind, ProbeTls,
    address::valid_host,
    error::Problems,
    parse::join_path,
    read::{Field, Keys},
    yaml::Value,
};
use std::{net::IpAddr, path::Path, sync::Arc};

const PROBE: Keys = Keys { known: &["http"], later: &[] };
const HTTP: Keys = Keys { known: &["port", "path", "status", "tls"], later: &[] };
const TLS: Keys = Keys { known: &["ca_file", "cert_file", "key_file", "server_name"], later: &[] };

pub(super) fn read_probe(field: &Field<'_>, base_dir: &Path, problems: &mut Problems) -> Option<ProbeKind> {
    if !matches!(field.node.value, Value::Mapping(_)) {
        let expected = "kafka, tcp or { http: { port, path } }";
        let remedy = "write probe: kafka";
        return match field.text(expected, remedy, problems)? {
            "kafka" => Some(ProbeKind::Kafka),
            "tcp" => Some(ProbeKind::Tcp),
            _ => {
                field.expected(expected, remedy, problems);
                None
            }
        };
    }
    let remedy = "write probe: { http: { port: 8081, path: / } }";
    let probe = field.table(&PROBE, "kafka, tcp or { http: { port, path } }", remedy, problems)?;
    let http = probe.require("http", remedy, problems)?;
    let http = http.table(&HTTP, "a mapping with `port` and `path`", remedy, problems)?;
    let port = http.require("port", remedy, problems).and_then(|f| f.integer(1..=65535, problems));
    let path = match http.get("path") {
        Some(field) => read_http_path(field, problems)?,
        None => "/",
    };
    let status = http.get("status").map_or(Some((200, 299)), |f| read_http_status(f, problems));
    let tls = match http.get("tls") {
        Some(field) => Some(read_tls(field, base_dir, problems)?),
        None => None,
    };
    Some(ProbeKind::Http { port: u16::try_from(port?).ok()?, path: path.into(), status: status?, tls })
}

/// Whether the files hold what they should is seen when they are read.
fn read_tls(field: &Field<'_>, base_dir: &Path, problems: &mut Problems) -> Option<ProbeTls> {
    let remedy = "write tls: { ca_file: ca.pem }";
    let table = field.table(&TLS, "a mapping with `ca_file`", remedy, problems)?;
    let file = |field: &Field<'_>, problems: &mut Problems| {
        let path = field.text("the path of a PEM file", "write e.g. ca.pem", problems)?;
        Some(join_path(base_dir, path))
    };
    let ca_file = table.require("ca_file", remedy, problems).and_then(|f| file(f, problems));
    let identity = match (table.get("cert_file"), table.get("key_file")) {
        (Some(certificate), Some(key)) => Some((file(certificate, problems)?, file(key, problems)?)),
        (None, None) => None,
        (Some(lone), None) | (None, Some(lone)) => {
            let problem = "`cert_file` and `key_file` go together";
            problems.add(lone.key, &lone.path, problem, "give both, or none of them");
            return None;
        }
    };
    let server_name = match table.get("server_name") {
        Some(field) => Some(read_server_name(field, problems)?),
        None => None,
    };
    Some(ProbeTls { ca_file: ca_file?, identity, server_name })
}

fn read_server_name(field: &Field<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let (expected, remedy) = ("a host name or an IP address", "write e.g. registry.example.com");
    let name = field.text(expected, remedy, problems)?;
    if valid_host(name).is_none() && name.parse::<IpAddr>().is_err() {
        field.expected(expected, remedy, problems);
        return None;
    }
    Some(name.into())
}

/// `200`, or `200-399`.
fn read_http_status(field: &Field<'_>, problems: &mut Problems) -> Option<(u16, u16)> {
    let (expected, remedy) = ("an HTTP status or a range of them", "write e.g. status: 200, or 200-299");
    let text = field.text(expected, remedy, problems)?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let range = status(first).zip(status(last)).filter(|(first, last)| first <= last);
    if range.is_none() {
        field.expected(expected, remedy, problems);
    }
    range
}

fn read_http_path<'a>(field: &Field<'a>, problems: &mut Problems) -> Option<&'a str> {
    let (expected, remedy) = ("a path that starts with `/`", "write e.g. /schemas/types");
    let path = field.text(expected, remedy, problems)?;
    let valid = path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic());
    if !valid {
        field.expected(expected, remedy, problems);
    }
    valid.then_some(path)
}
