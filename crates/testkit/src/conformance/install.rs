//! Where the conformance programs come from: compiled or installed once into the cache, beside the drivers.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Library;
use crate::cache;
use crate::clients::{self, ClientKind, Program, go, java};
use crate::kafka::Kafka;
use crate::kafka::install::LINES;
use crate::process::run;

const JAVA: [(&str, &str); 7] = [
    // What only the newest client has comes first.
    ("NewCases.java", include_str!("../../clients/java/conformance/NewCases.java")),
    ("AclCases.java", include_str!("../../clients/java/conformance/AclCases.java")),
    ("TransactionCases.java", include_str!("../../clients/java/conformance/TransactionCases.java")),
    ("Conformance.java", include_str!("../../clients/java/conformance/Conformance.java")),
    ("AdminCases.java", include_str!("../../clients/java/conformance/AdminCases.java")),
    ("GroupCases.java", include_str!("../../clients/java/conformance/GroupCases.java")),
    ("LogCases.java", include_str!("../../clients/java/conformance/LogCases.java")),
];
const PYTHON: [(&str, &str); 6] = [
    ("conformance_aiokafka.py", include_str!("../../clients/python/conformance_aiokafka.py")),
    ("conformance_kcat.py", include_str!("../../clients/python/conformance_kcat.py")),
    ("conformance_tools.py", include_str!("../../clients/python/conformance_tools.py")),
    ("conformance.py", include_str!("../../clients/python/conformance.py")),
    ("conformance_librdkafka.py", include_str!("../../clients/python/conformance_librdkafka.py")),
    ("conformance_kafka_python.py", include_str!("../../clients/python/conformance_kafka_python.py")),
];
const FRANZ: [(&str, &str); 8] = [
    ("next.go", include_str!("../../clients/franz/conformance/next.go")),
    ("transaction.go", include_str!("../../clients/franz/conformance/transaction.go")),
    ("main.go", include_str!("../../clients/franz/conformance/main.go")),
    ("admin.go", include_str!("../../clients/franz/conformance/admin.go")),
    ("group.go", include_str!("../../clients/franz/conformance/group.go")),
    ("log.go", include_str!("../../clients/franz/conformance/log.go")),
    ("go.mod", include_str!("../../clients/franz/conformance/go.mod")),
    ("go.sum", include_str!("../../clients/franz/conformance/go.sum")),
];

const SARAMA: [(&str, &str); 7] = [
    ("transaction.go", include_str!("../../clients/sarama/conformance/transaction.go")),
    ("main.go", include_str!("../../clients/sarama/conformance/main.go")),
    ("admin.go", include_str!("../../clients/sarama/conformance/admin.go")),
    ("group.go", include_str!("../../clients/sarama/conformance/group.go")),
    ("log.go", include_str!("../../clients/sarama/conformance/log.go")),
    ("go.mod", include_str!("../../clients/sarama/conformance/go.mod")),
    ("go.sum", include_str!("../../clients/sarama/conformance/go.sum")),
];
const KAFKAJS: [(&str, &str); 3] = [
    ("suite.js", include_str!("../../clients/kafkajs/suite.js")),
    ("conformance.js", include_str!("../../clients/kafkajs/conformance.js")),
    ("admin.js", include_str!("../../clients/kafkajs/admin.js")),
];
const STREAMS: (&str, &str) = ("Streams.java", include_str!("../../clients/java/streams/Streams.java"));

/// Makes the conformance program of a library ready to run; later calls only find it.
pub(super) fn install(library: Library) -> Result<Program, String> {
    match library {
        Library::Java => java(),
        Library::Java39 => older_java("3.9.1"),
        Library::Java28 => older_java("2.8.2"),
        Library::Librdkafka => python(ClientKind::Librdkafka, "conformance_librdkafka.py"),
        Library::KafkaPython => python(ClientKind::KafkaPython, "conformance_kafka_python.py"),
        Library::Franz => go("conformance-franz", &FRANZ),
        Library::Sarama => go("conformance-sarama", &SARAMA),
        Library::Kafkajs => clients::kafkajs("conformance.js", &KAFKAJS),
        Library::Kcat => kcat(),
        Library::Streams => streams(),
        Library::Aiokafka => python(ClientKind::Aiokafka, "conformance_aiokafka.py"),
        Library::Tools => tools(),
    }
}

