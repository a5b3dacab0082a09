//! Rules for the repository as a whole: the licence, the direction of dependencies, whitespace.

use super::{Faults, File};
use std::path::Path;

/// What each crate may depend on, besides crates that are not ours. `net` and `control` never import each other.
const MAY_USE: [(&str, &[&str]); 7] = [
    ("wire", &[]),
    ("core", &["wire"]),
    ("net", &["core", "wire"]),
    ("control", &["core", "wire"]),
    ("sandbox", &["wire"]),
    ("testkit", &["core", "sandbox", "wire"]),
    ("cli", &["control", "net", "core", "wire", "sandbox", "testkit"]),
];

pub(super) fn check(root: &Path, files: &[File]) -> Faults {
    let mut faults = Faults::new();
    let licence = std::fs::read_to_string(root.join("LICENSE")).unwrap_or_default();
    if !licence.contains("Apache License") {
        faults.push("LICENSE: expected the text of the Apache License 2.0".into());
    }
    for file in files.iter().filter(|f| f.path.ends_with("Cargo.toml")) {
        // The fuzz targets for libFuzzer are no part of the workspace.
        let outside = matches!(file.path.as_str(), "Cargo.toml" | "fuzz/Cargo.toml");
        if !outside && !file.text.contains("license.workspace = true") {
            faults.push(format!("{}: expected `license.workspace = true`", file.path));
        }
        let name = file.path.strip_prefix("crates/").and_then(|p| p.strip_suffix("/Cargo.toml"));
        faults.extend(name.into_iter().flat_map(|name| dependencies(name, file)));
    }
    faults
}

/// Dependencies against the direction; those of tests are free.
fn dependencies(name: &str, file: &File) -> Faults {
    let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
        return vec![format!("{}: a new crate needs its direction in xtask/src/tidy/layout.rs", file.path)];
    };
    let mut section = "";
    let mut faults = Faults::new();
    for (number, line) in file.text.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let used = line
            .strip_prefix("pointsman-")
            .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default());
        if let Some(used) = used.filter(|used| section == "[dependencies]" && !allowed.contains(used)) {
            let line = number + 1;
            faults.push(format!("{}:{line}: `{name}` must not depend on `{used}`", file.path));
        }
    }
    faults
}

pub(super) fn whitespace(file: &File) -> Faults {
    let mut faults = Faults::new();
    for (number, line) in file.text.lines().enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            faults.push(format!("{}:{}: whitespace at the end of the line", file.path, number + 1));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        faults.push(format!("{}: expected a line break at the end", file.path));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::{super::file, *};

    #[test]
    fn dependencies_have_one_direction() {
        let manifest = |section: &str, line: &str| {
            dependencies("net", &file("crates/net/Cargo.toml", &format!("[{section}]\n{line}\n")))
        };
        let core = "pointsman-core.workspace = true";
        let control = "pointsman-control = { workspace = true }";
        assert_eq!(manifest("dependencies", core), Faults::new());
        assert_eq!(
            manifest("dependencies", control),
            ["crates/net/Cargo.toml:2: `net` must not depend on `control`"]
        );
        assert_eq!(manifest("dev-dependencies", control), Faults::new());
    }

    #[test]
    fn whitespace_is_seen() {
        assert_eq!(whitespace(&file("a.md", "a\nb \n")), ["a.md:2: whitespace at the end of the line"]);
        assert_eq!(whitespace(&file("a.md", "a")), ["a.md: expected a line break at the end"]);
        assert_eq!(whitespace(&file("a.md", "a\n")), Faults::new());
    }
}
