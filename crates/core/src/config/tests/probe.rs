//! TLS of the HTTP probe: what is refused, in the exact words.

use super::parse;

/// The faults of `tls` of a probe, from the path of the key on.
fn faults(tls: &str) -> Vec<String> {
    let text = format!(
        "clusters:\n  p:\n    bootstrap_servers: [k0:1]\n    health: {{ probe: {{ http: {{ port: 1, tls: {tls} }} }} }}\n\
         virtual_clusters: {{ main: {{ listen: 127.0.0.1:9092, chain: [p] }} }}\n"
    );
    let errors = parse(&text).expect_err("a faulty configuration").0;
    let found = errors.iter().map(ToString::to_string);
    let short = |line: String| {
        line.split_once("clusters.p.health.probe.http.").map(|(_, rest)| rest.to_owned()).unwrap_or(line)
    };
    found.map(short).collect()
}

#[test]
fn tls_of_a_probe_is_checked() {
    let remedy = "write tls: { ca_file: ca.pem }";
    assert_eq!(faults("true"), [format!("tls: expected a mapping with `ca_file`, found `true`; {remedy}")]);
    assert_eq!(faults("{}"), [format!("tls.ca_file: this key is required, but missing; {remedy}")]);
    let expected = ["tls.ca_file: expected the path of a PEM file, found a list; write e.g. ca.pem"];
    assert_eq!(faults("{ ca_file: [] }"), expected);
    let expected = ["tls.cert_file: `cert_file` and `key_file` go together; give both, or none of them"];
    assert_eq!(faults("{ ca_file: ca.pem, cert_file: p.pem }"), expected);
    let expected = ["tls.server_name: expected a host name or an IP address, found `a/b`; \
                     write e.g. registry.example.com"];
    assert_eq!(faults("{ ca_file: ca.pem, server_name: a/b }"), expected);
    let expected = [
        "tls.ca: `ca` is no known key; the keys here are `ca_file`, `cert_file`, `key_file` and `server_name`",
    ];
    assert_eq!(faults("{ ca_file: ca.pem, ca: x }"), expected);
}
