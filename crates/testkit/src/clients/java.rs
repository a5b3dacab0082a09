//! Java clients of other versions than the brokers': their jars, and the same programs compiled against them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Program;
use crate::cache;
use crate::kafka::install::{DRIVER, jar_list};
use crate::process::run;

/// Only `dependency:copy-dependencies` is run on this; nothing is built.
const POM: &str = include_str!("../../kafka/client-pom.xml");

/// The artifact that applications use.
pub(crate) const CLIENTS: &str = "kafka-clients";

/// The driver of the drills.
pub(super) fn driver(version: &str) -> Result<Program, String> {
    program(CLIENTS, version, "Driver", &DRIVER)
}

/// A program of a few sources that needs this artifact of Apache Kafka, and whose main class has the name `class`.
pub(crate) fn program(
    artifact: &str,
    version: &str,
    class: &str,
    sources: &[(&str, &str)],
) -> Result<Program, String> {
    let pom = POM.replace("VERSION", version).replace(CLIENTS, artifact);
    let name = if artifact == CLIENTS { "java" } else { artifact };
    let jars = cache::ensure(&format!("{name}-{version}"), &[&pom], |dir| {
        cache::write(&dir.join("pom.xml"), &pom)?;
        let mut mvn = Command::new("mvn");
        mvn.current_dir(dir).args(["-q", "-B", "dependency:copy-dependencies"]);
        mvn.args(["-DincludeScope=runtime", "-DoutputDirectory=libs"]);
        run("mvn dependency:copy-dependencies", &mut mvn).map(drop)
    })?;
    let libs = jar_list(&jars.join("libs"))?;
    let inputs: Vec<&str> = sources.iter().map(|(_, text)| *text).chain([&*pom]).collect();
    let name = format!("java-{version}-{}", class.to_lowercase());
    let dir = cache::ensure(&name, &inputs, |dir| compile(dir, &libs, sources))?;
    let class_path = format!("{}:{libs}", dir.join("classes").display());
    let args = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx192m", "-Xlog:disable"];
    let args =
        args.into_iter().chain(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", &class_path, class]);
    Ok(Program::Native(PathBuf::from("java"), args.map(PathBuf::from).collect()))
}

fn compile(dir: &Path, libs: &str, sources: &[(&str, &str)]) -> Result<(), String> {
    let classes = dir.join("classes");
    fs::create_dir_all(&classes).map_err(|e| format!("{}: {e}", classes.display()))?;
    let mut javac = Command::new("javac");
    javac.arg("-cp").arg(libs).arg("-d").arg(&classes);
    for (name, text) in sources {
        cache::write(&dir.join(name), text)?;
        javac.arg(dir.join(name));
    }
    run("javac", &mut javac).map(drop)
}
