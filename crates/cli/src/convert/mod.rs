//! `pointsman convert envoy`: from an Envoy bootstrap file to a Pointsman configuration.
//!
//! `source` reads the file and knows what of it was used; `envoy` finds ports, clusters and their rules in it; `write` writes
//! what Pointsman can say, and above it what it cannot: whatever nobody has used, with the reason from `reasons`. Nothing is
//! left out in silence, and no value is quoted: it may be a secret.

mod envoy;
mod reasons;
mod rules;
mod source;
#[cfg(test)]
mod tests;
mod write;

use crate::{
    args::ConvertArgs,
    output::{self, File},
};
use pointsman_core::limits::MAX_CONFIG;
use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

/// A configuration, and how many comments say what is not in it.
#[derive(Debug)]
struct Converted {
    text: String,
    notes: usize,
}

/// Converts a file, or says why not.
pub(crate) fn run(args: &ConvertArgs) -> ExitCode {
    match read(&args.file).and_then(|text| convert(&text, &args.file)).and_then(|c| put(args, &c).map(|()| c))
    {
        Ok(converted) => {
            let to =
                args.output.as_ref().map_or("the configuration".into(), |file| file.display().to_string());
            eprintln!("pointsman: {} comments in {to} say what was not carried over", converted.notes);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("pointsman: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(file: &Path) -> Result<String, String> {
    let failed = |e: io::Error| format!("{}: the bootstrap file cannot be read: {e}", file.display());
    let bytes = fs::metadata(file).map_err(failed)?.len();
    if usize::try_from(bytes).map_or(true, |bytes| bytes > MAX_CONFIG) {
        return Err(format!("{}: expected at most {MAX_CONFIG} bytes, found {bytes}", file.display()));
    }
    fs::read_to_string(file).map_err(failed)
}

fn convert(text: &str, file: &Path) -> Result<Converted, String> {
    let source = source::Source::parse(text).map_err(|fault| fault.at(file))?;
    let mut notes = Vec::new();
    let envoy = envoy::read(&source.root(), &mut notes).map_err(|fault| fault.at(file))?;
    notes.extend(reasons::unused(&source.unused()));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Converted { text: write::text(&envoy, &notes, &name), notes: notes.len() })
}

fn put(args: &ConvertArgs, converted: &Converted) -> Result<(), String> {
    let Some(path) = &args.output else {
        return io::stdout()
            .write_all(converted.text.as_bytes())
            .map_err(|e| format!("standard output: {e}"));
    };
    let Some(name) = path.file_name() else {
        return Err(format!("{}: expected the name of a file", path.display()));
    };
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = File::public(name.to_string_lossy().into_owned(), converted.text.clone());
    output::write(directory, &[file], args.force)
}
