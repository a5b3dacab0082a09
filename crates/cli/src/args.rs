//! The command line: words in, a [`Command`] or a usage error out. It must not do anything.

mod tools;

use lexopt::prelude::*;
use std::{ffi::OsString, fmt, path::PathBuf};
pub(crate) use tools::{CertsArgs, ConvertArgs};

/// Where the admin API listens, unless the configuration says otherwise.
const ADMIN: &str = "127.0.0.1:9901";

/// Every command, in the order of the help.
const COMMANDS: &str = "run, check, status, switch, top, certs, convert or demo";

/// What the user wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Run the proxy.
    Run {
        /// The configuration file.
        config: PathBuf,
    },
    /// Check a configuration file.
    Check {
        /// The configuration file.
        config: PathBuf,
        /// Whether to ask the clusters too.
        live: bool,
    },
    /// Show the status of a running process.
    Status(StatusArgs),
    /// Make another cluster active in a running process.
    Switch(SwitchArgs),
    /// Watch a running process in the terminal.
    Top {
        /// Host and port of the admin API.
        admin: String,
    },
    /// Make certificates for trials.
    Certs(CertsArgs),
    /// Make a configuration from that of another proxy.
    Convert(ConvertArgs),
    /// Show it working.
    Demo(DemoArgs),
    /// Print a help text.
    Help(&'static str),
    /// Print the version.
    Version,
}

/// What `status` shows, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StatusArgs {
    /// Host and port of the admin API.
    pub(crate) admin: String,
    /// Whether to ask again every second.
    pub(crate) watch: bool,
    /// Whether to print what the API said.
    pub(crate) json: bool,
}

/// Which cluster `switch` makes active, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SwitchArgs {
    /// The cluster; `None`: the decision is given back to automatic failback.
    pub(crate) to: Option<String>,
    /// The virtual cluster.
    pub(crate) virtual_cluster: String,
    /// Also without quorum.
    pub(crate) force: bool,
    /// Host and port of the admin API.
    pub(crate) admin: String,
}

/// What `demo` starts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DemoArgs {
    /// Apache Kafka instead of the sandbox.
    pub(crate) kafka: bool,
    /// Pointsman only forwards bytes, and brokers advertise it.
    pub(crate) passthrough: bool,
    /// Without questions or a moving display.
    pub(crate) headless: bool,
    /// One JSON object at the end.
    pub(crate) json: bool,
}

/// Words that are no command; exit code 2.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UsageError {
    problem: String,
    /// The command whose help says more; empty: the general help.
    command: &'static str,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.command.is_empty() { "" } else { " " };
        write!(f, "{}\nTry `pointsman{space}{} --help`.", self.problem, self.command)
    }
}

/// Reads the words after the name of the program.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_args(args);
    let first = parser.next().map_err(|e| usage("", &e))?;
    match first {
        None => Err(UsageError { problem: "expected a command".into(), command: "" }),
        Some(Short('h') | Long("help")) => Ok(Command::Help(HELP)),
        Some(Short('V') | Long("version")) => Ok(Command::Version),
        Some(Value(name)) => match name.to_str() {
            Some("run") => parse_run(&mut parser).map_err(|e| usage("run", &e)),
            Some("check") => parse_check(&mut parser).map_err(|e| usage("check", &e)),
            Some("status") => parse_status(&mut parser).map_err(|e| usage("status", &e)),
            Some("switch") => parse_switch(&mut parser).map_err(|e| usage("switch", &e)),
            Some("top") => tools::top(&mut parser).map_err(|e| usage("top", &e)),
            Some("certs") => tools::certs(&mut parser).map_err(|e| usage("certs", &e)),
            Some("convert") => tools::convert(&mut parser).map_err(|e| usage("convert", &e)),
            Some("demo") => parse_demo(&mut parser).map_err(|e| usage("demo", &e)),
            Some("help") => parse_help(&mut parser),
            _ => Err(UsageError {
                problem: format!("expected a command ({COMMANDS}), found `{}`", name.to_string_lossy()),
                command: "",
            }),
        },
        Some(other) => Err(usage("", &other.unexpected())),
    }
}

