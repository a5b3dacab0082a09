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
        ClientKind::Franz => franz(),
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

fn franz() -> Result<Program, String> {
    let inputs = FRANZ.map(|(_, text)| text);
    let dir = cache::ensure("franz-go", &inputs, |dir| {
        for (name, text) in FRANZ {
            cache::write(&dir.join(name), text)?;
        }
        run("go build", Command::new("go").current_dir(dir).args(["build", "-o", "driver", "."])).map(drop)
    })?;
    Ok(Program::Native(dir.join("driver"), Vec::new()))
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
