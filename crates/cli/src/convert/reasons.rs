//! Why something of an Envoy file has no place in a Pointsman configuration.

use super::source::{Unused, snake};

/// By the end of a path: why. What has an empty reason is a name and has no effect: no comment.
const REASONS: &[(&str, &str)] = &[
    ("@type", ""),
    ("name", ""),
    ("stat_prefix", ""),
    ("alt_stat_name", ""),
    ("cluster_name", ""),
    ("node", "it names Envoy to its own control plane"),
    ("access_log", "each connection has a line in Pointsman's log at RUST_LOG=debug"),
    ("access_log_path", "Pointsman's log goes to stderr"),
    ("admin", "the admin API is on 127.0.0.1:9901 unless `admin.listen` says otherwise"),
    ("always_log_health_check_failures", "each change of a broker's state is logged"),
    ("circuit_breakers", "connections to a broker are not limited: each client has its own"),
    (
        "close_connections_on_host_health_failure",
        "a switch always closes what still leads to the cluster that is left",
    ),
    ("common_lb_config", "there is nothing to balance: a slot leads to one broker"),
    ("consecutive_5xx", "one count of failed connections is enough: `outliers.failures`"),
    ("consecutive_gateway_failure", "one count of failed connections is enough: `outliers.failures`"),
    ("dns_lookup_family", "names are looked up at each connection, as the system does it"),
    ("dns_refresh_rate", "names are looked up at each connection"),
    ("dynamic_resources", "Pointsman has one file, which it reads again at SIGHUP"),
    ("enforcing_consecutive_5xx", "a broker is ejected whenever it reaches the count"),
    ("enforcing_success_rate", "a broker is ejected by failures in a row, not by rates"),
    ("filter_chain_match", "for slots by server name write listen: { sni, host, bootstrap }"),
    ("health_status", "probes decide"),
    ("healthy_panic_threshold", "there is no panic: a cluster that has lost its quorum is left"),
    ("host", "a probe names the broker as Host"),
    ("ignore_health_on_host_removal", "a broker that is taken out of the file is not used any more"),
    ("initial_jitter", "all brokers are asked at the start, so that a cluster is known at once"),
    ("lb_policy", "there is nothing to balance: a slot leads to one broker"),
    ("listener_filters", "for slots by server name write listen: { sni, host, bootstrap }"),
    ("load_balancing_weight", "there is nothing to balance: a slot leads to one broker"),
    ("locality", "`region` of a cluster is its only place"),
    (
        "max_connect_attempts",
        "a client whose connection fails tries again by itself, and failures eject the broker",
    ),
    ("no_traffic_interval", "brokers are asked at the same interval with and without traffic"),
    ("outlier_detection.interval", "failures are counted as they happen"),
    ("load_assignment.policy", "a cluster is left when it loses its quorum, and not in parts"),
    ("overprovisioning_factor", "a cluster is left when it loses its quorum, and not in parts"),
    ("per_connection_buffer_limit_bytes", "bytes move within the kernel, in pipes of a fixed size"),
    ("reuse_connection", "each probe makes a connection of its own: it is what a client would meet"),
    ("split_external_local_origin_errors", "only failed connections count"),
    (
        "transport_socket",
        "this version of Pointsman neither ends nor begins TLS: WITHOUT IT BYTES ARE NOT ENCRYPTED HERE",
    ),
    ("type", "names are looked up at each connection"),
    ("typed_extension_protocol_options", "bytes are not read"),
    ("unhealthy_interval", "unhealthy brokers are asked at the same interval as healthy ones"),
    ("upstream_connection_options", "keep-alive and a user time-out are always set, on both sides"),
    ("weighted_clusters", "a slot leads to one broker"),
];

/// Whole elements of lists, by the list.
const ELEMENTS: [(&str, &str); 5] = [
    ("static_resources.listeners[]", "this listener has no tcp_proxy"),
    ("static_resources.clusters[]", "no port with a tcp_proxy leads to this cluster"),
    ("static_resources.listeners[].filter_chains[]", "a port has one filter chain here"),
    (
        "static_resources.listeners[].filter_chains[].filters[]",
        "bytes are not read, so nothing but tcp_proxy has a place",
    ),
    ("static_resources.clusters[].health_checks[]", "a cluster has one health check here"),
];

/// A comment for each kind of thing that was not used: many Envoy clusters say the same.
pub(super) fn unused(unused: &[Unused]) -> Vec<String> {
    let mut kinds: Vec<(String, &Unused, usize)> = Vec::new();
    for one in unused.iter().filter(|one| reason(&kind(&one.path)) != Some("")) {
        let kind = kind(&one.path);
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((.., count)) => *count += 1,
            None => kinds.push((kind, one, 1)),
        }
    }
    kinds.iter().map(|(kind, first, count)| comment(kind, first, *count)).collect()
}

fn comment(kind: &str, first: &Unused, count: usize) -> String {
    let more = if count > 1 { format!(", and {} more of its kind", count - 1) } else { String::new() };
    let reason = reason(kind).unwrap_or("Pointsman has nothing like it");
    format!("{} (line {}{more}): {reason}", first.path, first.line)
}

fn reason(kind: &str) -> Option<&'static str> {
    if let Some((_, reason)) = ELEMENTS.iter().find(|(list, _)| *list == kind) {
        return Some(reason);
    }
    let kind = kind.trim_end_matches("[]");
    let ends =
        |key: &str| kind.strip_suffix(key).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    REASONS.iter().find(|(key, _)| ends(key)).map(|(_, reason)| *reason)
}

/// The path without the numbers of elements, in the words of protobuf.
fn kind(path: &str) -> String {
    let path = snake(path);
    let mut pieces = path.split('[');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |kind, piece| kind + "[]" + piece.split_once(']').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_clusters_say_is_one_comment() {
        let one = |path: &str, line| Unused { path: path.into(), line };
        let comments = unused(&[
            one("static_resources.clusters[0].lbPolicy", 3),
            one("static_resources.clusters[1].lbPolicy", 9),
            one("static_resources.clusters[1].name", 8),
            one("staticResources.listeners[4]", 20),
            one("stats_sinks", 30),
            one("static_resources.clusters[0].outlier_detection.interval", 31),
            one("interval", 32),
        ]);
        assert_eq!(
            comments,
            [
                "static_resources.clusters[0].lbPolicy (line 3, and 1 more of its kind): there is nothing to balance: a \
                 slot leads to one broker",
                "staticResources.listeners[4] (line 20): this listener has no tcp_proxy",
                "stats_sinks (line 30): Pointsman has nothing like it",
                "static_resources.clusters[0].outlier_detection.interval (line 31): failures are counted as they happen",
                "interval (line 32): Pointsman has nothing like it",
            ]
        );
    }

    #[test]
    fn no_key_has_two_reasons() {
        for (i, (key, _)) in REASONS.iter().enumerate() {
            assert!(REASONS[..i].iter().all(|(earlier, _)| earlier != key), "{key}");
        }
    }
}
