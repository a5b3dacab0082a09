//! Where the driver programs come from: compiled or installed once into the cache, on first use.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ClientKind, java};
use crate::cache;
use crate::kafka::Kafka;
use crate::process::run;

const LINES_PY: &str = include_str!("../../clients/python/lines.py");
const REQUIREMENTS: &str = include_str!("../../clients/python/requirements.txt");
const FRANZ: [(&str, &str); 4] = [
    ("transact.go", include_str!("../../clients/franz/transact.go")),
    ("main.go", include_str!("../../clients/franz/main.go")),
    ("go.mod", include_str!("../../clients/franz/go.mod")),
    ("go.sum", include_str!("../../clients/franz/go.sum")),
];

const SARAMA: [(&str, &str); 3] = [
    ("main.go", include_str!("../../clients/sarama/main.go")),
    ("go.mod", include_str!("../../clients/sarama/go.mod")),
    ("go.sum", include_str!("../../clients/sarama/go.sum")),
];
const KAFKAJS: [(&str, &str); 1] = [("driver.js", include_str!("../../clients/kafkajs/driver.js"))];
/// kafkajs and its codecs, as npm is told of them.
const PACKAGES: [(&str, &str); 2] = [
    ("package.json", include_str!("../../clients/kafkajs/package.json")),
    ("package-lock.json", include_str!("../../clients/kafkajs/package-lock.json")),
];

/// How to start a driver.
#[derive(Clone, Debug)]
pub enum Program {
    /// The Java driver, from the jars of an installed Kafka.
    Java(Kafka),
    /// A program with its first arguments.
    Native(PathBuf, Vec<PathBuf>),
}

impl Program {
    /// The command, without the driver's own argument.
    pub fn command(&self) -> Command {
        match self {
            Self::Java(kafka) => kafka.tool("Driver"),
            Self::Native(program, args) => {
                let mut command = Command::new(program);
                command.args(args);
                command
            }
        }
    }
}

/// Makes the driver of a library ready to run; later calls only find it.
pub fn install(kind: ClientKind) -> Result<Program, String> {
    match kind {
        ClientKind::Java => Ok(Program::Java(Kafka::install()?)),
        ClientKind::Java39 => java::driver("3.9.1"),
        ClientKind::Java28 => java::driver("2.8.2"),
        ClientKind::Franz => go("franz-go", &FRANZ),
        ClientKind::Sarama => go("sarama", &SARAMA),
        ClientKind::Kafkajs => kafkajs("driver.js", &KAFKAJS),
        ClientKind::Librdkafka => {
            python("driver_librdkafka.py", include_str!("../../clients/python/driver_librdkafka.py"))
        }
        ClientKind::KafkaPython => {
            python("driver_kafka_python.py", include_str!("../../clients/python/driver_kafka_python.py"))
        }
        ClientKind::Aiokafka => {
            python("driver_aiokafka.py", include_str!("../../clients/python/driver_aiokafka.py"))
        }
    }
}

/// Builds a Go program of a few files.
pub(crate) fn go(name: &str, files: &[(&str, &str)]) -> Result<Program, String> {
    let inputs: Vec<&str> = files.iter().map(|(_, text)| *text).collect();
    let dir = cache::ensure(name, &inputs, |dir| {
        files.iter().try_for_each(|(name, text)| cache::write(&dir.join(name), text))?;
        run("go build", Command::new("go").current_dir(dir).args(["build", "-o", "program", "."])).map(drop)
    })?;
    Ok(Program::Native(dir.join("program"), Vec::new()))
}

/// A program of kafkajs, of a few files; the first argument is the one that is run.
pub(crate) fn kafkajs(main: &str, files: &[(&str, &str)]) -> Result<Program, String> {
    let inputs: Vec<&str> = PACKAGES.iter().chain(files).map(|(_, text)| *text).collect();
    let name = format!("kafkajs-{}", main.trim_end_matches(".js"));
    let dir = cache::ensure(&name, &inputs, |dir| {
        PACKAGES.iter().chain(files).try_for_each(|(name, text)| cache::write(&dir.join(name), text))?;
        let mut npm = Command::new("npm");
        npm.current_dir(dir).args(["ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]);
        run("npm ci", &mut npm).map(drop)
    })?;
    Ok(Program::Native(PathBuf::from("node"), vec![dir.join(main)]))
}

fn python(name: &str, text: &str) -> Result<Program, String> {
    let venv = cache::ensure("python", &[REQUIREMENTS], make_venv)?;
    let script = cache::ensure(name.trim_end_matches(".py"), &[LINES_PY, text], |dir| {
        cache::write(&dir.join("lines.py"), LINES_PY)?;
        cache::write(&dir.join(name), text)
    })?;
    Ok(Program::Native(venv.join("bin/python"), vec![PathBuf::from("-u"), script.join(name)]))
}

fn make_venv(dir: &Path) -> Result<(), String> {
    run("python3 -m venv", Command::new("python3").args(["-m", "venv"]).arg(dir))?;
    let requirements = dir.join("requirements.txt");
    cache::write(&requirements, REQUIREMENTS)?;
    run("pip install", Command::new(dir.join("bin/pip")).args(["install", "-q", "-r"]).arg(requirements))
        .map(drop)
}
