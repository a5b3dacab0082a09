//! Directly against through the proxy, case by case.

use crate::conformance::{Feature, Library};

use super::{Shape, limits};

/// How a case ended: nothing, or what was expected and what was seen.
pub type Outcome = Result<(), String>;

/// One case of one client in one shape.
#[derive(Clone, Debug)]
pub struct Row {
    /// The client.
    pub library: Library,
    /// What the case is about.
    pub feature: Feature,
    /// The case.
    pub case: &'static str,
    /// How Pointsman was reached.
    pub shape: Shape,
    /// On the brokers themselves.
    pub direct: Outcome,
    /// Through Pointsman.
    pub proxied: Outcome,
}

/// A client that could not be tested here, and why.
#[derive(Clone, Debug)]
pub struct Skip {
    /// The client.
    pub library: Library,
    /// Why.
    pub why: String,
}

/// What was tested.
#[derive(Clone, Debug, Default)]
pub struct Tested {
    /// The cases.
    pub rows: Vec<Row>,
    /// The clients that are not among them.
    pub skips: Vec<Skip>,
}

/// The cases that end otherwise through Pointsman than directly, in words.
pub fn differences(rows: &[Row]) -> Vec<String> {
    rows.iter().filter_map(difference).collect()
}

fn difference(row: &Row) -> Option<String> {
    let name = format!("{}/{} ({})", row.library.name(), row.case, row.shape.name());
    match (&row.direct, &row.proxied) {
        (Ok(()), Err(_)) if limits::listed(row) => None,
        (Ok(()), Ok(())) if limits::listed(row) => {
            Some(format!("{name}: listed as a limit, but works: remove it"))
        }
        (Ok(()), Err(what)) => Some(format!("{name}: not through Pointsman: {what}")),
        (Err(what), Ok(())) => Some(format!("{name}: not directly: {what}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(direct: Outcome, proxied: Outcome) -> Row {
        Row {
            library: Library::Franz,
            feature: Feature::Produce,
            case: "idempotent",
            shape: Shape::One,
            direct,
            proxied,
        }
    }

    #[test]
    fn only_what_differs_counts() {
        let no = || Err("no".to_owned());
        assert_eq!(differences(&[row(Ok(()), Ok(())), row(no(), no())]), Vec::<String>::new());
        assert_eq!(
            differences(&[row(Ok(()), no())]),
            ["franz/idempotent (one port): not through Pointsman: no"]
        );
        assert_eq!(differences(&[row(no(), Ok(()))]), ["franz/idempotent (one port): not directly: no"]);
    }

    #[test]
    fn a_known_limit_must_occur() {
        let limit = |proxied| Row { case: "log_dirs", ..row(Ok(()), proxied) };
        assert!(differences(&[limit(Err("no".to_owned()))]).is_empty());
        assert!(differences(&[limit(Ok(()))])[0].contains("remove it"));
        let of_one = |library| Row { case: "describe_cluster", library, ..row(Ok(()), Err("no".to_owned())) };
        assert!(differences(&[of_one(Library::Kcat)]).is_empty());
        assert_eq!(differences(&[of_one(Library::Franz)]).len(), 1, "only of that client");
        let slots = Row { shape: Shape::Slots, ..limit(Err("no".to_owned())) };
        assert_eq!(differences(&[slots]).len(), 1, "only with one port");
    }
}
