//! Where something stands in a file that was read before, for what is found out about it later.

use super::{
    error::Mark,
    yaml::{self, Value},
};

/// Where the value behind these keys starts; where the last of them that is there does, if one is not.
pub fn place(text: &str, keys: &[&str]) -> Mark {
    let Ok(Some(root)) = yaml::parse(text) else { return Mark::START };
    let mut node = &root;
    for key in keys {
        let Value::Mapping(entries) = &node.value else { break };
        let Some((_, value)) = entries.iter().find(|(k, _)| k.text == *key) else { break };
        node = value;
    }
    node.mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_keys() {
        let text = "a:\n  b.c: { d: 1 }\n";
        let at = |keys: &[&str]| (place(text, keys).line, place(text, keys).column);
        assert_eq!(at(&["a", "b.c", "d"]), (2, 13));
        assert_eq!(at(&["a", "b.c", "x", "y"]), (2, 8), "the last that is there");
        assert_eq!(place("{", &["a"]), Mark::START);
    }
}
