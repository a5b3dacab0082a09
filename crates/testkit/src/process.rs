//! Child processes that never outlive this one.
//!
//! Clusters and clients are real processes, some of them stopped or killed on purpose. A guard process holds
//! the list of the live ones and ends them when this process is gone, however it went (return, panic, abort,
//! SIGKILL): it reads a pipe, and the end of the pipe is the signal. A stopped process dies of it too.
//! Only processes that were started here are ever signalled, by their id.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

/// What the guard runs: `+ pid` and `- pid` lines keep its list; at the end of input it kills the process
/// groups still on it and removes the directory of this run.
const GUARD: &str = r#"
trap '' INT TERM HUP
live=' '
while read -r op pid; do
  case $op in
    +) live="$live$pid ";;
    -) case $live in *" $pid "*) live="${live%% $pid *} ${live#* $pid }";; esac;;
  esac
done
for p in $live; do kill -9 "-$p" 2>/dev/null; done
rm -rf -- "$1"
"#;

/// How long the threads of a stopped process may take to notice.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

struct Guard {
    input: Mutex<ChildStdin>,
    root: PathBuf,
}

fn guard() -> &'static Guard {
    static GUARD_PROCESS: OnceLock<Guard> = OnceLock::new();
    GUARD_PROCESS.get_or_init(|| start_guard().expect("a shell to guard child processes"))
}

fn start_guard() -> std::io::Result<Guard> {
    let shm = Path::new("/dev/shm");
    let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    let nonce = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.subsec_nanos());
    let root = base.join(format!("pointsman-{}-{nonce}", std::process::id()));
    fs::create_dir_all(&root)?;
    let mut shell = Command::new("sh");
    shell.args(["-c", GUARD, "guard"]).arg(&root).process_group(0);
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let input = child.stdin.take().ok_or_else(|| std::io::Error::other("no pipe to the guard"))?;
    Ok(Guard { input: Mutex::new(input), root })
}

impl Guard {
    fn tell(&self, op: char, pid: u32) {
        let mut input = self.input.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A dead guard must not stop a test: `Drop` still ends every process.
        let _ = writeln!(input, "{op} {pid}");
    }
}

/// The directory for the data of this run, in memory where the system has such a place; removed at the end.
pub fn run_dir() -> &'static Path {
    &guard().root
}

/// A child process in a group of its own; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    exit: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` under the guard. `name` is for messages.
    pub fn spawn(name: &str, command: &mut Command) -> Result<Self, String> {
        let guard = guard();
        let child = command.process_group(0).spawn().map_err(|e| format!("{name}: cannot start: {e}"))?;
        guard.tell('+', child.id());
        Ok(Self { name: name.to_owned(), child, exit: None })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child's input, once, if it was piped.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The child's output, once, if it was piped.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The child's error output, once, if it was piped.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Whether it still runs (a stopped one does).
    pub fn is_alive(&mut self) -> bool {
        self.try_exit().is_none()
    }

    /// The exit status, if it has ended.
    pub fn try_exit(&mut self) -> Option<ExitStatus> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().ok().flatten();
            if self.exit.is_some() {
                guard().tell('-', self.id());
            }
        }
        self.exit
    }

    /// SIGKILL, without waiting for the end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    /// SIGTERM.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// SIGINT.
    pub fn interrupt(&mut self) {
        self.signal(Signal::INT);
    }

    /// SIGSTOP: alive, holding its ports and connections, answering nothing. Returns when its last thread has stopped: the
    /// signal alone is only a promise, and on a busy machine a thread may answer once more.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
        let id = self.id();
        let _ = wait_for(STOPS_WITHIN, || match running_threads(id) {
            0 => Ok(()),
            running => Err(format!("{running} threads run")),
        });
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// SIGHUP.
    pub fn hang_up(&mut self) {
        self.signal(Signal::HUP);
    }

    fn signal(&mut self, signal: Signal) {
        // An ended child is not signalled: its id may be another process by now.
        if self.is_alive() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// Waits for the end, at most `limit`.
    pub fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.try_exit() {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(format!("{} (pid {}) still runs after {limit:?}", self.name, self.id()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.wait_exit(Duration::from_secs(10));
    }
}

/// Threads of a process that are not stopped (`T` in the third field of their `stat`); none when it is gone.
fn running_threads(id: u32) -> usize {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return 0 };
    let stats = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    // The name before the state may hold anything, brackets too.
    let state = |stat: String| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    stats.filter_map(state).filter(|state| !matches!(state, 'T' | 't' | 'Z' | 'X')).count()
}

/// Runs a command to its end. An error carries the last lines it wrote.
pub fn run(what: &str, command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{what}: cannot start: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let all = text + &String::from_utf8_lossy(&output.stderr);
    Err(format!("{what}: {}\n{}", output.status, last_lines(&all, 20)))
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Polls `check` until it gives a value; after `limit` the error is what `check` last said.
pub fn wait_for<T>(limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let deadline = Instant::now() + limit;
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(state) if Instant::now() > deadline => return Err(format!("not within {limit:?}: {state}")),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_process_is_killed_on_drop() {
        let mut sleeper = Process::spawn("sleep", Command::new("sleep").arg("1000")).unwrap();
        let id = sleeper.id();
        sleeper.pause();
        assert!(sleeper.is_alive());
        drop(sleeper);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn every_thread_of_a_paused_process_has_stopped() {
        let mut busy = Process::spawn("sh", Command::new("sh").args(["-c", "while :; do :; done"])).unwrap();
        let id = busy.id();
        wait_for(Duration::from_secs(10), || match running_threads(id) {
            0 => Err("it does not run".to_owned()),
            _ => Ok(()),
        })
        .unwrap();
        busy.pause();
        assert_eq!(running_threads(id), 0);
        busy.resume();
        wait_for(Duration::from_secs(10), || match running_threads(id) {
            0 => Err("it does not go on".to_owned()),
            _ => Ok(()),
        })
        .unwrap();
    }

    #[test]
    fn wait_for_reports_the_last_state() {
        let error = wait_for(Duration::ZERO, || Err::<(), _>("two of three".to_owned())).unwrap_err();
        assert!(error.contains("two of three"), "{error}");
    }
}
