//! The words of the commands beside the proxy itself: `top`, `certs`, `convert`.

use super::{ADMIN, Command, admin_address};
use lexopt::prelude::*;
use std::path::PathBuf;

/// What `certs` makes, and where.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CertsArgs {
    /// The directory.
    pub(crate) out: PathBuf,
    /// Host names or addresses of the brokers, a certificate each.
    pub(crate) brokers: Vec<String>,
    /// Names or addresses by which clients reach Pointsman: in each broker's certificate.
    pub(crate) proxies: Vec<String>,
    /// Names of clients, a certificate each.
    pub(crate) clients: Vec<String>,
    /// Replace files that are there.
    pub(crate) force: bool,
}

/// What `convert` reads and writes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ConvertArgs {
    /// Envoy's bootstrap file.
    pub(crate) file: PathBuf,
    /// Where the configuration goes; `None`: standard output.
    pub(crate) output: Option<PathBuf>,
    /// Replace that file.
    pub(crate) force: bool,
}

pub(super) fn top(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut admin = ADMIN.to_owned();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("admin") => admin = admin_address(&parser.value()?.string()?)?,
            Short('h') | Long("help") => return Ok(Command::Help(HELP_TOP)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Top { admin })
}

pub(super) fn certs(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut args = CertsArgs { out: "certs".into(), ..CertsArgs::default() };
    while let Some(arg) = parser.next()? {
        match arg {
            Short('o') | Long("out") => args.out = parser.value()?.into(),
            Long("broker") => args.brokers.push(parser.value()?.string()?),
            Long("proxy") => args.proxies.push(parser.value()?.string()?),
            Long("client") => args.clients.push(parser.value()?.string()?),
            Long("force") => args.force = true,
            Short('h') | Long("help") => return Ok(Command::Help(HELP_CERTS)),
            other => return Err(other.unexpected()),
        }
    }
    if args.brokers.is_empty() {
        return Err("missing option '--broker HOST', once for each broker".into());
    }
    if args.proxies.is_empty() {
        return Err("missing option '--proxy NAME': the name by which clients reach Pointsman".into());
    }
    Ok(Command::Certs(args))
}

pub(super) fn convert(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut from, mut args, mut file) = (None, ConvertArgs::default(), None);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('o') | Long("output") => args.output = Some(parser.value()?.into()),
            Long("force") => args.force = true,
            Short('h') | Long("help") => return Ok(Command::Help(HELP_CONVERT)),
            Value(word) if from.is_none() => from = Some(word),
            Value(word) if file.is_none() => file = Some(word),
            other => return Err(other.unexpected()),
        }
    }
    match from {
        Some(from) if from == "envoy" => {}
        Some(from) => return Err(format!("expected `envoy FILE`, found `{}`", from.to_string_lossy()).into()),
        None => return Err("expected `envoy FILE`".into()),
    }
    args.file = file.ok_or("expected the bootstrap file after `envoy`")?.into();
    Ok(Command::Convert(args))
}

pub(super) const HELP_TOP: &str = "\
Watch a running process in the terminal: clusters and brokers with state and reason, where each slot
leads, connections and rates, the last events. Keys are on the screen; `?` explains them.

Usage: pointsman top [--admin ADDRESS]

Options:
      --admin ADDRESS  The admin API, as host:port or http://host:port [default: 127.0.0.1:9901]
  -h, --help           Print this help

It asks GET /v1/status and GET /metrics every second, and changes nothing. Without a terminal use
`pointsman status --watch`. Colours are never used when NO_COLOR is set.
";

pub(super) const HELP_CERTS: &str = "\
Make a small CA and a certificate for each broker that also carries the name of Pointsman, so that
clients which connect through `mode: passthrough` find the name they asked for. FOR TRIALS ONLY: the
certificates say so and end after 30 days, and the CA's key is thrown away.

Usage: pointsman certs --broker HOST... --proxy NAME... [--client NAME]... [--out DIR] [--force]

Options:
      --broker HOST  Host name or IP address of a broker; once for each, in the order of the slots
      --proxy NAME   Host name (may begin with `*.`) or IP address by which clients reach Pointsman
      --client NAME  A client that proves who it is by a certificate
  -o, --out DIR      The directory, made if missing [default: certs]
      --force        Replace files that are there
  -h, --help         Print this help

Writes ca.pem, and for each broker and client HOST.pem (certificate and CA), HOST.key, and
HOST.keystore.pem (key and certificates: Kafka's ssl.keystore.type=PEM). Keys have mode 0600.

Exit codes: 0 written, 1 not written, 2 wrong usage.
";

pub(super) const HELP_CONVERT: &str = "\
Read an Envoy bootstrap file (YAML or JSON) with one tcp_proxy listener a port and clusters with
priorities, and write a Pointsman configuration with a comment for each thing it did not carry over.

Usage: pointsman convert envoy FILE [-o FILE] [--force]

Options:
  -o, --output FILE  Where to write [default: standard output]
      --force        Replace that file
  -h, --help         Print this help

What was not carried over is also counted on stderr. Read the comments, then `pointsman check`.

Exit codes: 0 written, 1 the file cannot be read or does not have this shape, 2 wrong usage.
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn of(line: &str) -> Result<Command, String> {
        super::super::parse(line.split_whitespace().map(OsString::from)).map_err(|e| e.to_string())
    }

    #[test]
    fn tools_are_read() {
        let certs = CertsArgs {
            out: "d".into(),
            brokers: vec!["a0".into(), "a1".into()],
            proxies: vec!["p".into()],
            clients: vec!["c".into()],
            force: true,
        };
        let line = "certs --broker a0 --broker=a1 --proxy p --client c -o d --force";
        assert_eq!(of(line), Ok(Command::Certs(certs)));
        let convert = |output: Option<&str>, force| {
            Command::Convert(ConvertArgs { file: "e.yaml".into(), output: output.map(Into::into), force })
        };
        assert_eq!(of("convert envoy e.yaml"), Ok(convert(None, false)));
        assert_eq!(of("convert envoy e.yaml --force -o p.yaml"), Ok(convert(Some("p.yaml"), true)));
    }

    #[test]
    fn tools_say_what_was_expected() {
        for (line, expected) in [
            ("certs --proxy p", "missing option '--broker HOST', once for each broker"),
            ("certs --broker a", "missing option '--proxy NAME': the name by which clients reach Pointsman"),
            ("convert", "expected `envoy FILE`"),
            ("convert nginx x", "expected `envoy FILE`, found `nginx`"),
            ("convert envoy", "expected the bootstrap file after `envoy`"),
            ("convert envoy a b", "unexpected argument \"b\""),
            ("top now", "unexpected argument \"now\""),
        ] {
            let command = line.split(' ').next().unwrap_or_default();
            assert_eq!(of(line), Err(format!("{expected}\nTry `pointsman {command} --help`.")), "{line}");
        }
    }
}
