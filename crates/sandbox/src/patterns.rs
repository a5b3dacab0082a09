//! Regular expressions of clients. Kafka reads them with RE2/J, whose syntax the `regex` crate shares for what is in use.

use regex::{Regex, RegexBuilder};

/// What one compiled expression may hold in memory, so that a client cannot make it large.
const SIZE_LIMIT: usize = 1 << 20;

/// An expression that must match the whole of a name.
pub(crate) fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(SIZE_LIMIT).build()
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn the_whole_name_must_match() {
        let of = |pattern: &str, name: &str| whole(pattern).expect("an expression").is_match(name);
        assert!(of("a.*", "abc"));
        assert!(of("a|abc", "abc"));
        assert!(!of("b", "abc"));
        assert!(whole("(").is_err());
        assert!(whole("a{1000}{1000}{1000}").is_err(), "larger than the limit");
    }
}
