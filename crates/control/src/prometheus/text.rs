//! Lines of the Prometheus text format: names, labels with their escapes, values.

use std::fmt::Write;

/// The page while it is written. Writing to a string cannot fail, so results are dropped.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    /// Starts a family; the samples that follow are its own.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.part("", labels, value);
    }

    /// A sample of a histogram's `_sum` or `_count`.
    pub(super) fn part(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.line(suffix, labels, None, value);
    }

    pub(super) fn bucket(&mut self, labels: &[(&str, &str)], bound: &str, value: f64) {
        self.line("_bucket", labels, Some(("le", bound)), value);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], last: Option<(&str, &str)>, value: f64) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        let mut before = '{';
        for (name, text) in labels.iter().copied().chain(last) {
            let _ = write!(self.text, "{before}{name}=\"{}\"", escape(text));
            before = ',';
        }
        let _ = writeln!(self.text, "{} {value}", if before == '{' { "" } else { "}" });
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.family("x", "gauge", "Help.");
        page.sample(&[("a", "back\\slash \"quote\"\nline"), ("b", "")], 0.25);
        page.sample(&[], 3.0);
        let expected =
            "# HELP x Help.\n# TYPE x gauge\nx{a=\"back\\\\slash \\\"quote\\\"\\nline\",b=\"\"} 0.25\nx 3\n";
        assert_eq!(page.finish(), expected);
    }
}
