//! The matrix as a table in Markdown: client × feature, with counts of direct and proxied results.

use std::fmt::Write;

use super::{Row, Shape, Tested, differences};
use crate::conformance::{Feature, Library};

/// A cell reads `9/9`: cases that work directly, and through Pointsman. Several shapes: `9/9, 9/9`.
pub fn table(tested: &Tested) -> String {
    let mut shapes: Vec<Shape> = tested.rows.iter().map(|row| row.shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    let mut out = String::new();
    let names: Vec<&str> = shapes.iter().map(|shape| shape.name()).collect();
    let _ = writeln!(out, "Cases that work: directly / through Pointsman ({}).\n", names.join(" / "));
    let features: Vec<&str> = Feature::ALL.iter().map(|feature| feature.name()).collect();
    let _ = writeln!(out, "| client | {} | differences |", features.join(" | "));
    let _ = writeln!(out, "| --- |{}", " --- |".repeat(features.len() + 1));
    for library in Library::ALL {
        let rows: Vec<&Row> = tested.rows.iter().filter(|row| row.library == library).collect();
        if !rows.is_empty() {
            let cells: Vec<String> =
                Feature::ALL.iter().map(|feature| cell(&rows, *feature, &shapes)).collect();
            let own: Vec<Row> = rows.into_iter().cloned().collect();
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                library.title(),
                cells.join(" | "),
                differences(&own).len()
            );
        }
    }
    for skip in &tested.skips {
        let _ = writeln!(out, "\nskipped: {}: {}", skip.library.name(), skip.why);
    }
    out
}

fn cell(rows: &[&Row], feature: Feature, shapes: &[Shape]) -> String {
    let count = |shape: &Shape, works: fn(&Row) -> bool| {
        rows.iter().filter(|row| row.feature == feature && row.shape == *shape && works(row)).count()
    };
    let Some(first) = shapes.first().filter(|shape| count(shape, |_| true) > 0) else {
        return "–".to_owned();
    };
    let mut text = count(first, |row| row.direct.is_ok()).to_string();
    for shape in shapes {
        let _ = write!(text, " / {}", count(shape, |row| row.proxied.is_ok()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::Skip;
    use super::*;

    #[test]
    fn results_are_counted_by_feature_and_shape() {
        let row = |case, shape, proxied: Result<(), &str>| Row {
            library: Library::Franz,
            feature: Feature::Produce,
            case,
            shape,
            direct: Ok(()),
            proxied: proxied.map_err(str::to_owned),
        };
        let rows = vec![
            row("a", Shape::Slots, Ok(())),
            row("b", Shape::Slots, Ok(())),
            row("a", Shape::One, Ok(())),
            row("b", Shape::One, Err("no")),
        ];
        let text =
            table(&Tested { rows, skips: vec![Skip { library: Library::Java, why: "no JDK".to_owned() }] });
        let line = text.lines().find(|line| line.contains("franz")).unwrap();
        assert!(line.contains("| 2 / 2 / 1 |"), "{text}");
        assert!(line.ends_with("| 1 |"), "{text}");
        assert!(text.contains("skipped: java: no JDK"), "{text}");
    }
}
