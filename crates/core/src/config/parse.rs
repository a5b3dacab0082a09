//! From the text of a configuration file to a [`Config`], or to all of its faults.
//!
//! Pure: no file is opened here, paths are only joined. Parts that are wrong are replaced by their defaults while the rest
//! is read, so that one run reports everything; a value with a replaced part is never returned.

use super::{
    AdminConfig, Config, ConfigErrors, StateConfig,
    clusters::read_clusters,
    error::{Mark, Problems},
    read::{Field, Keys, Table},
    virtual_clusters::read_virtual_clusters,
    yaml,
};
use crate::limits::MAX_CONFIG;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

const ROOT: Keys = Keys { known: &["admin", "state", "clusters", "virtual_clusters"], later: &[] };
const ADMIN: Keys = Keys { known: &["listen"], later: &["users_file", "tls"] };
const STATE: Keys = Keys { known: &["file"], later: &["etcd"] };
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
const DEFAULT_STATE: &str = "pointsman-state.json";

impl Config {
    /// Reads a configuration. `file_name` is only named in errors; relative paths in the file are joined to `base_dir`.
    ///
    /// # Errors
    /// Every fault of the file, in its order.
    pub fn parse(text: &str, file_name: &str, base_dir: &Path) -> Result<Config, ConfigErrors> {
        let mut problems = Problems::new(file_name);
        let config = read(text, base_dir, &mut problems);
        problems.finish(config)
    }
}

/// A socket that the process will bind, and where the file says so.
pub(super) struct Listener {
    pub(super) path: String,
    pub(super) mark: Mark,
    pub(super) bind: IpAddr,
    pub(super) ports: (u16, u16),
}

fn read(text: &str, base_dir: &Path, problems: &mut Problems) -> Option<Config> {
    if text.len() > MAX_CONFIG {
        let problem = format!("expected a file of at most {MAX_CONFIG} bytes, found {}", text.len());
        problems.add(Mark::START, "", problem, "check that this is the right file");
        return None;
    }
    let node = match yaml::parse(text) {
        Ok(node) => node,
        Err(malformed) => {
            problems.add(malformed.mark, "", malformed.problem, malformed.remedy);
            return None;
        }
    };
    let Some(node) = node.filter(|node| !node.is_null()) else {
        problems.add(Mark::START, "", "the file is empty", "start with `clusters:` and `virtual_clusters:`");
        return None;
    };
    let root = Field::root(&node).table(
        &ROOT,
        "a mapping of settings",
        "start with `clusters:` and `virtual_clusters:`",
        problems,
    )?;
    Some(read_root(&root, base_dir, problems))
}

fn read_root(root: &Table<'_>, base_dir: &Path, problems: &mut Problems) -> Config {
    let mut listeners = Vec::new();
    let admin = read_admin(root, &mut listeners, problems);
    let state = read_state(root, base_dir, problems);
    let clusters = read_clusters(root, base_dir, &mut listeners, problems);
    let virtual_clusters = read_virtual_clusters(root, &clusters, &mut listeners, problems);
    check_overlaps(&listeners, problems);
    Config { admin, state, clusters, virtual_clusters }
}

fn read_admin(root: &Table<'_>, listeners: &mut Vec<Listener>, problems: &mut Problems) -> AdminConfig {
    let table = root.get("admin").and_then(|field| {
        field.table(&ADMIN, "a mapping", "write admin: { listen: 127.0.0.1:9901 }", problems)
    });
    let field = table.as_ref().and_then(|table| table.get("listen"));
    let listen = match field {
        Some(field) => read_admin_listen(field, problems),
        None => Some(DEFAULT_ADMIN),
    };
    if let Some(listen) = listen {
        listeners.push(Listener {
            path: "admin.listen".into(),
            mark: field.map_or(Mark::START, |field| field.node.mark),
            bind: listen.ip(),
            ports: (listen.port(), listen.port()),
        });
    }
    AdminConfig { listen: listen.unwrap_or(DEFAULT_ADMIN) }
}

fn read_admin_listen(field: &Field<'_>, problems: &mut Problems) -> Option<SocketAddr> {
    let expected = "a loopback address with a port";
    let text = field.text(expected, "write 127.0.0.1:9901", problems)?;
    let address = text.strip_prefix("localhost:").map_or(text.into(), |port| format!("127.0.0.1:{port}"));
    match address.parse::<SocketAddr>() {
        Ok(listen) if listen.port() != 0 && listen.ip().is_loopback() => Some(listen),
        Ok(listen) if !listen.ip().is_loopback() => {
            let remedy = format!(
                "write 127.0.0.1:{}: the admin API has no users yet and must not be reachable from outside",
                listen.port()
            );
            field.expected(expected, remedy, problems);
            None
        }
        _ => {
            field.expected(expected, "write 127.0.0.1:9901", problems);
            None
        }
    }
}

fn read_state(root: &Table<'_>, base_dir: &Path, problems: &mut Problems) -> StateConfig {
    let remedy = "write state: { file: pointsman-state.json }";
    let table = root.get("state").and_then(|field| field.table(&STATE, "a mapping", remedy, problems));
    let file = table
        .as_ref()
        .and_then(|table| table.get("file"))
        .and_then(|field| field.text("the path of a file", remedy, problems));
    StateConfig::File(join_path(base_dir, file.unwrap_or(DEFAULT_STATE)))
}

pub(super) fn join_path(base_dir: &Path, path: &str) -> PathBuf {
    base_dir.join(path)
}

/// No two listeners may want the same port on the same address; a wildcard is every address.
fn check_overlaps(listeners: &[Listener], problems: &mut Problems) {
    for (i, later) in listeners.iter().enumerate() {
        for earlier in &listeners[..i] {
            let same_address =
                later.bind == earlier.bind || later.bind.is_unspecified() || earlier.bind.is_unspecified();
            let (first, last) = (later.ports.0.max(earlier.ports.0), later.ports.1.min(earlier.ports.1));
            if same_address && first <= last {
                let shared = if first == last {
                    format!("port {first} is")
                } else {
                    format!("ports {first}-{last} are")
                };
                let owner = if earlier.mark == Mark::START && earlier.path == "admin.listen" {
                    "the default of admin.listen".into()
                } else {
                    format!("{} in line {}", earlier.path, earlier.mark.line)
                };
                let problem = format!("{shared} already used by {owner}");
                problems.add(later.mark, &later.path, problem, "give each listener ports of its own");
            }
        }
    }
}
