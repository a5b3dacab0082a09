//! Writes files all or none, as far as a file system can: what is there is never overwritten unless asked for.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Names that an error lists.
const LISTED: usize = 5;

/// A file to be written.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    text: String,
    mode: u32,
}

impl File {
    /// One that anyone may read.
    pub(crate) fn public(name: String, text: String) -> Self {
        Self { name, text, mode: 0o644 }
    }

    /// One that only its owner may read.
    pub(crate) fn secret(name: String, text: String) -> Self {
        Self { name, text, mode: 0o600 }
    }
}

/// Writes all files into a directory, which is made if it is missing.
pub(crate) fn write(directory: &Path, files: &[File], force: bool) -> Result<(), String> {
    let there: Vec<&str> = files
        .iter()
        .map(|file| &*file.name)
        .filter(|name| directory.join(name).symlink_metadata().is_ok())
        .collect();
    if let (false, [first, ..]) = (force, &there[..]) {
        let more = if there.len() > 1 { format!(" and {} more", there.len() - 1) } else { String::new() };
        let path = directory.join(first);
        return Err(format!(
            "{}{more} exists already: nothing was written; choose another place, or add --force",
            path.display()
        ));
    }
    fs::create_dir_all(directory).map_err(|e| format!("{} cannot be made: {e}", directory.display()))?;
    for (number, file) in files.iter().enumerate() {
        put(directory, file, force).map_err(|error| {
            let path = directory.join(&file.name);
            let before: Vec<&str> = files[..number].iter().take(LISTED).map(|f| &*f.name).collect();
            let before = if before.is_empty() { "nothing".into() } else { before.join(", ") };
            format!("{} cannot be written: {error}; written before: {before}", path.display())
        })?;
    }
    Ok(())
}

/// A new file, never through a link; with `force` it takes the place of what is there in one step.
fn put(directory: &Path, file: &File, force: bool) -> io::Result<()> {
    let path = directory.join(&file.name);
    if !force {
        return create(&path, file);
    }
    let new = directory.join(format!(".{}.{}", file.name, std::process::id()));
    create(&new, file).and_then(|()| fs::rename(&new, &path)).inspect_err(|_| drop(fs::remove_file(&new)))
}

fn create(path: &Path, file: &File) -> io::Result<()> {
    let mut open = OpenOptions::new();
    open.write(true).create_new(true).mode(file.mode).open(path)?.write_all(file.text.as_bytes())
}
