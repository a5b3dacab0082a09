//! `cargo xtask release`: the binary as it is shipped, led by a profile.
//!
//! ```text
//!  build that counts ─▶ its use: benchmark and demonstrations ─▶ counts, merged ─▶ build that is led by them ─▶ target/pgo/pointsman
//! ```
//!
//! What is often passed then stands together, and what is not stands apart. What the training leaves out becomes slower, so it has
//! to be what is passed often: produces and fetches before and after a switch, in both modes, and groups that are moved. Requests of
//! transactions and of administrators are not in it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const BINARY: &str = "pointsman";
const BENCH: &str = "run --release --locked --package pointsman-testkit --no-default-features --features bench --bin bench -- \
                     --rounds 1 --seconds 2 --sides sink --subjects pointsman,switched,passthrough \
                     --workloads produce,produce-large,fetch,fetch-small,small,latency,many --binary";
const DEMOS: [&str; 2] = ["demo --headless", "demo --headless --passthrough"];

/// Takes no arguments.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if let Some(arg) = args.first() {
        return Err(format!("release: takes no arguments, got {arg:?}"));
    }
    let compiler = Compiler::find()?;
    let merge = compiler.profile_tool()?;
    let dir = workspace().join("target/pgo");
    let (counts, merged, led) = (dir.join("counts"), dir.join("merged.profdata"), dir.join("led"));
    // Counts of another build would be merged with those of this one, and what other counts have led would be taken for made.
    for old in [&counts, &led] {
        let _ = fs::remove_dir_all(old);
    }
    println!("==> a build that counts");
    let counting =
        compiler.build(&dir.join("counting"), &format!("-Cprofile-generate={}", counts.display()))?;
    println!("==> its use");
    call(Command::new("cargo").args(BENCH.split(' ')).arg(&counting).current_dir(workspace()))?;
    for demo in DEMOS {
        call(Command::new(&counting).args(demo.split(' ')))?;
    }
    call(Command::new(merge).arg("merge").arg("-o").arg(&merged).arg(&counts))?;
    println!("==> the build that is led by it");
    let built = compiler.build(&led, &format!("-Cprofile-use={}", merged.display()))?;
    let shipped = dir.join(BINARY);
    fs::copy(&built, &shipped).map_err(|e| format!("release: {}: {e}", shipped.display()))?;
    call(Command::new(&shipped).arg("--version"))?;
    println!("{}", shipped.display());
    Ok(())
}

/// The compiler of this workspace.
struct Compiler {
    host: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn find() -> Result<Self, String> {
        let about = output(Command::new("rustc").arg("-vV"))?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or("release: rustc -vV names no host")?.to_owned();
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        Ok(Self { host, sysroot: PathBuf::from(sysroot.trim()) })
    }

    /// What merges the counts: a component of the toolchain, added where it is missing.
    fn profile_tool(&self) -> Result<PathBuf, String> {
        let tool = self.sysroot.join("lib/rustlib").join(&self.host).join("bin/llvm-profdata");
        if !tool.is_file() {
            call(Command::new("rustup").args(["component", "add", "llvm-tools"]))?;
        }
        if tool.is_file() { Ok(tool) } else { Err(format!("release: {} is missing", tool.display())) }
    }

    /// Builds the binary with one more flag. Programs that only the build runs do not get it: a target is named.
    fn build(&self, target_dir: &Path, flag: &str) -> Result<PathBuf, String> {
        let flags = env::var("RUSTFLAGS").unwrap_or_default();
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--locked", "--bin", BINARY, "--target", &self.host]);
        cargo
            .current_dir(workspace())
            .arg("--target-dir")
            .arg(target_dir)
            .env("RUSTFLAGS", format!("{flags} {flag}"));
        call(&mut cargo)?;
        Ok(target_dir.join(&self.host).join("release").join(BINARY))
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is a member of the workspace")
}

fn call(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("release: {}: {e}", name(command)))?;
    if status.success() { Ok(()) } else { Err(format!("release: {}: {status}", name(command))) }
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("release: {}: {e}", name(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("release: {}: {}", name(command), String::from_utf8_lossy(&output.stderr).trim()))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
