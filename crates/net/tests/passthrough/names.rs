//! One port, and slots by server name: real TLS end to end, and clients that are up to no good.

use crate::world::{End, PRIMARY, World};
use pointsman_core::{
    config::{Passthrough, SniNames},
    metrics::CloseReason,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(30);

fn by_name() -> Passthrough {
    let names = SniNames { host: "b{slot}.kafka.test".into(), bootstrap: "kafka.test".into() };
    Passthrough { sni: Some(names), ..Passthrough::default() }
}

/// A certificate for all names, and who trusts it.
struct Keys {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Keys {
    fn new() -> Self {
        let names = ["kafka.test", "b0.kafka.test", "b1.kafka.test", "b2.kafka.test"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names.to_vec()).expect("a certificate");
        let certificate = CertificateDer::from(made.cert.der().to_vec());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(ring.clone()).with_safe_default_protocol_versions();
        let server = server.expect("versions").with_no_client_auth();
        let mut server = server.with_single_cert(vec![certificate.clone()], key).expect("they match");
        server.alpn_protocols = vec![b"kafka".to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a root");
        let client = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions();
        let mut client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = vec![b"kafka".to_vec()];
        Self { server: server.into(), client: client.into() }
    }
}

/// A broker with TLS that says which one it is, and ends.
fn broker(listener: TcpListener, keys: &Keys, number: usize) {
    let listener = listener.into_std().expect("a listener");
    listener.set_nonblocking(false).expect("it is open");
    let config = keys.server.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(PATIENCE)).expect("it is open");
            let session = ServerConnection::new(config.clone()).expect("a session");
            let mut stream = StreamOwned::new(session, stream);
            // A client that goes away is a result of its own.
            let mut asked = [0; 4];
            if stream.read_exact(&mut asked).is_ok() {
                let said = format!("{} broker {number}", String::from_utf8_lossy(&asked));
                let _ = stream.write_all(said.as_bytes()).and_then(|()| stream.flush());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
}

/// What the broker that answers to a name says, and the protocol that both agreed on.
fn ask(proxy: SocketAddr, keys: &Keys, name: &str) -> std::io::Result<(String, Option<Vec<u8>>)> {
    let stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(keys.client.clone(), name).expect("a session");
    let mut stream = StreamOwned::new(session, stream);
    stream.write_all(b"who?")?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok((said, stream.conn.alpn_protocol().map(<[u8]>::to_vec)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_not_touched_and_its_server_name_says_which_slot_is_meant() {
    let (mut world, keys) = (World::new([3, 1], by_name()).await, Keys::new());
    for (number, listener) in world.brokers[PRIMARY].drain(..).enumerate() {
        broker(listener, &keys, number);
    }
    let proxy = world.proxy[0];

    let told = tokio::task::spawn_blocking(move || {
        let slots = ["b0.kafka.test", "b1.kafka.test", "B2.kafka.test"].map(|name| ask(proxy, &keys, name));
        let bootstrap = [(); 3].map(|()| ask(proxy, &keys, "kafka.test"));
        (slots, bootstrap)
    });
    let (slots, bootstrap) = told.await.expect("it ends");

    for (number, answer) in slots.into_iter().enumerate() {
        let (said, protocol) = answer.unwrap_or_else(|e| panic!("broker {number}: {e}"));
        assert_eq!((said, protocol.as_deref()), (format!("who? broker {number}"), Some(&b"kafka"[..])));
    }
    let mut said: Vec<String> = bootstrap.into_iter().map(|a| a.expect("an answer").0).collect();
    said.sort();
    assert_eq!(said, ["who? broker 0", "who? broker 1", "who? broker 2"], "the bootstrap name is spread");
}

/// A ClientHello for a host, as rustls writes it.
fn hello(name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut session = ClientConnection::new(Keys::new().client, name).expect("a session");
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).expect("a hello");
    bytes
}

#[tokio::test]
async fn a_hello_in_single_bytes_arrives_whole() {
    let world = World::new([2, 1], by_name()).await;
    let mut client = world.client(0).await;
    let hello = hello("b1.kafka.test");
    client.0.set_nodelay(true).expect("it is open");

    for byte in &hello {
        client.send(&[*byte]).await;
    }

    let mut broker = world.broker(PRIMARY, 1).await;
    assert_eq!(broker.take(hello.len()).await, hello);
    client.greet(&mut broker).await;
}

#[tokio::test]
async fn what_is_no_hello_or_names_no_slot_is_closed_and_counted_by_reason() {
    let world = World::new([2, 1], by_name()).await;
    let cases: [(&[u8], CloseReason); 6] = [
        (b"GET / HTTP/1.1\r\n\r\n", CloseReason::NotTls),
        (&[0, 0, 0, 20, 0, 18, 0, 3], CloseReason::NotTls),
        (&hello("b7.kafka.test"), CloseReason::UnknownHost),
        (&hello("other.test"), CloseReason::UnknownHost),
        (&hello("127.0.0.1"), CloseReason::NoServerName),
        (&[22, 3, 1, 0, 4, 1, 0xff, 0, 0], CloseReason::BadHello),
    ];
    let mut counts = std::collections::BTreeMap::new();
    for (bytes, reason) in cases {
        let mut client = world.client(0).await;
        client.send(bytes).await;
        assert_eq!(client.rest().await, (Vec::new(), End::Reset), "{}", reason.word());
        let count = counts.entry(reason.word()).or_insert(0);
        *count += 1;
        world.wait_closed(reason, *count).await;
    }
    assert!(world.nobody_comes(PRIMARY));
}

#[tokio::test]
async fn a_hello_that_never_completes_is_closed_within_its_deadline_and_holds_up_no_switch() {
    let mut world = World::new([2, 1], by_name()).await;
    let (mut slow, mut silent) = (world.client(0).await, world.client(0).await);
    slow.send(&hello("b1.kafka.test")[..40]).await;

    world.fence(false);
    world.fence_passes().await;

    assert_eq!((slow.rest().await.1, silent.rest().await.1), (End::Reset, End::Reset));
    world.wait_closed(CloseReason::HelloTimeout, 2).await;
}
