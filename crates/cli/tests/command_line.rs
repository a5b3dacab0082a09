//! The binary as a user calls it: exit codes, and what goes to which output.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

fn pointsman(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman")).args(args).output().expect("the binary")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// A configuration file that is removed at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pointsman-cli-{name}-{}.yaml", std::process::id()));
        std::fs::write(&path, text).expect("a writable directory");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[test]
fn check_of_a_valid_file_prints_a_summary_and_exits_with_0() {
    let file = File::new(
        "valid",
        "clusters: { p: { bootstrap_servers: [k:1] } }\n\
         virtual_clusters: { main: { listen: 127.0.0.1:9092, chain: [p] } }\n",
    );

    let output = pointsman(&["check", "-c", file.path()]);

    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with(&format!("ok: {}\n", file.path())), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn check_of_a_faulty_file_prints_every_fault_and_exits_with_1() {
    let file = File::new("faulty", "clusters: {}\nadmin: { listen: 0.0.0.0:1 }\n");

    let output = pointsman(&["check", "-c", file.path()]);

    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "{output:?}");
    let lines: Vec<&str> = text(&output.stderr).lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().all(|line| line.starts_with(&format!("pointsman: {}:", file.path()))), "{lines:?}");
}

#[test]
fn check_of_a_missing_file_names_it_and_exits_with_1() {
    let output = pointsman(&["check", "-c", "no-such-file.yaml"]);

    assert_eq!(output.status.code(), Some(1));
    let expected =
        "pointsman: no-such-file.yaml: the configuration file cannot be read: No such file or directory";
    assert!(text(&output.stderr).starts_with(expected), "{output:?}");
}

#[test]
fn status_without_a_process_says_so_and_exits_with_1() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = listener.local_addr().expect("a bound socket").to_string();
    drop(listener);

    let output = pointsman(&["status", "--admin", &nobody]);

    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&format!("no admin API at {nobody}")), "{output:?}");
}

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
    assert_eq!(pointsman(&[]).status.code(), Some(2));
    assert_eq!(pointsman(&["check"]).status.code(), Some(2));
    assert_eq!(pointsman(&["fly"]).status.code(), Some(2));
    assert_eq!(pointsman(&["run", "--help"]).status.code(), Some(0));
    let version = pointsman(&["--version"]);
    assert_eq!(text(&version.stdout), concat!("pointsman ", env!("CARGO_PKG_VERSION"), "\n"));
}
