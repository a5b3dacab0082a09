//! The subjects as processes: started for one measurement, ended after it, by their id.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::configs::{self, Way};
use super::options::Subject;
use super::side::Broker;
use crate::cache;
use crate::kafka::{free_ports, node_ids};
use crate::pointsman;
use crate::process::{Process, last_lines, run_dir, wait_for};
use crate::proxies;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A subject that can be started.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) subject: Subject,
    program: PathBuf,
    module: Option<PathBuf>,
}

impl Prepared {
    /// Finds the program, or installs it; the error is why it is skipped.
    pub(super) fn new(subject: Subject, binary: Option<&Path>) -> Result<Self, String> {
        let (program, module) = match subject {
            Subject::Direct => (PathBuf::new(), None),
            Subject::Splice | Subject::Copy => (this_program()?, None),
            Subject::Pointsman | Subject::Switched | Subject::Passthrough => {
                (binary.map_or_else(crate::build::pointsman, |b| Ok(b.to_owned()))?, None)
            }
            Subject::Nginx => proxies::nginx()?,
            Subject::Haproxy => (proxies::haproxy()?, None),
            Subject::Envoy => (proxies::envoy()?, None),
        };
        Ok(Self { subject, program, module })
    }

    /// Whether it is a loop of our own.
    pub(super) fn is_floor(&self) -> bool {
        matches!(self.subject, Subject::Splice | Subject::Copy)
    }

    /// Starts it in front of a broker, ready for so many clients, and waits until that one answers through it.
    pub(super) fn start(&self, broker: &Broker, clients: usize) -> Result<Running, String> {
        let upstream = broker.address();
        if self.subject == Subject::Direct {
            return Ok(Running { address: upstream, process: None });
        }
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let ports: Vec<SocketAddr> = free_ports(2)?.into_iter().map(local).collect();
        let other = broker.other().filter(|_| self.subject == Subject::Switched);
        let way = Way { listen: ports[0], admin: ports[1], upstream, other, clients };
        let dir = run_dir().join(format!("{}-{}", self.subject.name(), way.listen.port()));
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let log = dir.join("log");
        let output = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let errors = output.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
        let mut command = self.command(&way, &dir)?;
        command.current_dir(&dir).stdin(Stdio::null()).stdout(output).stderr(errors);
        let process = Process::spawn(self.subject.name(), &mut command)?;
        let mut running = Running { address: way.listen, process: Some(process) };
        wait_for(START_LIMIT, || running.answers(&log))
            .map_err(|e| format!("{}: {e}", self.subject.name()))?;
        if other.is_some() {
            // Refused until the cluster has been seen.
            wait_for(START_LIMIT, || pointsman::switch(&self.program, way.admin, configs::BROKER))?;
            wait_for(START_LIMIT, || running.answers(&log))?;
        }
        Ok(running)
    }

    fn command(&self, way: &Way, dir: &Path) -> Result<Command, String> {
        let mut command = Command::new(&self.program);
        let file = dir.join("config.yaml");
        let text = match self.subject {
            Subject::Pointsman | Subject::Switched => configs::pointsman(way),
            Subject::Passthrough => configs::passthrough(way),
            Subject::Nginx => configs::nginx(way, dir, self.module.as_deref(), proxies::is_root()),
            Subject::Haproxy => configs::haproxy(way),
            Subject::Envoy => configs::envoy(way),
            Subject::Direct | Subject::Splice | Subject::Copy => String::new(),
        };
        cache::write(&file, &text)?;
        match self.subject {
            Subject::Pointsman | Subject::Switched | Subject::Passthrough => {
                command.args(["run", "-c"]).arg(file)
            }
            Subject::Nginx => command.arg("-p").arg(dir).arg("-c").arg(file),
            Subject::Haproxy => command.args(["-db", "-f"]).arg(file),
            Subject::Envoy => command.args(["--disable-hot-restart", "-l", "error", "-c"]).arg(file),
            Subject::Direct | Subject::Splice | Subject::Copy => {
                let addresses = [way.listen.to_string(), way.upstream.to_string()];
                command.args(["floor", self.subject.name()]).args(addresses)
            }
        };
        Ok(command)
    }
}

fn this_program() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|e| format!("this program's own path: {e}"))
}

/// A subject that serves. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Running {
    /// Where clients connect.
    pub(super) address: SocketAddr,
    process: Option<Process>,
}

impl Running {
    /// The process to measure; none for a direct connection.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    fn answers(&mut self, log: &Path) -> Result<(), String> {
        if let Some(status) = self.process.as_mut().and_then(Process::try_exit) {
            let text = fs::read_to_string(log).unwrap_or_default();
            return Err(format!("it has ended, {status}:\n{}", last_lines(&text, 10)));
        }
        TcpStream::connect(self.address).map_err(|e| format!("{}: {e}", self.address))?;
        match node_ids(self.address, ANSWER_LIMIT)?.len() {
            0 => Err(format!("{} shows no broker", self.address)),
            _ => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A master that is asked ends its workers; one that is killed leaves them behind.
        if let Some(process) = &mut self.process {
            process.terminate();
            let _ = process.wait_exit(STOP_LIMIT);
        }
    }
}
