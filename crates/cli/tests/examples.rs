//! What stands in `examples/` is right: it is all that can be tested of what needs containers.

use pointsman_core::config::{
    Bootstrap, Config,
    yaml::{self, Node, Value},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn get<'a>(node: &'a Node, key: &str) -> &'a Node {
    let Value::Mapping(entries) = &node.value else { panic!("{key}: no mapping around it") };
    &entries.iter().find(|(k, _)| k.text == key).unwrap_or_else(|| panic!("{key} is missing")).1
}

fn text(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } => text.clone(),
        Value::List(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Mapping(_) => panic!("a mapping"),
    }
}

#[test]
fn each_broker_of_the_redpanda_example_advertises_the_port_of_its_slot() {
    let file = read("examples/redpanda-envoy/pointsman.yaml");
    let config = Config::parse(&file, "pointsman.yaml", Path::new("/etc")).unwrap_or_else(|e| panic!("{e}"));
    let compose =
        yaml::parse(&read("examples/redpanda-envoy/docker-compose.yaml")).expect("YAML").expect("a document");
    let services = get(&compose, "services");
    let main = &config.virtual_clusters[0];
    let (first, last) = main.ports;
    let sizes: Vec<usize> = config
        .clusters
        .iter()
        .map(|c| match &c.bootstrap {
            Bootstrap::Static(servers) => servers.len(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!((first, last, sizes.as_slice()), (9092, 9096, &[5, 3][..]));
    for cluster in &config.clusters {
        let Bootstrap::Static(servers) = &cluster.bootstrap else { continue };
        for (server, port) in servers.iter().zip(first..) {
            let command = text(get(get(services, &server.host), "command"));
            for words in [
                format!("pointsman://0.0.0.0:{}", server.port),
                format!("pointsman://localhost:{port}"),
                format!("--advertise-rpc-addr {}:", server.host),
                "--schema-registry-addr 0.0.0.0:8081".into(),
            ] {
                assert!(command.contains(&words), "{}: expected {words} in {command}", server.host);
            }
        }
    }
    let published = text(get(get(services, "pointsman"), "ports"));
    assert!(published.contains(&format!("{first}-{last}:{first}-{last}")), "{published}");
}

#[test]
fn the_dockerfile_has_the_rust_that_the_project_is_built_with() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).expect("a channel");
    assert!(read("Dockerfile").contains(&format!("FROM rust:{channel}-slim-")), "{channel}");
    for file in
        ["Dockerfile", "examples/redpanda-envoy/README.md", "examples/redpanda-envoy/docker-compose.yaml"]
    {
        assert!(!read(file).contains(":latest"), "{file}: a version that does not change by itself");
    }
}
