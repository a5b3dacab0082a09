//! Reload: the file as it is now → parse → plan → apply, as a whole or not at all.
//!
//! Asked for by SIGHUP and by `POST /v1/config/reload`. Whatever goes wrong, what is in force stays in force.

use crate::{
    handle::{Applied, Gone, Handle},
    probe,
};
use pointsman_core::{
    config::{Config, ConfigErrors},
    limits,
};
use std::{
    fmt,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Mutex,
};
use tokio_util::sync::CancellationToken;

/// Why a configuration file gave no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The file could not be read.
    Unreadable(PathBuf, io::Error),
    /// It was read, and is wrong.
    Invalid(ConfigErrors),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => {
                write!(f, "{}: the configuration file cannot be read: {error}", path.display())
            }
            Self::Invalid(errors) => errors.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads and parses a configuration file, and looks into the files with certificates that it names.
///
/// # Errors
/// It cannot be read, or it has faults: then all of them.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let unreadable = |error| LoadError::Unreadable(path.to_owned(), error);
    let bytes = read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text")))?;
    let base_dir = path.parent().unwrap_or(Path::new(""));
    let name = path.display().to_string();
    let config = Config::parse(&text, &name, base_dir).map_err(LoadError::Invalid)?;
    match probe::tls::faults(&config, &text, &name) {
        faults if faults.is_empty() => Ok(config),
        faults => Err(LoadError::Invalid(ConfigErrors(faults))),
    }
}

/// Up to one byte more than a configuration may have: enough for its parser to refuse it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(limits::MAX_CONFIG).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What became of a reload.
#[derive(Debug)]
pub enum Outcome {
    /// The file is in force; each line names a change (none: nothing changed).
    Changed(Vec<String>),
    /// Nothing was applied: these changes need a restart.
    Refused(Vec<String>),
    /// Nothing was applied: the file is wrong or cannot be read.
    Failed(LoadError),
    /// Nothing was applied: the process is shutting down.
    Gone,
}

/// Reloads one file into one process; cheap to clone. Reloads follow each other, so that the last one read wins.
#[derive(Debug, Clone)]
pub struct Reloader {
    path: PathBuf,
    handle: Handle,
    turn: Arc<Mutex<()>>,
}

impl Reloader {
    /// For the configuration file that the process was started with.
    pub fn new(path: PathBuf, handle: Handle) -> Self {
        Self { path, handle, turn: Arc::default() }
    }

    /// Reloads once, and logs what became of it.
    pub async fn reload(&self) -> Outcome {
        let _turn = self.turn.lock().await;
        let path = self.path.clone();
        let outcome = match tokio::task::spawn_blocking(move || load(&path)).await {
            Ok(Ok(config)) => {
                config.warnings().iter().for_each(|warning| tracing::warn!("reload: {warning}"));
                self.apply(config).await
            }
            Ok(Err(error)) => Outcome::Failed(error),
            Err(_) => Outcome::Gone,
        };
        outcome.log();
        outcome
    }

    async fn apply(&self, config: Config) -> Outcome {
        match self.handle.apply(config).await {
            Ok(Applied::Changed(changes)) => Outcome::Changed(changes),
            Ok(Applied::Refused(changes)) => Outcome::Refused(changes),
            Err(Gone) => Outcome::Gone,
        }
    }

    /// Reloads at each SIGHUP until `stop`.
    ///
    /// # Errors
    /// The signal cannot be handled.
    pub async fn on_hangup(self, stop: CancellationToken) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        while let Some(Some(())) = stop.run_until_cancelled(hangup.recv()).await {
            self.reload().await;
        }
        Ok(())
    }
}

impl Outcome {
    fn log(&self) {
        match self {
            Self::Changed(changes) if changes.is_empty() => {
                tracing::info!("reload: the configuration has not changed");
            }
            Self::Changed(changes) => {
                changes.iter().for_each(|change| tracing::info!("reload: {change}"));
            }
            Self::Refused(changes) => {
                changes
                    .iter()
                    .for_each(|change| tracing::error!("reload refused, nothing applied: {change}"));
            }
            Self::Failed(LoadError::Invalid(errors)) => {
                errors.0.iter().for_each(|error| tracing::error!("reload refused, nothing applied: {error}"));
            }
            Self::Failed(error) => tracing::error!("reload refused, nothing applied: {error}"),
            Self::Gone => tracing::warn!("reload: the process is shutting down"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Request;
    use std::time::Duration;
    use tokio::{
        sync::mpsc,
        time::{interval, timeout},
    };

    const VALID: &str = "clusters: { p: { bootstrap_servers: [k:1] } }\n\
                         virtual_clusters: { main: { listen: 127.0.0.1:9092, chain: [p] } }\n";

    /// A file, its reloader, and what the reconcile loop, which accepts everything, was sent.
    fn given(name: &str, text: &str) -> (PathBuf, Reloader, mpsc::UnboundedReceiver<Config>) {
        let path = std::env::temp_dir().join(format!("pointsman-{name}-{}.yaml", std::process::id()));
        std::fs::write(&path, text).expect("a writable directory");
        let (handle, mut requests) = Handle::new();
        let (accepted, accepts) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Request::Apply(config, reply)) = requests.recv().await {
                accepted.send(*config).expect("the test listens");
                reply.send(Applied::Changed(vec!["cluster p: added".into()])).expect("somebody waits");
            }
        });
        (path.clone(), Reloader::new(path, handle), accepts)
    }

    #[tokio::test]
    async fn a_valid_file_is_applied_and_an_invalid_one_is_not() {
        let (path, reloader, mut accepted) = given("reload", VALID);

        let first = reloader.reload().await;
        std::fs::write(&path, "clusters: {}").expect("a writable directory");
        let second = reloader.reload().await;
        std::fs::remove_file(&path).expect("the file");
        let third = reloader.reload().await;

        assert!(matches!(first, Outcome::Changed(changes) if changes == ["cluster p: added"]));
        let Outcome::Failed(LoadError::Invalid(errors)) = second else { panic!("{second:?}") };
        assert_eq!(errors.0.len(), 2, "{errors}");
        assert!(matches!(third, Outcome::Failed(LoadError::Unreadable(..))), "{third:?}");
        drop(reloader);
        assert!(accepted.recv().await.is_some(), "the valid file");
        assert!(accepted.recv().await.is_none(), "nothing else reaches the loop");
    }

    #[tokio::test]
    async fn a_hangup_reloads() {
        let _survive = signal(SignalKind::hangup()).expect("a signal handler");
        let (path, reloader, mut accepted) = given("hangup", VALID);
        let stop = CancellationToken::new();
        let task = tokio::spawn(reloader.on_hangup(stop.clone()));

        let hangup = async {
            let mut again = interval(Duration::from_millis(50));
            loop {
                again.tick().await;
                let pid = std::process::id().to_string();
                let sent = std::process::Command::new("kill").args(["-HUP", &pid]).status().expect("kill");
                assert!(sent.success());
            }
        };
        let config = tokio::select! {
            config = timeout(Duration::from_secs(10), accepted.recv()) => config.expect("a reload in time"),
            () = hangup => unreachable!(),
        };

        assert_eq!(config.map(|c| c.clusters.len()), Some(1));
        stop.cancel();
        task.await.expect("no panic").expect("a signal handler");
        std::fs::remove_file(path).expect("the file");
    }
}
