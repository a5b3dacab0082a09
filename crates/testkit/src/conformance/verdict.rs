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
    let mut faults = Vec::new();
    for Finding { case, outcome } in findings {
        if let Err(what) = outcome
            && !known.iter().any(|(name, _)| names(name, case))
        {
            faults.push(format!("{case}: {what}"));
        }
    }
    for (name, reason) in known {
        let mut named = findings.iter().filter(|finding| names(name, &finding.case));
        if !named.any(|finding| finding.outcome.is_err()) {
            faults.push(format!(
                "{name}: listed as a difference ({reason}), but nothing fails: remove it there"
            ));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(format!("{} faults:\n{}", faults.len(), faults.join("\n"))) }
}

/// Whether a listed name names the case: `*` at its end stands for any end, and at its beginning too.
fn names(listed: &str, case: &str) -> bool {
    match (listed.strip_suffix('*'), listed.strip_prefix('*')) {
        (Some(_), Some(rest)) => case.contains(rest.trim_end_matches('*')),
        (Some(beginning), None) => case.starts_with(beginning),
        (None, Some(end)) => case.ends_with(end),
        (None, None) => listed == case,
    }
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
        for pattern in ["raw/*", "*/a", "*/a*"] {
            assert!(judge(&findings, &[(pattern, "why")]).is_ok(), "{pattern}");
        }
        assert!(judge(&findings, &[]).unwrap_err().contains("raw/a: no"));
        assert!(judge(&findings, &[("raw/a", "why"), ("raw/b", "why")]).unwrap_err().contains("remove it"));
        assert!(judge(&findings, &[("raw/*", "why"), ("java/*", "why")]).unwrap_err().contains("java/*"));
    }
}
