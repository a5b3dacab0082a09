//! Stand-ins for the schema registries that stand beside brokers: over TLS, on the broker's own address.
//!
//! An HTTP probe asks them whether a broker is ready. One that is closed while the broker's Kafka port is open is what recovery
//! mode looks like from outside.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// What a registry is asked for.
pub(super) const PATH: &str = "/schemas/types";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\
                      Connection: close\r\n\r\n[\"JSON\",\"PROTOBUF\",\"AVRO\"]";
/// A request is much shorter.
const REQUEST: u64 = 4 << 10;
/// Nobody takes longer on the same machine.
const LIMIT: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);

/// What a registry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// It answers.
    Answers,
    /// It accepts connections, and answers nothing.
    Silent,
    /// Nobody listens.
    Closed,
}

/// A running registry. Dropping it ends it.
pub(super) struct Registry {
    mood: watch::Sender<Mood>,
    _task: JoinSet<()>,
}

impl Registry {
    /// Answers at this address, which shows these certificates (a key and its chain, as PEM).
    pub(super) async fn start(at: SocketAddr, keystore: &str) -> Result<Self, String> {
        let failed = |e: &dyn ToString| format!("the registry at {at}: {}", e.to_string());
        let acceptor = acceptor(keystore).map_err(|e| failed(&e))?;
        let listener = TcpListener::bind(at).await.map_err(|e| failed(&e))?;
        let mood = watch::Sender::new(Mood::Answers);
        let mut task = JoinSet::new();
        task.spawn(serve(at, listener, acceptor, mood.subscribe()));
        Ok(Self { mood, _task: task })
    }

    /// From now on it does this.
    pub(super) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

fn acceptor(keystore: &str) -> Result<TlsAcceptor, String> {
    let chain = CertificateDer::pem_slice_iter(keystore.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(keystore.as_bytes()).map_err(|e| e.to_string())?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain.unwrap_or_default(), key));
    config.map(|config| Arc::new(config).into()).map_err(|e| e.to_string())
}

async fn serve(at: SocketAddr, first: TcpListener, tls: TlsAcceptor, mut moods: watch::Receiver<Mood>) {
    let mut listener = Some(first);
    let mut answers = JoinSet::new();
    loop {
        let mood = *moods.borrow_and_update();
        match mood {
            Mood::Closed => {
                listener = None;
                answers.abort_all();
            }
            Mood::Answers | Mood::Silent if listener.is_none() => listener = TcpListener::bind(at).await.ok(),
            Mood::Answers | Mood::Silent => {}
        }
        tokio::select! {
            changed = moods.changed() => if changed.is_err() { return },
            Some(stream) = accept(listener.as_ref()), if mood == Mood::Answers => {
                answers.spawn(timeout(LIMIT, answer(stream, tls.clone())));
            }
            Some(_) = answers.join_next() => {}
        }
    }
}

/// The next client; `None`: nobody can come for the moment.
async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    let Some(listener) = listener else {
        sleep(AGAIN).await;
        return None;
    };
    listener.accept().await.ok().map(|(stream, _)| stream)
}

async fn answer(stream: TcpStream, tls: TlsAcceptor) -> io::Result<()> {
    let mut stream = tls.accept(stream).await?;
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = (&mut stream).take(REQUEST);
        if part.read_buf(&mut request).await? == 0 || request.len() as u64 > REQUEST {
            return Ok(());
        }
    }
    stream.write_all(ANSWER.as_bytes()).await?;
    stream.shutdown().await
}
