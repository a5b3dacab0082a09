//! Where a proxy's processor time goes: one workload under `perf record`, and its functions by their share.

use std::path::Path;
use std::process::{Command, Stdio};

use super::load::{self, Target};
use super::options::Workload;
use super::proc;
use crate::process::{Process, run};
use crate::proxies;

/// Samples per second.
const FREQUENCY: &str = "1999";
/// Functions that are shown.
const SHOWN: usize = 40;

/// Records a subject under a workload and returns the list.
pub(super) fn run_under_perf(workload: Workload, target: &Target, dir: &Path) -> Result<String, String> {
    let pid = target.pid.ok_or("a direct connection has no process to look at")?;
    let pids: Vec<String> = proc::family(pid).iter().map(ToString::to_string).collect();
    let perf = proxies::perf()?;
    let data = dir.join(format!("profile-{}.data", workload.name()));
    let mut record = Command::new(&perf);
    record.args(["record", "-q", "-F", FREQUENCY, "-p", &pids.join(","), "-o"]).arg(&data);
    record.stdin(Stdio::null()).stdout(Stdio::null());
    let mut recorder = Process::spawn("perf record", &mut record)?;
    let measured = load::run(workload, target)?;
    recorder.interrupt();
    recorder.wait_exit(super::STOP_LIMIT)?;
    let (parts, functions) = (report(&perf, &data, "dso")?, report(&perf, &data, "dso,symbol")?);
    let megabytes = measured.bytes / 1_000_000;
    let head =
        format!("{}: {megabytes} MB in {:.1} s; {}", workload.name(), measured.seconds, data.display());
    Ok(format!("{head}\n{}\n\n{}", parts.join("\n"), functions.join("\n")))
}

/// The samples by what they fell into, the most first.
fn report(perf: &Path, data: &Path, sort: &str) -> Result<Vec<String>, String> {
    let mut report = Command::new(perf);
    report.args(["report", "--stdio", "--no-children", "--sort", sort, "-i"]).arg(data);
    let text = run("perf report", &mut report)?;
    let listed = shares(&text);
    if listed.is_empty() { Err(format!("perf saw nothing:\n{text}")) } else { Ok(listed) }
}

/// The lines of the report that are functions, without the empty columns behind.
fn shares(report: &str) -> Vec<String> {
    let lines = report.lines().filter(|line| !line.starts_with('#') && line.contains('%'));
    lines.take(SHOWN).map(|line| line.trim_end_matches([' ', '-']).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn the_list_is_what_stands_between_the_comments() {
        let report = "# Samples: 3\n#\n# Overhead  Command\n    61.50%  [kernel.kallsyms]  [k] copy\n\n     2.10%  pointsman  [.] walk\n#\n";
        assert_eq!(
            shares(report),
            ["    61.50%  [kernel.kallsyms]  [k] copy", "     2.10%  pointsman  [.] walk"]
        );
    }
}
