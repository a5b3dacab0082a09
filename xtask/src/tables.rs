//! `cargo xtask tables`: Kafka's own message definitions, from the `kafka-clients` jars, as static tables of
//! `crates/wire`.
//!
//! The newest release says what a message is; the last release of the 3.9 line still has the versions that 4.0 dropped.
//! The output is committed, so that building needs neither Java nor Maven; `--check` tells when it is stale. Nothing is
//! decided here that the JSON decides; what it does not say (which field holds whose identifier) is in `entity`.

mod emit;
mod entity;
mod schema;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use schema::{Definition, Direction};

/// The release whose definitions count.
const NEWEST: &str = "4.3.1";
/// The release that still describes the versions removed by KIP-896.
const OLD: &str = "3.9.1";

/// Writes the tables, or with `--check` fails when they differ from what would be written.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err(format!("expected nothing or --check after `tables`, got {}", args.join(" "))),
    };
    if !has("java", "-version") || !has("mvn", "--version") {
        return if check {
            println!("tables: skipped, java and mvn are needed to read Kafka's definitions");
            Ok(())
        } else {
            Err("expected java and mvn on the path, to fetch Kafka's definitions".into())
        };
    }
    let root = root();
    let out = root.join("crates/wire/src/tables");
    let files = generate(&root)?;
    if check { compare(&out, &files) } else { write(&out, &files) }
}

fn has(program: &str, flag: &str) -> bool {
    let quiet = Command::new(program).arg(flag).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// File name → contents, formatted.
fn generate(root: &Path) -> Result<BTreeMap<String, String>, String> {
    let newest = load(root, NEWEST)?;
    let old = load(root, OLD)?;
    let mut files = BTreeMap::new();
    for (name, text) in emit::files(&newest, &old)? {
        files.insert(name, rustfmt(root, &text)?);
    }
    Ok(files)
}

/// All requests and responses of one release.
fn load(root: &Path, release: &str) -> Result<BTreeMap<(i16, Direction), Definition>, String> {
    let dir = unpack(root, release)?;
    let entries = fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut definitions = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let parsed = schema::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if let Some(definition) = parsed {
            definitions.insert((definition.key, definition.direction), definition);
        }
    }
    Ok(definitions)
}

/// The folder with the release's JSON files, fetched when it is not there yet.
fn unpack(root: &Path, release: &str) -> Result<PathBuf, String> {
    let work = root.join("target/kafka-messages");
    let out = work.join(release);
    let messages = out.join("common/message");
    if messages.is_dir() {
        return Ok(messages);
    }
    fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    let status = Command::new("mvn")
        .current_dir(&work)
        .args(["-q", "-B", "dependency:unpack", "-Dmdep.unpack.includes=common/message/*.json"])
        .arg(format!("-Dartifact=org.apache.kafka:kafka-clients:{release}"))
        .arg(format!("-DoutputDirectory={}", out.display()))
        .status();
    match status {
        Ok(status) if status.success() && messages.is_dir() => Ok(messages),
        Ok(status) => Err(format!("mvn dependency:unpack of kafka-clients {release} ended with {status}")),
        Err(error) => Err(format!("mvn: {error}")),
    }
}

/// The text as `cargo fmt` would leave it.
fn rustfmt(root: &Path, text: &str) -> Result<String, String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root.join("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("rustfmt: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes()).map_err(|error| format!("rustfmt: {error}"))?;
    }
    let output = child.wait_with_output().map_err(|error| format!("rustfmt: {error}"))?;
    if !output.status.success() {
        return Err(format!("rustfmt ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("rustfmt: {error}"))
}

fn write(out: &Path, files: &BTreeMap<String, String>) -> Result<(), String> {
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    for name in existing(out) {
        if !files.contains_key(&name) {
            fs::remove_file(out.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    for (name, text) in files {
        fs::write(out.join(name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    println!("tables: {} files in {}", files.len(), out.display());
    Ok(())
}

fn compare(out: &Path, files: &BTreeMap<String, String>) -> Result<(), String> {
    let mut stale: Vec<String> = existing(out).into_iter().filter(|name| !files.contains_key(name)).collect();
    for (name, text) in files {
        if fs::read_to_string(out.join(name)).ok().as_ref() != Some(text) {
            stale.push(name.clone());
        }
    }
    if stale.is_empty() {
        println!("tables: {} files are current", files.len());
        return Ok(());
    }
    Err(format!("expected current tables, stale are {}; run `cargo xtask tables`", stale.join(", ")))
}

fn existing(out: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(out) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.ends_with(".rs")).collect()
}