/// `help`, alone or with the name of a command.
fn parse_help(parser: &mut lexopt::Parser) -> Result<Command, UsageError> {
    match parser.next().map_err(|e| usage("", &e))? {
        None | Some(Short('h') | Long("help")) => Ok(Command::Help(HELP)),
        Some(Value(name)) => parse([name, "--help".into()]),
        Some(other) => Err(usage("", &other.unexpected())),
    }
}

fn usage(command: &'static str, error: &lexopt::Error) -> UsageError {
    UsageError { problem: error.to_string(), command }
}

fn parse_run(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut config = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Short('c') | Long("config") => config = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(Command::Help(HELP_RUN)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Run { config: config.ok_or("missing option '-c FILE'")? })
}

fn parse_check(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut config, mut live) = (None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('c') | Long("config") => config = Some(parser.value()?.into()),
            Long("live") => live = true,
            Short('h') | Long("help") => return Ok(Command::Help(HELP_CHECK)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Check { config: config.ok_or("missing option '-c FILE'")?, live })
}

fn parse_status(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut args = StatusArgs { admin: ADMIN.into(), watch: false, json: false };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("admin") => args.admin = admin_address(&parser.value()?.string()?)?,
            Short('w') | Long("watch") => args.watch = true,
            Long("json") => args.json = true,
            Short('h') | Long("help") => return Ok(Command::Help(HELP_STATUS)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Status(args))
}

fn parse_switch(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut automatic, mut args) =
        (false, SwitchArgs { to: None, virtual_cluster: "main".into(), force: false, admin: ADMIN.into() });
    while let Some(arg) = parser.next()? {
        match arg {
            Long("to") => args.to = Some(parser.value()?.string()?),
            Long("automatic") => automatic = true,
            Long("virtual-cluster") => args.virtual_cluster = parser.value()?.string()?,
            Long("force") => args.force = true,
            Long("admin") => args.admin = admin_address(&parser.value()?.string()?)?,
            Short('h') | Long("help") => return Ok(Command::Help(HELP_SWITCH)),
            other => return Err(other.unexpected()),
        }
    }
    if args.to.is_some() == automatic {
        return Err("expected either '--to CLUSTER' or '--automatic'".into());
    }
    if automatic && args.force {
        return Err("'--force' needs '--to CLUSTER'".into());
    }
    Ok(Command::Switch(args))
}

fn parse_demo(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut args = DemoArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("kafka") => args.kafka = true,
            Long("passthrough") => args.passthrough = true,
            Long("headless") => args.headless = true,
            Long("json") => args.json = true,
            Short('h') | Long("help") => return Ok(Command::Help(HELP_DEMO)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Demo(args))
}

/// `http://127.0.0.1:9901/` or `127.0.0.1:9901` → `127.0.0.1:9901`.
fn admin_address(text: &str) -> Result<String, lexopt::Error> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() || address.contains('/') {
        return Err(format!("expected --admin as host:port or http://host:port, found `{text}`").into());
    }
    Ok(address.to_owned())
}

pub(crate) const HELP: &str = "\
Pointsman: Kafka clients keep one stable address; Pointsman decides which cluster serves them.

Usage: pointsman <COMMAND> [OPTIONS]

Commands:
  run     Run the proxy with a configuration file
  check   Check a configuration file, and with --live the clusters it names
  status  Show what a running process knows and does
  switch  Make another cluster active in a running process, now
  top     Watch a running process in the terminal: clusters, slots, rates, events
  certs   Make a small CA and certificates for brokers, for trials
  convert Make a configuration from an Envoy bootstrap file
  demo    Watch a failover and the way back, and break things yourself

Options:
  -h, --help     Print this help; `pointsman <COMMAND> --help` says more
  -V, --version  Print the version

Exit codes: 0 success, 1 failure, 2 wrong usage; `switch` has one more.
";

const HELP_RUN: &str = "\
Run the proxy in the foreground until SIGTERM or SIGINT; both drain client connections first.

Usage: pointsman run -c FILE

Options:
  -c, --config FILE  The configuration file (docs/configuration.md)
  -h, --help         Print this help

SIGHUP reads the file again and applies it as a whole; what needs a restart is refused by name.
The log goes to stderr; RUST_LOG sets its level (e.g. RUST_LOG=debug).

Example:
  pointsman run -c pointsman.yaml
";

const HELP_CHECK: &str = "\
Check a configuration file. Every fault is printed with line, column, key and remedy.

Usage: pointsman check -c FILE [--live]

