//! The state in one local file.

use super::{State, StateError, StateStore};
use serde::Deserialize;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};
use uuid::Uuid;

const FORMAT: u64 = 1;
/// What stands before the state in the file; the checksum covers the bytes between it and the last brace.
const BODY: &str = "\"state\":";

/// A file that is replaced atomically.
#[derive(Debug, Clone)]
pub struct FileStore {
    path: PathBuf,
}

#[derive(Deserialize)]
struct Envelope {
    format: u64,
    checksum: String,
}

impl FileStore {
    /// The file at `path`; it need not exist, its directory must.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn parse(&self, bytes: &[u8]) -> Result<State, StateError> {
        let damaged = |what: String| StateError::Damaged(self.path.clone(), what);
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text".into()))?;
        let envelope: Envelope = serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
        if envelope.format > FORMAT {
            return Err(StateError::Newer(self.path.clone(), envelope.format));
        }
        let body = text.split_once(BODY).and_then(|(_, rest)| rest.trim_end().strip_suffix('}'));
        let body = body.ok_or_else(|| damaged("it has no state".into()))?;
        if envelope.checksum != checksum(body) {
            return Err(damaged("its checksum does not match its content".into()));
        }
        serde_json::from_str(body).map_err(|e| damaged(e.to_string()))
    }
}

impl StateStore for FileStore {
    fn load(&self) -> Result<Option<State>, StateError> {
        match fs::read(&self.path) {
            Ok(bytes) => self.parse(&bytes).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StateError::Unreadable(self.path.clone(), e)),
        }
    }

    fn store(&self, state: &State) -> io::Result<()> {
        let body = serde_json::to_string_pretty(state)?;
        let text = format!("{{\"format\":{FORMAT},\"checksum\":\"{}\",{BODY}{body}}}\n", checksum(&body));
        let directory = self.path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let beside = directory.join(name);
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        File::open(directory)?.sync_all()
    }
}

/// SHA-1, shortened to the form of a UUID: against damage, not against forgery.
fn checksum(body: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, body.as_bytes()).simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::VirtualState;
    use pointsman_core::{
        failover::{Ended, Reason, Saved},
        status::{DrainStatus, SwitchStatus},
    };

    fn store(name: &str) -> FileStore {
        let directory = std::env::temp_dir().join(format!("pointsman-state-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        FileStore::new(directory.join("state.json"))
    }

    fn state() -> State {
        let switch = SwitchStatus {
            generation: 7,
            at_ms: 1,
            from: Some("a".into()),
            to: Some("b".into()),
            cause: Some(Reason::QuorumLost),
            reason: "quorum lost".into(),
            decided_in_ms: Some(12.3),
            stranded: None,
            drain: Some(DrainStatus { took_ms: 12.0, ended: Ended::Complete }),
        };
        let saved = Saved {
            active: Some("b".into()),
            since: 7,
            epoch_base: 1024,
            term: 1,
            pinned: false,
            forced: false,
            trailing: true,
        };
        let main = VirtualState {
            failover: saved,
            switches_total: 1,
            switches_by_cause: [(Reason::QuorumLost, 1)].into(),
            switches: vec![switch],
            ..Default::default()
        };
        State { generation: 1007, virtual_clusters: [("main".into(), main)].into(), ..Default::default() }
    }

    #[test]
    fn a_missing_file_is_a_first_start() {
        assert_eq!(store("missing").load().unwrap(), None);
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let store = store("round");
        store.store(&State::default()).unwrap();
        store.store(&state()).unwrap();
        assert_eq!(store.load().unwrap(), Some(state()));
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused_with_what_to_do() {
        let store = store("damage");
        store.store(&state()).unwrap();
        let good = fs::read(&store.path).unwrap();
        for cut in 0..good.len() - 2 {
            assert!(store.parse(&good[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() - 1 {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 7);
            assert!(store.parse(&bad).map_or(true, |s| s == state()), "flipped a bit of byte {at}");
        }
        fs::write(&store.path, &good[..good.len() / 2]).unwrap();
        let message = store.load().unwrap_err().to_string();
        assert!(message.contains("damaged") && message.contains("move it away"), "{message}");
    }

    #[test]
    fn a_state_from_before_terms_is_of_the_first_one() {
        let saved: Saved = serde_json::from_str(r#"{"active":"b","since":7,"epoch_base":1024}"#).unwrap();
        assert_eq!(saved, Saved { active: Some("b".into()), since: 7, epoch_base: 1024, ..Saved::default() });
    }

    #[test]
    fn a_newer_format_is_not_read() {
        let store = store("newer");
        let newer = br#"{"format":2,"checksum":"","state":{}}"#;
        assert!(matches!(store.parse(newer), Err(StateError::Newer(_, 2))));
    }

    #[test]
    fn a_failed_write_leaves_the_old_state() {
        let store = store("failing");
        store.store(&state()).unwrap();
        let gone = FileStore::new(store.path.parent().unwrap().join("no-such-directory/state.json"));
        assert!(gone.store(&State::default()).is_err());
        assert_eq!(store.load().unwrap(), Some(state()));
    }
}
