//! `cargo xtask tidy`: house rules that neither rustfmt nor clippy knows. Fast, and it fixes nothing.
//!
//! Each rule is a function from a file to its faults; a fault says where, what, and what to do.

mod docs;
mod layout;
mod rust;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A text file of the repository.
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A rule that is broken, as `path:line: words`.
pub(crate) type Faults = Vec<String>;

/// Checks everything; an error names every fault.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if let Some(word) = args.first() {
        return Err(format!("expected nothing after `tidy`, got {word}"));
    }
    let root = root();
    let files = files(&root)?;
    let faults = faults(&root, &files);
    if faults.is_empty() {
        println!("tidy: {} files", files.len());
        return Ok(());
    }
    Err(format!("tidy: {} faults\n{}", faults.len(), faults.join("\n")))
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| ".".into(), Path::to_owned)
}

fn faults(root: &Path, files: &[File]) -> Faults {
    let mut faults = layout::check(root, files);
    for file in files {
        faults.extend(layout::whitespace(file));
        if file.path.ends_with(".rs") {
            faults.extend(rust::check(file));
        }
    }
    faults.extend(docs::check(root, files));
    faults
}

/// Every text file that people edit, in order.
fn files(root: &Path) -> Result<Vec<File>, String> {
    let mut found = Vec::new();
    walk(root, root, &mut found)?;
    found.sort_by(|a: &File, b: &File| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<File>) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    for entry in fs::read_dir(directory).map_err(|e| failed(directory, e))? {
        let path = entry.map_err(|e| failed(directory, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !matches!(&*name, "target" | ".git" | "__pycache__" | "node_modules") {
                walk(root, &path, found)?;
            }
            continue;
        }
        let text_file = path.extension().is_some_and(|kind| {
            ["rs", "md", "toml", "yaml", "yml", "json", "py", "java", "go", "c", "sh"]
                .iter()
                .any(|k| *k == kind)
        });
        if text_file {
            let text = fs::read_to_string(&path).map_err(|e| failed(&path, e))?;
            let path = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push(File { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) fn file(path: &str, text: &str) -> File {
    File { path: path.into(), text: text.into() }
}
