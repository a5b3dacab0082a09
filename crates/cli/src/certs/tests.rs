//! What is made is what TLS accepts, and nothing else; what is written is what may be.

use super::*;
use pointsman_testkit::skip::skipped;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
    time_provider::TimeProvider,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A directory that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("pointsman-certs-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn args(out: &Path) -> CertsArgs {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    CertsArgs {
        out: out.to_owned(),
        brokers: words(&["kafka-a0.example.com", "127.0.0.1"]),
        proxies: words(&["kafka.example.com", "*.slots.example.com", "::1"]),
        clients: words(&["billing"]),
        force: false,
    }
}

fn make(args: &CertsArgs) -> Result<(), String> {
    files(args).and_then(|files| output::write(&args.out, &files, args.force))
}

/// A clock that is so many days ahead.
#[derive(Debug)]
struct Ahead(u64);

impl TimeProvider for Ahead {
    fn current_time(&self) -> Option<UnixTime> {
        let now = UnixTime::now().as_secs() + self.0 * 86_400;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
    }
}

fn roots(pem: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.expect("a certificate")).expect("a CA");
    }
    Arc::new(roots)
}

fn chain(keystore: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let certificates = CertificateDer::pem_slice_iter(keystore.as_bytes()).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(keystore.as_bytes()).expect("a key");
    (certificates.expect("certificates"), key)
}

fn server(scratch: &Scratch, broker: &str, asks_clients: bool) -> ServerConnection {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = if asks_clients {
        let roots = roots(&scratch.read("ca.pem"));
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
        builder.with_client_cert_verifier(verifier.expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let (certificates, key) = chain(&scratch.read(&format!("{broker}.keystore.pem")));
    let config = builder.with_single_cert(certificates, key).expect("the key fits");
    ServerConnection::new(Arc::new(config)).expect("a server")
}

fn client(ca: &str, name: &str, own: Option<&str>, days: u64) -> ClientConnection {
    let builder = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(Ahead(days)));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = builder.with_root_certificates(roots(ca));
    let config = match own.map(chain) {
        Some((certificates, key)) => builder.with_client_auth_cert(certificates, key).expect("the key fits"),
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}

/// Carries bytes to and fro until both sides are done, or one refuses.
fn handshake(mut client: ClientConnection, mut server: ServerConnection) -> Result<(), String> {
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("memory");
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).expect("memory");
            server.process_new_packets().map_err(|e| format!("broker: {e}"))?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("memory");
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("memory");
            client.process_new_packets().map_err(|e| format!("client: {e}"))?;
        }
        if !client.is_handshaking() && !server.is_handshaking() && !client.wants_write() {
            return Ok(());
        }
    }
    panic!("no end of the handshake");
}

#[test]
fn a_client_with_the_ca_accepts_a_broker_by_its_own_name_and_by_each_of_the_proxys() {
    let scratch = Scratch::new();
    make(&args(&scratch.0)).expect("certificates");
    let ca = scratch.read("ca.pem");
    for (broker, name) in [
        ("kafka-a0.example.com", "kafka-a0.example.com"),
        ("kafka-a0.example.com", "kafka.example.com"),
        ("kafka-a0.example.com", "b3.slots.example.com"),
        ("kafka-a0.example.com", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "kafka.example.com"),
    ] {
        let outcome = handshake(client(&ca, name, None, 0), server(&scratch, broker, false));
        assert_eq!(outcome, Ok(()), "{broker} as {name}");
    }
}

#[test]
fn a_client_refuses_without_the_ca_under_another_name_and_after_30_days() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    make(&args(&scratch.0)).expect("certificates");
    make(&args(&other.0)).expect("certificates");
    let (ca, foreign) = (scratch.read("ca.pem"), other.read("ca.pem"));
    let name = "kafka.example.com";
    let outcome = |client| handshake(client, server(&scratch, "kafka-a0.example.com", false));
    let refused = |outcome: Result<(), String>, why: &str| {
        let error = outcome.expect_err(why);
        assert!(error.contains(why), "expected {why}, found {error}");
    };
    refused(outcome(client(&foreign, name, None, 0)), "UnknownIssuer");
    refused(outcome(client(&ca, "kafka-a1.example.com", None, 0)), "not valid for name");
    assert_eq!(outcome(client(&ca, name, None, 29)), Ok(()));
    refused(outcome(client(&ca, name, None, 31)), "expired");
}

#[test]
fn a_broker_that_asks_for_certificates_takes_those_of_clients_and_brokers_only() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    make(&args(&scratch.0)).expect("certificates");
    make(&args(&other.0)).expect("certificates");
    let ca = scratch.read("ca.pem");
    let outcome = |own: Option<&str>| {
        let client = client(&ca, "kafka.example.com", own, 0);
        handshake(client, server(&scratch, "kafka-a0.example.com", true))
    };
    assert_eq!(outcome(Some(&scratch.read("billing.keystore.pem"))), Ok(()));
    assert_eq!(outcome(Some(&scratch.read("127.0.0.1.keystore.pem"))), Ok(()));
    assert!(outcome(None).is_err());
    assert!(outcome(Some(&other.read("billing.keystore.pem"))).is_err());
    let as_server = handshake(client(&ca, "billing", None, 0), server(&scratch, "billing", false));
    assert!(as_server.is_err(), "a client's certificate is no broker's");
}