Options:
  -c, --config FILE  The configuration file (docs/configuration.md)
      --live         Also connect to every cluster: which bootstrap servers answer, how many
                     brokers there are, which topics a standby lacks or has otherwise
  -h, --help         Print this help

Exit codes: 0 nothing to object, 1 faults (with --live also: a cluster that does not answer,
or topics that differ), 2 wrong usage.
";

const HELP_STATUS: &str = "\
Show clusters, brokers, virtual clusters, slots and the last switches of a running process.

Usage: pointsman status [--watch] [--json] [--admin ADDRESS]

Options:
      --admin ADDRESS  The admin API, as host:port or http://host:port [default: 127.0.0.1:9901]
  -w, --watch          Ask again every second
      --json           Print the JSON of GET /v1/status; with --watch, one document a line
  -h, --help           Print this help

Colours are used on a terminal only, and never when NO_COLOR is set.
";

const HELP_SWITCH: &str = "\
Make another cluster of the chain active, now, and wait until it is and nothing uses the old one. No
automatic failback leaves it, until it loses quorum or --automatic gives the decision back.

Usage: pointsman switch --to CLUSTER [--force] [--virtual-cluster NAME] [--admin ADDRESS]
       pointsman switch --automatic [--virtual-cluster NAME] [--admin ADDRESS]

Options:
      --to CLUSTER            The cluster, by its name in the configuration
      --force                 Also when it has no quorum
      --automatic             Give the decision back to automatic failback: a preferred cluster that
                              has had quorum for `hold` takes over again, at once if it already has
      --virtual-cluster NAME  The virtual cluster [default: main]
      --admin ADDRESS         The admin API, as host:port or http://host:port
                              [default: 127.0.0.1:9901]
  -h, --help                  Print this help

Exit codes: 0 done, 1 refused or not reached: nothing was changed, 2 wrong usage, 3 decided, but it
ended elsewhere or is not known to have ended: see `pointsman status`.
";

const HELP_DEMO: &str = "\
Start a primary cluster of 5 and a secondary of 3 Kafka brokers, Pointsman in front, two producers
and a consumer group. In a terminal, watch them live and break things by key. Otherwise the demo
plays by itself: two brokers die, a third one (failover), all come back (failback); then what was
acknowledged is compared with the logs of both clusters.

Usage: pointsman demo [--kafka] [--passthrough] [--headless] [--json]

Options:
      --kafka     Real Apache Kafka instead of the sandbox in this process; needs Java 17 or later
                  and, the first time, Maven
      --passthrough  Pointsman only forwards bytes, and the brokers advertise it. With --kafka they
                  speak TLS, and the story goes on: recovery mode, then no cluster at all
      --headless  Play by itself and end, also in a terminal
      --json      The same, and print one JSON object at the end
  -h, --help      Print this help

