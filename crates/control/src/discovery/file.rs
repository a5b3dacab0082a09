//! Bootstrap servers from a file: one `host:port` a line, `#` starts a comment.

use pointsman_core::{config::Address, limits::MAX_CONFIG};
use std::{io::Read, path::Path};

/// The servers of the file: at least one, each once, or why not. One bad line makes the whole file bad, since it may be half written.
pub(super) fn read(path: &Path) -> Result<Vec<Address>, String> {
    let limit = u64::try_from(MAX_CONFIG).unwrap_or(u64::MAX);
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text));
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|reason| format!("{}: {reason}", path.display()))
}

fn parse(text: &str) -> Result<Vec<Address>, String> {
    let mut servers = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let server = line.parse().map_err(|error| format!("line {}: {error}", number + 1))?;
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() { Err("expected a host:port in a line, found none".into()) } else { Ok(servers) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_one_server_a_line() {
        let servers = parse("# ours\n a:9092 # first\n\nb:9093\r\na:9092\n").expect("servers");
        assert_eq!(servers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:9092", "b:9093"]);
    }

    #[test]
    fn a_file_without_servers_or_with_a_bad_line_is_refused() {
        assert_eq!(parse("# none\n"), Err("expected a host:port in a line, found none".into()));
        assert_eq!(parse("a:1\nb"), Err("line 2: expected host:port, e.g. kafka-1:9092".into()));
    }
}
