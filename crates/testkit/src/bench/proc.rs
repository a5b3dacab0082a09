//! What a proxy used, as the kernel counts it in /proc: processor time, memory, context switches.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// User and system time are counted in ticks, each with an error of one.
const TICK_ERROR: f64 = 0.02;

/// What a process and its children have used up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Processor seconds to the nanosecond, of the threads that live.
    pub(super) cpu: f64,
    /// Processor seconds in user space in ticks of 10 ms, all threads, ended ones included.
    pub(super) user: f64,
    /// Processor seconds in the kernel, in the same ticks.
    pub(super) system: f64,
    /// Context switches of the threads that live.
    pub(super) switches: u64,
    /// Memory in use, KiB.
    pub(super) rss_kib: u64,
    /// The most since [`reset_peak`], KiB.
    pub(super) peak_kib: u64,
}

impl Usage {
    /// What was used since `before`; memory as it is now.
    pub(super) fn since(&self, before: &Self) -> Self {
        let (user, system) = (self.user - before.user, self.system - before.system);
        Self {
            // Threads that ended meanwhile are in the ticks only.
            cpu: (self.cpu - before.cpu).max(user + system - TICK_ERROR),
            user,
            system,
            switches: self.switches.saturating_sub(before.switches),
            ..*self
        }
    }

    fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.user += other.user;
        self.system += other.system;
        self.switches += other.switches;
        self.rss_kib += other.rss_kib;
        self.peak_kib += other.peak_kib;
    }
}

/// Adds up a process and all its children. Pages that they share count once for each.
pub(super) fn usage(pid: u32) -> Result<Usage, String> {
    let mut sum = Usage::default();
    for pid in family(pid) {
        sum.add(&of_one(pid)?);
    }
    Ok(sum)
}

/// The peak begins anew. Without the right to do it the peak is that of the whole life of the process.
pub(super) fn reset_peak(pid: u32) {
    for pid in family(pid) {
        drop(fs::write(format!("/proc/{pid}/clear_refs"), "5"));
    }
}

fn of_one(pid: u32) -> Result<Usage, String> {
    let read =
        |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|e| format!("{pid}: {e}"));
    let (user, system) = times(&read("stat")?).ok_or_else(|| format!("/proc/{pid}/stat: not understood"))?;
    let (user, system) = (seconds(user), seconds(system));
    let exact: u64 = threads(pid, "schedstat").filter_map(|text| on_cpu(&text)).sum();
    let status = read("status")?;
    let kib = |name| field(&status, name).unwrap_or(0);
    Ok(Usage {
        // A kernel without these statistics has the ticks.
        cpu: if exact > 0 { Duration::from_nanos(exact).as_secs_f64() } else { user + system },
        user,
        system,
        switches: threads(pid, "status").map(|text| switches(&text)).sum(),
        rss_kib: kib("VmRSS"),
        peak_kib: kib("VmHWM"),
    })
}

fn threads(pid: u32, file: &'static str) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(move |entry| fs::read_to_string(entry.path().join(file)).ok())
}

/// Nanoseconds on a processor: the first field of schedstat.
fn on_cpu(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// The process and its children, theirs too.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        all.extend(children(Path::new(&format!("/proc/{pid}/task"))));
        next += 1;
    }
    all
}

/// Each thread lists the children that it started.
fn children(tasks: &Path) -> Vec<u32> {
    let entries = fs::read_dir(tasks).into_iter().flatten().flatten();
    let lists = entries.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| numbers(&list)).collect()
}

fn numbers(list: &str) -> Vec<u32> {
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Ticks in user space and in the kernel: fields 14 and 15 of /proc/PID/stat. The name, field 2, may hold anything.
fn times(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[expect(clippy::cast_precision_loss, reason = "ticks of one process in the life of a benchmark")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// The number of a line such as `VmHWM:     5432 kB`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn switches(status: &str) -> u64 {
    let count = |name| field(status, name).unwrap_or(0);
    count("voluntary_ctxt_switches") + count("nonvoluntary_ctxt_switches")
}

/// The machine in one line: processor, cores, memory, kernel, congestion control.
pub(super) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model =
        cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, m)| m);
    let cores = cpu.lines().filter(|l| l.starts_with("processor")).count();
    let gib = field(&memory, "MemTotal").unwrap_or(0) / (1 << 20);
    let (kernel, tcp) =
        (read("/proc/sys/kernel/osrelease"), read("/proc/sys/net/ipv4/tcp_congestion_control"));
    format!("{model}, {cores} cores, {gib} GiB, Linux {}, TCP {}", kernel.trim(), tcp.trim())
}

/// The load of the last minute: how busy the machine was with other work.
pub(super) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 90 0 0 0 123 45 7 8 20 0 3 0 99 1 2 3\n";
        assert_eq!(times(stat), Some((123, 45)));
        assert_eq!(times("42 (a) S 1"), None);
        assert_eq!(times(""), None);
        assert_eq!((on_cpu("7000 5 3\n"), on_cpu("")), (Some(7000), None));
    }

    #[test]
    fn the_status_of_a_process_is_read() {
        let status = "Name:\tx\nVmHWM:\t    5432 kB\nVmRSS:\t    5000 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t5\n";
        assert_eq!(field(status, "VmHWM"), Some(5432));
        assert_eq!(field(status, "Vm"), None);
        assert_eq!(switches(status), 12);
        assert_eq!(switches(""), 0);
    }

    #[test]
    fn children_are_a_list_of_numbers() {
        assert_eq!(numbers("12 345 \n"), [12, 345]);
        assert!(numbers("").is_empty());
    }

    #[test]
    fn this_process_has_used_something() {
        let before = usage(std::process::id()).unwrap();
        assert!(before.rss_kib > 0 && before.peak_kib >= before.rss_kib, "{before:?}");
        assert!(!machine().contains('?') || cfg!(not(target_arch = "x86_64")));
        assert_eq!(usage(std::process::id()).unwrap().since(&before).user.min(0.0), 0.0);
    }
}