Exit codes: 0 the promises held (or the view was left), 1 they did not, 2 wrong usage.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|e| e.to_string())
    }

    #[test]
    fn every_command_is_read() {
        let config = PathBuf::from("p.yaml");
        assert_eq!(of("run -c p.yaml"), Ok(Command::Run { config: config.clone() }));
        assert_eq!(of("check --config=p.yaml"), Ok(Command::Check { config: config.clone(), live: false }));
        assert_eq!(of("check --live -cp.yaml"), Ok(Command::Check { config, live: true }));
        let status =
            |admin: &str, watch, json| Command::Status(StatusArgs { admin: admin.into(), watch, json });
        assert_eq!(of("status"), Ok(status("127.0.0.1:9901", false, false)));
        assert_eq!(of("status --watch --json --admin [::1]:1"), Ok(status("[::1]:1", true, true)));
        assert_eq!(of("status --admin http://localhost:9902/"), Ok(status("localhost:9902", false, false)));
        let switch = |to: Option<&str>, virtual_cluster: &str, force| {
            let (to, virtual_cluster) = (to.map(Into::into), virtual_cluster.into());
            Command::Switch(SwitchArgs { to, virtual_cluster, force, admin: ADMIN.into() })
        };
        assert_eq!(of("switch --to b"), Ok(switch(Some("b"), "main", false)));
        assert_eq!(of("switch --force --to=b --virtual-cluster v"), Ok(switch(Some("b"), "v", true)));
        assert_eq!(of("switch --automatic --admin 127.0.0.1:9901"), Ok(switch(None, "main", false)));
        let demo =
            |kafka, headless, json| Command::Demo(DemoArgs { kafka, headless, json, ..DemoArgs::default() });
        assert_eq!(of("demo --kafka --headless --json"), Ok(demo(true, true, true)));
        let passthrough = DemoArgs { passthrough: true, ..DemoArgs::default() };
        assert_eq!(of("demo --passthrough"), Ok(Command::Demo(passthrough)));
        let both = DemoArgs { passthrough: true, kafka: true, ..DemoArgs::default() };
        assert_eq!(of("demo --passthrough --kafka"), Ok(Command::Demo(both)));
        assert_eq!(of("demo"), Ok(demo(false, false, false)));
        assert_eq!(of("top --admin=h:1"), Ok(Command::Top { admin: "h:1".into() }));
        assert_eq!(of("--version"), Ok(Command::Version));
        for general in ["--help", "help", "help help", "help --help"] {
            assert_eq!(of(general), Ok(Command::Help(HELP)), "{general}");
        }
    }

    #[test]
    fn wrong_usage_says_what_was_expected() {
        let cases = [
            ("", "expected a command\nTry `pointsman --help`."),
            (
                "rum",
                "expected a command (run, check, status, switch, top, certs, convert or demo), found `rum`\n\
                 Try `pointsman --help`.",
            ),
            ("run", "missing option '-c FILE'\nTry `pointsman run --help`."),
            ("run -c", "missing argument for option '-c'\nTry `pointsman run --help`."),
            ("check -c x y", "unexpected argument \"y\"\nTry `pointsman check --help`."),
            ("switch", "expected either '--to CLUSTER' or '--automatic'\nTry `pointsman switch --help`."),
            (
                "switch --to b --automatic",
                "expected either '--to CLUSTER' or '--automatic'\nTry `pointsman switch --help`.",
            ),
            ("switch --automatic --force", "'--force' needs '--to CLUSTER'\nTry `pointsman switch --help`."),
            ("status --verbose", "invalid option '--verbose'\nTry `pointsman status --help`."),
            (
                "status --admin https://x",
                "expected --admin as host:port or http://host:port, found `https://x`\n\
                 Try `pointsman status --help`.",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(of(line), Err(expected.into()), "{line}");
        }
    }

    #[test]
    fn help_fits_a_terminal_and_names_every_command() {
        let listed =
            HELP.split_once("Commands:\n").and_then(|(_, rest)| rest.split_once("\n\n")).expect("a list").0;
        let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names.join(", "), COMMANDS.replace(" or", ","));
        for (name, text) in [
            ("run", HELP_RUN),
            ("check", HELP_CHECK),
            ("status", HELP_STATUS),
            ("switch", HELP_SWITCH),
            ("top", tools::HELP_TOP),
            ("certs", tools::HELP_CERTS),
            ("convert", tools::HELP_CONVERT),
            ("demo", HELP_DEMO),
        ] {
            assert!(HELP.contains(&format!("\n  {name}")), "{name} is not in the general help");
            assert!(text.contains(&format!("Usage: pointsman {name}")), "{name}");
            assert_eq!(of(&format!("{name} --help")), Ok(Command::Help(text)));
            assert_eq!(of(&format!("help {name}")), Ok(Command::Help(text)));
            assert!(text.lines().chain(HELP.lines()).all(|line| line.chars().count() <= 100), "{name}");
        }
    }

    /// Each command has its section, and each of its options stands there.
    #[test]
    fn the_page_of_the_command_line_names_every_command_and_option() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        let page = std::fs::read_to_string(file).expect("docs/cli.md");
        for name in COMMANDS.replace(" or", ",").split(", ") {
            let Ok(Command::Help(help)) = of(&format!("{name} --help")) else { panic!("no help of {name}") };
            let section = page.split_once(&format!("\n## pointsman {name}\n")).expect(name).1;
            let section = section.split("\n## ").next().unwrap_or_default();
            let listed =
                help.split_once("\nOptions:\n").expect(name).1.split("\n\n").next().unwrap_or_default();
            let options =
                listed.lines().flat_map(|line| line.split([' ', ','])).filter(|word| word.starts_with("--"));
            for option in options.filter(|option| *option != "--help") {
                assert!(section.contains(&format!("`{option}")), "{option} of {name}");
            }
        }
    }
}