#[test]
fn the_certificates_say_what_they_are_for_and_openssl_verifies_them() {
    if Command::new("openssl").arg("version").output().is_err() {
        return skipped("the_certificates_say_what_they_are_for", "there is no openssl");
    }
    let scratch = Scratch::new();
    make(&args(&scratch.0)).expect("certificates");
    let openssl = |words: &[&str]| {
        let output = Command::new("openssl").args(words).current_dir(&scratch.0).output().expect("openssl");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    for file in ["ca.pem", "kafka-a0.example.com.pem", "billing.pem"] {
        let text = openssl(&["x509", "-in", file, "-noout", "-subject", "-issuer"]);
        assert_eq!(text.matches("for trials only, not for production").count(), 2, "{file}: {text}");
    }
    let verified = openssl(&["verify", "-CAfile", "ca.pem", "kafka-a0.example.com.pem", "billing.pem"]);
    assert_eq!(verified.matches(": OK").count(), 2, "{verified}");
    let text = openssl(&["x509", "-in", "kafka-a0.example.com.pem", "-noout", "-text"]);
    for words in [
        "DNS:kafka-a0.example.com, DNS:kafka.example.com, DNS:*.slots.example.com, IP Address:0:0:0:0:0:0:0:1",
        "TLS Web Server Authentication, TLS Web Client Authentication",
    ] {
        assert!(text.contains(words), "expected {words:?} in {text}");
    }
    let ends = |seconds: u64| {
        let seconds = seconds.to_string();
        openssl(&["x509", "-in", "kafka-a0.example.com.pem", "-noout", "-checkend", &seconds])
    };
    assert!(ends(29 * 86_400).contains("will not expire"));
    assert!(ends(31 * 86_400).contains("will expire"));
}

#[test]
fn keys_are_for_their_owner_only_and_the_cas_is_nowhere() {
    let scratch = Scratch::new();
    make(&args(&scratch.0)).expect("certificates");
    let mut secrets = 0;
    for entry in fs::read_dir(&scratch.0).expect("the directory") {
        let path = entry.expect("a file").path();
        let secret = fs::read_to_string(&path).expect("text").contains("PRIVATE KEY");
        let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode & 0o077 == 0, secret, "{}: {mode:o}", path.display());
        secrets += usize::from(secret);
    }
    assert_eq!(secrets, 6, "a key and a keystore for each of three, and none of the CA");
    assert!(
        scratch.read("127.0.0.1.key").starts_with("-----BEGIN PRIVATE KEY-----"),
        "PKCS #8, as Kafka wants it"
    );
}

#[test]
fn nothing_is_overwritten_unless_asked_for() {
    let scratch = Scratch::new();
    let mut args = args(&scratch.0);
    make(&args).expect("certificates");
    let before = scratch.read("billing.key");

    let error = make(&args).expect_err("files are there");
    assert!(error.contains("ca.pem and 9 more exists already: nothing was written; "), "{error}");
    assert_eq!(scratch.read("billing.key"), before);

    fs::remove_file(scratch.0.join("ca.pem")).expect("the file");
    make(&args).expect_err("the others are there");
    assert!(!scratch.0.join("ca.pem").exists(), "all or nothing");

    args.force = true;
    let elsewhere = scratch.0.join("elsewhere");
    fs::write(&elsewhere, "mine").expect("a file");
    std::os::unix::fs::symlink(&elsewhere, scratch.0.join("ca.pem")).expect("a link");
    make(&args).expect("certificates");
    assert_ne!(scratch.read("billing.key"), before);
    assert_eq!(scratch.read("elsewhere"), "mine", "a link is replaced, not followed");
    assert!(fs::read_dir(&scratch.0).expect("the directory").count() == 11, "nothing is left over");
}

#[test]
fn bad_names_are_refused_before_anything_is_written() {
    let scratch = Scratch::new();
    let case = |change: fn(&mut CertsArgs), expected: &str| {
        let mut args = args(&scratch.0);
        change(&mut args);
        let error = make(&args).expect_err(expected);
        assert!(error.contains(expected), "expected {expected}, found {error}");
        assert!(!scratch.0.exists());
    };
    case(|a| a.brokers.push("kafka:9092".into()), "without a port, found \"kafka:9092\"");
    case(|a| a.brokers.push("[::1]".into()), "found \"[::1]\"");
    case(|a| a.proxies.push("*".into()), "found \"*\"");
    case(|a| a.proxies.push("ä.example.com".into()), "found \"ä");
    case(|a| a.clients.push(String::new()), "expected --client as a name");
    case(|a| a.clients.push("127.0.0.1".into()), "name each once");
    case(|a| a.brokers.push("../kafka".into()), "found \"../kafka\"");
}

#[test]
fn a_clients_name_cannot_leave_the_directory() {
    let scratch = Scratch::new();
    let mut args = args(&scratch.0);
    args.clients = vec!["../team a".into()];
    make(&args).expect("certificates");
    assert!(scratch.read(".._team_a.key").contains("PRIVATE KEY"));
}
