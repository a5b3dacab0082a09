//! The shape with a switch in the middle, as a table in Markdown.

use std::fmt::Write;

use super::Report;

/// One line for each client, and what its application was told first.
pub fn table(report: &Report) -> String {
    let [primary, secondary] = report.releases.map(crate::kafka::Release::version);
    let mut out = format!(
        "Over switches from {primary} to {secondary} and back; {} apis are offered.\n\n\
         | client | acknowledged | by the secondary | in both logs | twice in one | read | read again | stranded | \
         topics made | errors | broken promises |\n| --- |{}\n",
        report.apis,
        " --- |".repeat(10),
    );
    for row in &report.rows {
        let title = row.library.title();
        let Some(v) = &row.verdict else {
            let why = row.direct.as_ref().err().map_or("", |why| why.lines().next().unwrap_or(""));
            let _ = writeln!(out, "| {title} | not directly either: {why} |{}", " – |".repeat(9));
            continue;
        };
        let numbers = [
            v.acked,
            v.moved,
            v.on_both,
            v.twice,
            v.read,
            v.again,
            v.stranded,
            v.made,
            v.errors,
            v.broken.len(),
        ];
        let cells: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "| {title} | {} |", cells.join(" | "));
    }
    for row in &report.rows {
        if let Some(error) = row.verdict.as_ref().and_then(|verdict| verdict.first_error.as_ref()) {
            let _ = writeln!(out, "\n{}, first error: {error}", row.library.name());
        }
    }
    for skip in &report.skips {
        let _ = writeln!(out, "\nskipped over switches: {}: {}", skip.library.name(), skip.why);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::{Row, Verdict};
    use super::*;
    use crate::conformance::Library;
    use crate::kafka::Release;

    #[test]
    fn a_client_has_a_line_and_one_that_cannot_says_why() {
        let verdict = Verdict { acked: 7, first_error: Some("moved".to_owned()), ..Verdict::default() };
        let rows = vec![
            Row { library: Library::Franz, direct: Ok(()), verdict: Some(verdict) },
            Row { library: Library::Java, direct: Err("no such version".to_owned()), verdict: None },
        ];
        let releases = [Release::V28, Release::Current];
        let report = Report { releases, rows, skips: vec![], apis: 60, too_new: vec![], failed: vec![] };
        let text = table(&report);
        for expected in [
            "from 2.8.2 to 4.3.1",
            "franz-go 1.22.2 | 7 |",
            "directly either: no such version",
            "first error: moved",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
