//! Where downloaded and built things are kept: jars, the class-data archive, client programs.
//!
//! They are made once, under a lock, so that parallel test processes do not make them twice. Nothing in here
//! is part of the source tree; removing the directory is always safe.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The cache directory: `POINTSMAN_KAFKA_DIR`, or `target/kafka` of the workspace around the current
/// directory, or the user's cache directory.
pub fn dir() -> Result<PathBuf, String> {
    if let Some(set) = std::env::var_os("POINTSMAN_KAFKA_DIR") {
        return Ok(PathBuf::from(set));
    }
    let here = std::env::current_dir().map_err(|e| format!("no current directory: {e}"))?;
    if let Some(workspace) = here.ancestors().find(|d| d.join("crates/testkit/Cargo.toml").is_file()) {
        return Ok(workspace.join("target/kafka"));
    }
    let home = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache")))
        .ok_or("no cache directory: set POINTSMAN_KAFKA_DIR")?;
    Ok(home.join("pointsman/kafka"))
}

/// Makes `dir()/name` once for each content of `inputs`, with `build` filling an existing directory.
/// Holds a file lock meanwhile; a directory whose inputs changed is made anew.
pub fn ensure(
    name: &str,
    inputs: &[&str],
    build: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let base = dir()?;
    let target = base.join(name);
    fs::create_dir_all(&base).map_err(|e| format!("{}: {e}", base.display()))?;
    let lock = File::create(base.join(format!("{name}.lock"))).map_err(|e| format!("{name}.lock: {e}"))?;
    lock.lock().map_err(|e| format!("{name}.lock: {e}"))?;
    let stamp = target.join("complete");
    let wanted = fingerprint(inputs);
    if fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(target);
    }
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(&target).map_err(|e| format!("{}: {e}", target.display()))?;
    build(&target)?;
    write(&stamp, &wanted)?;
    Ok(target)
}

/// Writes a file, with its path in the error.
pub fn write(path: &Path, content: &str) -> Result<(), String> {
    fs::write(path, content).map_err(|e| format!("{}: {e}", path.display()))
}

/// FNV-1a over all inputs: stable between builds of this program.
fn fingerprint(inputs: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in inputs.iter().flat_map(|s| s.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}\n")
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn the_fingerprint_sees_where_one_input_ends() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
    }
}
