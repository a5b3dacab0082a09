//! Fetches the jars with Maven and prepares what makes a broker start in a second instead of ten: a class-data
//! archive made by one training run, and the checkpoint of one formatted directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Cluster, ClusterSpec, Kafka, Role, VERSION};
use crate::cache;
use crate::process::{Process, run};

const POM: &str = include_str!("../../kafka/pom.xml");
const LOGGING: &str = include_str!("../../kafka/log4j2.properties");
const TOOLS_LOGGING: &str = include_str!("../../kafka/log4j2-tools.properties");
const SOURCES: [(&str, &str); 4] = [
    ("Lines.java", include_str!("../../clients/java/Lines.java")),
    ("Driver.java", include_str!("../../clients/java/Driver.java")),
    ("Transactor.java", include_str!("../../clients/java/Transactor.java")),
    ("Admin.java", include_str!("../../clients/java/Admin.java")),
];

/// The line protocol of Java programs.
pub(crate) const LINES: (&str, &str) = SOURCES[0];
/// The sources of the Java driver.
pub(crate) const DRIVER: [(&str, &str); 3] = [SOURCES[0], SOURCES[1], SOURCES[2]];

pub(super) fn available() -> Result<(), String> {
    for (program, arg) in [("java", "-version"), ("javac", "-version"), ("mvn", "-version")] {
        run(program, Command::new(program).arg(arg))
            .map_err(|e| format!("real Kafka needs a JDK and Maven: {e}"))?;
    }
    Ok(())
}

/// The directory of the installed Kafka.
pub(super) fn install() -> Result<PathBuf, String> {
    let jars = cache::ensure(&format!("jars-{VERSION}"), &[POM], |dir| fetch_jars(dir, POM))?;
    let runtime = java_version()?;
    let mut inputs = vec![POM, LOGGING, TOOLS_LOGGING, &runtime];
    inputs.extend(SOURCES.iter().map(|(_, text)| *text));
    cache::ensure(&format!("kafka-{VERSION}"), &inputs, |home| prepare(home, &jars.join("libs")))
}

fn java_version() -> Result<String, String> {
    let output = Command::new("java").arg("-version").output().map_err(|e| format!("java: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(super) fn fetch_jars(dir: &Path, pom: &str) -> Result<(), String> {
    cache::write(&dir.join("pom.xml"), pom)?;
    let mut mvn = Command::new("mvn");
    mvn.current_dir(dir).args(["-q", "-B", "dependency:copy-dependencies"]);
    mvn.args(["-DincludeScope=runtime", "-DoutputDirectory=libs"]);
    run("mvn dependency:copy-dependencies", &mut mvn).map(drop)
}

fn prepare(home: &Path, libs: &Path) -> Result<(), String> {
    cache::write(&home.join("log4j2.properties"), LOGGING)?;
    cache::write(&home.join("log4j2-tools.properties"), TOOLS_LOGGING)?;
    cache::write(&home.join("libs"), &jar_list(libs)?)?;
    compile_tools(home)?;
    format_once(home, java(home, &class_path(home)?, "log4j2.properties"))?;
    if let Err(e) = train(home) {
        untrained(home, &e);
    }
    Ok(())
}

/// Without the archives everything works, slower.
pub(super) fn untrained(home: &Path, why: &str) {
    let home = home.display();
    eprintln!(
        "kafka: no class-data archive: {why}; brokers start slowly until {home} is removed, which makes it anew"
    );
}

/// Only jars: a directory on the class path would switch the class-data archive off without a word.
pub(crate) fn jar_list(libs: &Path) -> Result<String, String> {
    let entries = fs::read_dir(libs).map_err(|e| format!("{}: {e}", libs.display()))?;
    let mut jars: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|e| e.path().display().to_string())
        .filter(|p| Path::new(p).extension().is_some_and(|e| e == "jar"))
        .collect();
    jars.sort();
    Ok(jars.join(":"))
}

pub(super) fn class_path(home: &Path) -> Result<String, String> {
    let libs = fs::read_to_string(home.join("libs")).map_err(|e| format!("{}: {e}", home.display()))?;
    // An older release has no tools of its own.
    Ok(format!("{}:{libs}", home.join("pointsman-tools.jar").display()))
}

fn compile_tools(home: &Path) -> Result<(), String> {
    let (sources, classes) = (home.join("src"), home.join("classes"));
    for dir in [&sources, &classes] {
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    let mut javac = Command::new("javac");
    javac.arg("-cp").arg(class_path(home)?).arg("-d").arg(&classes);
    for (name, text) in SOURCES {
        cache::write(&sources.join(name), text)?;
        javac.arg(sources.join(name));
    }
    run("javac", &mut javac)?;
    let mut jar = Command::new("jar");
    jar.arg("cf").arg(home.join("pointsman-tools.jar")).arg("-C").arg(&classes).arg(".");
    run("jar", &mut jar).map(drop)
}

/// A `java` command with the settings that every process here shares.
pub(super) fn java(home: &Path, class_path: &str, logging: &str) -> Command {
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-cp", class_path]);
    java.arg(format!("-Dlog4j2.configurationFile={}", home.join(logging).display()));
    java
}

/// Formats one directory and keeps its checkpoint: the feature levels, which do not depend on the broker.
pub(super) fn format_once(home: &Path, mut format: Command) -> Result<(), String> {
    let data = home.join("format");
    let properties = home.join("format.properties");
    let text = format!(
        "process.roles=broker,controller\nnode.id=0\ncontroller.quorum.voters=0@127.0.0.1:1\n\
         listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1\ncontroller.listener.names=CONTROLLER\n\
         log.dirs={}\n",
        data.display()
    );
    cache::write(&properties, &text)?;
    format.args(["kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"]).arg(properties);
    run("kafka-storage format", &mut format)?;
    fs::copy(data.join("bootstrap.checkpoint"), home.join("bootstrap.checkpoint"))
        .map(drop)
        .map_err(|e| format!("bootstrap.checkpoint: {e}"))
}

/// Runs one broker and the tools once each and lets the JVM write down which classes they loaded.
fn train(home: &Path) -> Result<(), String> {
    let kafka = Kafka::at(home.to_owned())?;
    let broker_archive = format!("-XX:ArchiveClassesAtExit={}", home.join("broker.jsa").display());
    let spec = ClusterSpec { jvm_args: vec![broker_archive], ..ClusterSpec::new("training", 1) };
    let mut cluster = Cluster::start(&kafka, spec)?;
    train_tools(&kafka, &cluster)?;
    cluster.stop(0);
    cluster.wait_stopped(0, Duration::from_secs(60))
}

fn train_tools(kafka: &Kafka, cluster: &Cluster) -> Result<(), String> {
    let archive = format!("-XX:ArchiveClassesAtExit={}", kafka.0.home.join("tools.jsa").display());
    let mut java = kafka.java(Role::Tools);
    java.arg(archive).args(["Admin", "train", &cluster.bootstrap()]);
    java.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = Process::spawn("training", &mut java)?.wait_exit(Duration::from_secs(60))?;
    if status.success() { Ok(()) } else { Err(format!("training of the tools: {status}")) }
}
