//! Findings against the list of known differences.

use super::differences::Difference;

/// How one case ended.
#[derive(Clone, Debug)]
pub struct Finding {
    /// `raw/…` or `<library>/…`.
    pub case: String,
    /// Nothing, or what was expected and what was seen.
    pub outcome: Result<(), String>,
}

/// Fails on a case that failed and is not known to differ, and on a known difference that does not occur.
pub fn judge(findings: &[Finding], known: &[Difference]) -> Result<(), String> {
    let reason = |case: &str| known.iter().find(|(name, _)| *name == case).map(|(_, reason)| *reason);
    let mut faults = Vec::new();
    for Finding { case, outcome } in findings {
        match (outcome, reason(case)) {
            (Err(what), None) => faults.push(format!("{case}: {what}")),
            (Ok(()), Some(reason)) => {
                faults.push(format!(
                    "{case}: passes, but is listed as a difference ({reason}): remove it there"
                ));
            }
            _ => {}
        }
    }
    for (name, _) in known.iter().filter(|(name, _)| !findings.iter().any(|f| f.case == *name)) {
        faults.push(format!("{name}: listed as a difference, but there is no such case"));
    }
    if faults.is_empty() { Ok(()) } else { Err(format!("{} faults:\n{}", faults.len(), faults.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(case: &str, outcome: Result<(), &str>) -> Finding {
        Finding { case: case.to_owned(), outcome: outcome.map_err(str::to_owned) }
    }

    #[test]
    fn a_known_difference_must_occur() {
        let findings = [finding("raw/a", Err("no")), finding("raw/b", Ok(()))];
        assert!(judge(&findings, &[("raw/a", "why")]).is_ok());
        assert!(judge(&findings, &[]).unwrap_err().contains("raw/a: no"));
        assert!(judge(&findings, &[("raw/a", "why"), ("raw/b", "why")]).unwrap_err().contains("remove it"));
        assert!(judge(&findings, &[("raw/a", "why"), ("raw/c", "")]).unwrap_err().contains("no such case"));
    }
}