/// Compiled apart from the drivers, so that a new case does not cost them their class-data archive.
fn java() -> Result<Program, String> {
    Kafka::available()?;
    let kafka = Kafka::install()?;
    let tool = kafka.tool("Conformance");
    let class_path = class_path(&tool)?;
    let inputs = JAVA.map(|(_, text)| text);
    let dir = cache::ensure("conformance-java", &inputs, |dir| {
        let classes = dir.join("classes");
        fs::create_dir_all(&classes).map_err(|e| format!("{}: {e}", classes.display()))?;
        let mut javac = Command::new("javac");
        javac.arg("-cp").arg(&class_path).arg("-d").arg(&classes);
        for (name, text) in JAVA {
            cache::write(&dir.join(name), text)?;
            javac.arg(dir.join(name));
        }
        run("javac", &mut javac)?;
        let mut jar = Command::new("jar");
        jar.arg("cf").arg(dir.join("conformance.jar")).arg("-C").arg(&classes).arg(".");
        run("jar", &mut jar).map(drop)
    })?;
    let mut longer = class_path.clone();
    longer.push(":");
    longer.push(dir.join("conformance.jar"));
    let args = tool.get_args().map(|arg| if arg == class_path { longer.clone() } else { arg.to_owned() });
    Ok(Program::Native(PathBuf::from(tool.get_program()), args.map(PathBuf::from).collect()))
}

/// Brings the line protocol along, which the installed Kafka has for the newest client.
fn older_java(version: &str) -> Result<Program, String> {
    Kafka::available()?;
    let sources: Vec<(&str, &str)> = JAVA[1..].iter().copied().chain([LINES]).collect();
    java::program(java::CLIENTS, version, "Conformance", &sources)
}

fn streams() -> Result<Program, String> {
    Kafka::available()?;
    java::program("kafka-streams", crate::kafka::VERSION, "Streams", &[STREAMS, LINES])
}

fn class_path(tool: &Command) -> Result<OsString, String> {
    let after = tool.get_args().skip_while(|arg| *arg != "-cp").nth(1);
    after.map(ToOwned::to_owned).ok_or_else(|| "a Java command without a class path".to_owned())
}

/// The drivers' environment has the libraries.
fn python(kind: ClientKind, name: &str) -> Result<Program, String> {
    let Program::Native(interpreter, _) = clients::install(kind)? else {
        return Err("expected a Python program".to_owned());
    };
    let inputs = PYTHON.map(|(_, text)| text);
    let dir = cache::ensure("conformance-python", &inputs, |dir| {
        PYTHON.iter().try_for_each(|(name, text)| cache::write(&dir.join(name), text))
    })?;
    Ok(Program::Native(interpreter, vec![PathBuf::from("-u"), dir.join(name)]))
}

/// Told how to run a class of Kafka.
fn tools() -> Result<Program, String> {
    Kafka::available()?;
    let java = Kafka::install()?.tool("");
    let Program::Native(python, mut args) = python(ClientKind::KafkaPython, "conformance_tools.py")? else {
        return Err("expected a Python program".to_owned());
    };
    args.push(PathBuf::from(java.get_program()));
    args.extend(java.get_args().filter(|arg| !arg.is_empty()).map(PathBuf::from));
    Ok(Program::Native(python, args))
}

/// What the distribution has; it makes no topics and looks at no groups, so Python does that for it.
fn kcat() -> Result<Program, String> {
    run("kcat -V", Command::new("kcat").arg("-V"))
        .map_err(|e| format!("kcat is not installed (apt-get install kcat): {e}"))?;
    let Program::Native(python, mut args) = python(ClientKind::KafkaPython, "conformance_kcat.py")? else {
        return Err("expected a Python program".to_owned());
    };
    args.push(PathBuf::from("kcat"));
    Ok(Program::Native(python, args))
}
