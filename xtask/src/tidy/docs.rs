//! Rules for what users read: commands exist, links lead somewhere.

use super::{Faults, File};
use std::path::Path;

pub(super) fn check(root: &Path, files: &[File]) -> Faults {
    let text = |path: &str| files.iter().find(|f| f.path == path).map_or("", |f| f.text.as_str());
    let commands = Commands {
        pointsman: listed(text("crates/cli/src/args.rs")),
        xtask: matched(text("xtask/src/main.rs")),
    };
    let pages = files.iter().filter(|f| f.path.ends_with(".md"));
    pages.flat_map(|page| [unknown_commands(page, &commands), dead_links(root, page)].concat()).collect()
}

/// The words that may follow `pointsman` and `cargo xtask`.
struct Commands {
    pointsman: Vec<String>,
    xtask: Vec<String>,
}

/// The commands in the list of the general help.
fn listed(source: &str) -> Vec<String> {
    let list = source.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The tasks that the dispatch knows: `"name" => …`.
fn matched(source: &str) -> Vec<String> {
    let arms = source.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
    arms.map(|(name, _)| name.to_owned()).collect()
}

/// Commands are looked for in code, where a page means them literally.
fn unknown_commands(page: &File, commands: &Commands) -> Faults {
    let mut faults = Faults::new();
    let mut fenced = false;
    for (number, line) in page.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let code: Vec<&str> = if fenced { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for (program, known) in [("pointsman", &commands.pointsman), ("cargo xtask", &commands.xtask)] {
            for word in code.iter().filter_map(|code| command_after(code, program)) {
                if !known.iter().any(|k| k == word) {
                    let line = number + 1;
                    faults.push(format!("{}:{line}: `{program}` has no command `{word}`", page.path));
                }
            }
        }
    }
    faults
}

/// The command of a line that calls the program, if it is a word.
fn command_after<'a>(code: &'a str, program: &str) -> Option<&'a str> {
    let code = code.trim().trim_start_matches("$ ").trim_start_matches("./");
    let word = code.strip_prefix(program)?.strip_prefix(' ')?.split_whitespace().next()?;
    word.chars().all(|c| c.is_ascii_lowercase()).then_some(word)
}

/// Links to files that are not there.
fn dead_links(root: &Path, page: &File) -> Faults {
    let directory = root.join(&page.path);
    let directory = directory.parent().unwrap_or(root);
    let mut faults = Faults::new();
    for (number, line) in page.text.lines().enumerate() {
        for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !elsewhere && !directory.join(path).exists() {
                faults.push(format!("{}:{}: `{link}` leads nowhere", page.path, number + 1));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::{super::file, *};

    #[test]
    fn pages_name_existing_commands_only() {
        let help = "x\nCommands:\n  run     Run it\n  check   Check it\n\nOptions:\n  -h";
        let dispatch = "match name {\n        \"ci\" => ci::run(rest),\n        _ => Err(),\n";
        let commands = Commands { pointsman: listed(help), xtask: matched(dispatch) };
        let page = "`pointsman run -c x` `pointsman top`, pointsman flies\n```\n$ cargo xtask cover\n./pointsman check\n```\n";

        let faults = unknown_commands(&file("a.md", page), &commands);

        let expected =
            ["a.md:1: `pointsman` has no command `top`", "a.md:3: `cargo xtask` has no command `cover`"];
        assert_eq!(faults, expected);
    }

    #[test]
    fn links_lead_somewhere() {
        let page = file("docs/a.md", "[x](../LICENSE#a) [y](#here) [z](https://example.com) [w](gone.md)\n");
        assert_eq!(dead_links(&super::super::root(), &page), ["docs/a.md:1: `gone.md` leads nowhere"]);
    }
}
