//! Counters out of `/metrics`: Prometheus text (exposition format 0.0.4), as far as Pointsman writes it.

use std::collections::BTreeMap;

/// What the monitor counts of a virtual cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counters {
    pub(super) received: f64,
    pub(super) sent: f64,
    pub(super) requests: f64,
    pub(super) accepted: f64,
}

/// The counters of every virtual cluster, by its name.
pub(super) fn counters(text: &str) -> BTreeMap<String, Counters> {
    let mut all: BTreeMap<String, Counters> = BTreeMap::new();
    for (family, labels, value) in text.lines().filter_map(sample) {
        let Some(name) = label(labels, "virtual_cluster") else { continue };
        let counters = all.entry(name).or_default();
        match family {
            "pointsman_received_bytes_total" => counters.received += value,
            "pointsman_sent_bytes_total" => counters.sent += value,
            "pointsman_requests_total" => counters.requests += value,
            "pointsman_connections_accepted_total" => counters.accepted += value,
            _ => {}
        }
    }
    all
}

/// Family, labels between the braces, and value of a line; `None` for a comment.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    let (series, value) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
    let (family, labels) = series.split_once('{').map_or((series, ""), |(family, rest)| (family, rest));
    Some((family, labels.strip_suffix('}').unwrap_or(labels), value.parse().ok()?))
}

/// The value of a label, without its escapes.
fn label(mut labels: &str, wanted: &str) -> Option<String> {
    loop {
        let (name, rest) = labels.split_once("=\"")?;
        let (value, rest) = quoted(rest)?;
        if name.trim_start_matches(',') == wanted {
            return Some(value);
        }
        labels = rest;
    }
}

/// Text up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_by_virtual_cluster() {
        let page = "# HELP pointsman_requests_total Requests.\n\
            # TYPE pointsman_requests_total counter\n\
            pointsman_requests_total{virtual_cluster=\"main\",api=\"Produce\"} 7\n\
            pointsman_requests_total{virtual_cluster=\"main\",api=\"Fetch\"} 5\n\
            pointsman_received_bytes_total{virtual_cluster=\"main\"} 1e3\n\
            pointsman_sent_bytes_total{api=\"x,virtual_cluster=\",virtual_cluster=\"o\\\"t\\\\h\"} 2\n\
            pointsman_generation 9\n";

        let counters = counters(page);

        assert_eq!(counters["main"], Counters { requests: 12.0, received: 1000.0, ..Counters::default() });
        assert_eq!(counters["o\"t\\h"], Counters { sent: 2.0, ..Counters::default() });
        assert_eq!(counters.len(), 2);
    }

    #[test]
    fn what_is_no_page_has_no_counters() {
        for text in ["", "<html>", "a{virtual_cluster=\"", "a{virtual_cluster=\"x\"} many", "{}", "a{=\"\\"] {
            assert!(counters(text).values().all(|c| *c == Counters::default()), "{text}");
        }
    }
}
