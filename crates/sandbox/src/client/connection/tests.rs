//! Connections against a peer that does what a test says.

use pointsman_wire::{Value, encode_response, request_header};
use tokio::net::TcpListener;

use super::*;

const METADATA: i16 = 3;
const VERSION: i16 = 8;

/// A peer that has answered ApiVersions, and what it receives from then on.
struct Scripted<S = TcpStream> {
    stream: S,
}

impl Scripted {
    /// A connection and its peer.
    async fn pair(config: &ClientConfig) -> (Connection, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let accept = async {
            let mut peer = Self { stream: listener.accept().await.unwrap().0 };
            peer.tell_versions().await;
            peer
        };
        let (connection, peer) = tokio::join!(Connection::open(&address, config), accept);
        (connection.unwrap(), peer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Scripted<S> {
    async fn tell_versions(&mut self) {
        let correlation = self.receive().await;
        let api = Struct::new().with("ApiKey", METADATA).with("MinVersion", 0).with("MaxVersion", VERSION);
        let versions = Struct::new().with("ApiKeys", vec![api]);
        self.send(&encode_response(API_VERSIONS, API_VERSIONS_MAX, correlation, &versions).unwrap()).await;
    }

    /// The correlation id of the next request.
    async fn receive(&mut self) -> i32 {
        let size = self.stream.read_u32().await.unwrap();
        let mut frame = vec![0; size as usize];
        self.stream.read_exact(&mut frame).await.unwrap();
        request_header(&frame).unwrap().correlation_id
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn answer(&mut self, correlation: i32, cluster: &str) {
        let body = Struct::new().with("ClusterId", cluster);
        self.send(&encode_response(METADATA, VERSION, correlation, &body).unwrap()).await;
    }
}

fn config() -> ClientConfig {
    ClientConfig::new(["127.0.0.1:1"])
}

fn body() -> Struct {
    Struct::new().with("Topics", Value::Array(Vec::new()))
}

async fn asked(config: &ClientConfig) -> (Connection, Scripted, Answer, i32) {
    let (connection, mut peer) = Scripted::pair(config).await;
    let answer = connection.submit(METADATA, VERSION, &body()).unwrap();
    let correlation = peer.receive().await;
    (connection, peer, answer, correlation)
}

#[tokio::test]
async fn requests_are_pipelined_and_answers_find_who_asked() {
    let (connection, mut peer) = Scripted::pair(&config()).await;
    let answers: Vec<_> = (0..5).map(|_| connection.submit(METADATA, VERSION, &body()).unwrap()).collect();
    let mut correlations = Vec::new();
    for _ in 0..5 {
        correlations.push(peer.receive().await);
    }
    for (place, correlation) in correlations.into_iter().enumerate() {
        peer.answer(correlation, &place.to_string()).await;
    }
    for (place, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.get().await.unwrap().str("ClusterId"), place.to_string());
    }
    assert!(connection.is_open());
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_any_more_is_passed_over() {
    let (connection, mut peer, answer, first) = asked(&config()).await;
    drop(answer);
    let second = connection.submit(METADATA, VERSION, &body()).unwrap();
    let correlation = peer.receive().await;
    peer.answer(first, "first").await;
    peer.answer(correlation, "second").await;
    assert_eq!(second.get().await.unwrap().str("ClusterId"), "second");
}

#[tokio::test]
async fn a_peer_that_closes_fails_what_waits_and_what_comes() {
    let (connection, peer, answer, _) = asked(&config()).await;
    drop(peer);
    assert!(matches!(answer.get().await, Err(ClientError::Closed { .. })));
    assert!(!connection.is_open());
    assert!(connection.call(METADATA, VERSION, &body()).await.is_err());
}

#[tokio::test]
async fn a_peer_that_does_not_answer_is_given_up() {
    let config = ClientConfig { request_timeout: Duration::from_millis(20), ..config() };
    let (connection, _peer, answer, _) = asked(&config).await;
    let error = answer.get().await.unwrap_err();
    assert_eq!(error, ClientError::TimedOut { address: connection.address().to_owned(), api: "Metadata" });
    assert!(!connection.is_open());
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_given_up() {
    for bytes in [&[0x7f, 0xff, 0xff, 0xff][..], &[0, 0, 0, 4, 0x55, 0, 0, 0], &[0xff; 4]] {
        let (connection, mut peer, answer, _) = asked(&config()).await;
        peer.send(bytes).await;
        assert!(matches!(answer.get().await, Err(ClientError::Protocol { .. })), "{bytes:?}");
        assert!(!connection.is_open());
    }
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused() {
    let config = ClientConfig { max_in_flight: 2, ..config() };
    let (connection, _peer) = Scripted::pair(&config).await;
    let mut waiting = Vec::new();
    let refused = loop {
        match connection.submit(METADATA, VERSION, &body()) {
            Ok(answer) => waiting.push(answer),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10);
    };
    assert!(matches!(refused, ClientError::Busy { .. }));
}

#[tokio::test]
async fn dropping_the_connection_closes_the_socket() {
    let (connection, mut peer, answer, _) = asked(&config()).await;
    drop(connection);
    let read = timeout(Duration::from_secs(10), peer.stream.read_u8()).await;
    assert!(read.expect("the socket closes").is_err());
    assert!(matches!(answer.get().await, Err(ClientError::Closed { .. })));
}

#[tokio::test]
async fn an_api_that_the_broker_does_not_have_is_not_asked_for() {
    let (connection, _peer) = Scripted::pair(&config()).await;
    assert_eq!(connection.version(METADATA, i16::MAX), Ok(VERSION));
    assert_eq!(connection.version(METADATA, 5), Ok(5));
    assert!(matches!(connection.version(0, i16::MAX), Err(ClientError::Unsupported { api: "Produce", .. })));
}

/// A CA, and a broker with a certificate of it for this name.
fn broker_named(name: &str) -> (String, tokio_rustls::TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.unwrap().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
    (made.cert.pem(), Arc::new(config.unwrap()).into())
}

#[tokio::test]
async fn a_broker_is_asked_over_tls_if_its_certificate_has_its_name() {
    for (name, fits) in [("localhost", true), ("kafka.example.com", false)] {
        let (ca, acceptor) = broker_named(name);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let config = config().tls(Some(crate::client::Tls::trusting(&ca).unwrap()));
        let accept = async {
            let stream = acceptor.accept(listener.accept().await.unwrap().0).await.ok()?;
            let mut peer = Scripted { stream };
            peer.tell_versions().await;
            Some(peer)
        };
        let (connection, peer) = tokio::join!(Connection::open(&address, &config), accept);

        if !fits {
            let error = connection.unwrap_err().to_string();
            assert!(error.contains("not valid for name"), "{error}");
            continue;
        }
        let (connection, mut peer) = (connection.unwrap(), peer.unwrap());
        let answers: Vec<_> =
            (0..3).map(|_| connection.submit(METADATA, VERSION, &body()).unwrap()).collect();
        for answer in answers {
            let correlation = peer.receive().await;
            peer.answer(correlation, "encrypted").await;
            assert_eq!(answer.get().await.unwrap().str("ClusterId"), "encrypted");
        }
        drop(peer);
        assert!(connection.call(METADATA, VERSION, &body()).await.is_err());
    }
}

#[test]
fn a_client_must_be_told_whom_to_trust() {
    let error = crate::client::Tls::trusting("").unwrap_err();
    assert_eq!(error, "expected a certificate as PEM, found none");
}
