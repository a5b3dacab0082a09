//! Probes over TLS, with CAs made for each test: what is well, and what is said of what is not.

use super::*;
use crate::{kafka::LastGood, probe::simple, reload};
use pointsman_core::config::Address;
use rcgen::{CertificateParams, Issuer, KeyPair};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, server::WebPkiClientVerifier},
};

const DEADLINE: Duration = Duration::from_secs(30);

/// A CA and a directory that has its certificate and what it has issued, removed at the end.
struct Ca {
    dir: PathBuf,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Drop for Ca {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.dir));
    }
}

impl Ca {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("pointsman-probe-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("CA {number}"));
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let ca = Self { dir, pem, issuer: Issuer::new(params, key) };
        ca.write("ca.pem", &ca.pem);
        ca
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// A certificate for this name, and its key, as PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }

    /// Trusts this CA, and has no certificate.
    fn trusting(&self) -> ProbeTls {
        ProbeTls { ca_file: self.dir.join("ca.pem"), identity: None, server_name: None }
    }

    fn with_identity(&self, name: &str) -> ProbeTls {
        let (certificate, key) = self.issue(name);
        let identity = Some((self.write("own.pem", &certificate), self.write("own.key", &key)));
        ProbeTls { identity, ..self.trusting() }
    }

    /// A registry with a certificate for this name, which may want to see one of its clients.
    async fn registry(&self, name: &str, asks_clients: bool) -> Registry {
        let (chain, key) = self.issue(name);
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let builder = if asks_clients {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM")).expect("a CA");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        Registry::start(Some(Arc::new(builder.with_single_cert(chain, key).expect("it fits")).into())).await
    }
}

/// Answers 200 to every GET.
struct Registry {
    port: u16,
    _task: JoinSet<()>,
}

impl Registry {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                // A client that was refused has ended already.
                match &tls {
                    None => drop(answer(&mut stream).await),
                    Some(tls) => {
                        if let Ok(mut stream) = tls.accept(stream).await {
                            drop(answer(&mut stream).await);
                        }
                    }
                }
            }
        });
        Self { port, _task: task }
    }
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut request = vec![stream.read_u8().await?];
    while request[0] == b'G' && !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let status = if request[0] == b'G' { "200 OK" } else { "400 Bad Request" };
    stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await?;
    stream.shutdown().await
}

/// What a probe of `localhost` finds, in words; nothing: all is well.
async fn probe(registry: &Registry, tls: Option<ProbeTls>) -> Result<(), String> {
    let (port, path) = (registry.port, "/".into());
    let files = Files::of(&ProbeKind::Http { port, path, status: (200, 299), tls });
    let broker = Address { host: "localhost".into(), port: 1 };
    let known = LastGood::default();
    let asked = simple::http(&broker, port, "/schemas/types", (200, 299), files.as_ref(), &known);
    timeout(DEADLINE, asked).await.expect("an end").map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_probe_over_tls_is_well_if_it_trusts_the_ca_and_the_name_is_right() {
    let (ca, other) = (Ca::new(), Ca::new());
    let registry = ca.registry("localhost", false).await;

    assert_eq!(probe(&registry, Some(ca.trusting())).await, Ok(()));

    let foreign = probe(&registry, Some(other.trusting())).await;
    assert_eq!(foreign, Err("TLS: its certificate is from a CA that is not in `tls.ca_file`".into()));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_until_that_name_is_set() {
    let ca = Ca::new();
    let registry = ca.registry("registry.example.com", false).await;

    let expected = "TLS: its certificate is not for `localhost`: set `tls.server_name` to a name that it has";
    assert_eq!(probe(&registry, Some(ca.trusting())).await, Err(expected.into()));

    let named = ProbeTls { server_name: Some("registry.example.com".into()), ..ca.trusting() };
    assert_eq!(probe(&registry, Some(named)).await, Ok(()));
}

#[tokio::test]
async fn a_registry_that_asks_for_a_certificate_takes_the_one_in_cert_file() {
    let ca = Ca::new();
    let registry = ca.registry("localhost", true).await;

    let expected = "TLS: it wants a certificate that it knows: set `tls.cert_file` and `tls.key_file`";
    assert_eq!(probe(&registry, Some(ca.trusting())).await, Err(expected.into()));

    assert_eq!(probe(&registry, Some(ca.with_identity("pointsman"))).await, Ok(()));
}

#[tokio::test]
async fn a_port_that_speaks_tls_and_one_that_does_not_are_told_apart() {
    let ca = Ca::new();
    let (plain, encrypted) = (Registry::start(None).await, ca.registry("localhost", false).await);

    let expected = "TLS: the port does not speak TLS: remove `tls`";
    assert_eq!(probe(&plain, Some(ca.trusting())).await, Err(expected.into()));

    let error = probe(&encrypted, None).await.expect_err("an alert");
    assert!(error.ends_with("the port speaks TLS: write `tls: { ca_file: ca.pem }` under `http`"), "{error}");
}

/// What `check` says of a configuration with this `tls`, from the path of the key on.
fn check(ca: &Ca, tls: &str) -> Vec<String> {
    let text = format!(
        "clusters:\n  p:\n    bootstrap_servers: [k0:1]\n    health:\n      probe:\n        http:\n          port: 1\n          \
         tls:\n            {}\nvirtual_clusters: {{ main: {{ listen: 127.0.0.1:9092, chain: [p] }} }}\n",
        tls.replace(", ", "\n            ")
    );
    let file = ca.write("pointsman.yaml", &text);
    let Err(error) = reload::load(&file) else { return Vec::new() };
    let dir = format!("{}/", ca.dir.display());
    error.to_string().lines().map(|line| line.replace(&dir, "")).collect()
}

#[test]
fn check_names_the_file_its_key_and_what_would_be_right() {
    let (ca, other) = (Ca::new(), Ca::new());
    drop(ca.with_identity("pointsman"));
    ca.write("empty.pem", "");
    ca.write("other.key", &other.issue("x").1);
    assert_eq!(check(&ca, "ca_file: ca.pem, cert_file: own.pem, key_file: own.key"), [""; 0]);

    let ca_remedy =
        "name a PEM file with the certificate of the CA that the other side's certificate is from";
    let key_remedy = "name a PEM file with the key of the certificate in `cert_file`, not encrypted";
    let path = "clusters.p.health.probe.http.tls";
    for (tls, expected) in [
        (
            "ca_file: none.pem",
            format!(
                "9:22: {path}.ca_file: none.pem cannot be read: No such file or directory (os error 2); {ca_remedy}"
            ),
        ),
        ("ca_file: empty.pem", format!("9:22: {path}.ca_file: empty.pem has no certificate; {ca_remedy}")),
        (
            "ca_file: ca.pem, cert_file: empty.pem, key_file: own.key",
            format!(
                "10:24: {path}.cert_file: empty.pem has no certificate; \
                 name a PEM file with a chain of certificates, the client's own first"
            ),
        ),
        (
            "ca_file: ca.pem, cert_file: own.pem, key_file: own.pem",
            format!("11:23: {path}.key_file: own.pem has no private key; {key_remedy}"),
        ),
    ] {
        assert_eq!(check(&ca, tls), [format!("pointsman.yaml:{expected}")]);
    }
    let unfit = check(&ca, "ca_file: ca.pem, cert_file: own.pem, key_file: other.key").concat();
    assert!(
        unfit.contains(&format!("{path}.key_file: other.key does not fit the certificate in own.pem: ")),
        "{unfit}"
    );
    assert!(unfit.ends_with(key_remedy), "{unfit}");
}

#[tokio::test(start_paused = true)]
async fn files_are_read_again_after_a_minute_and_the_last_good_ones_stay() {
    let (ca, renewed) = (Ca::new(), Ca::new());
    let tls = Some(ca.trusting());
    let files = Files::of(&ProbeKind::Http { port: 1, path: "/".into(), status: (200, 299), tls });
    let files = files.expect("TLS");
    let now = async || files.config().await.expect("good files");
    let first = now().await;
    ca.write("ca.pem", &renewed.pem);
    assert!(Arc::ptr_eq(&first, &now().await), "not at each probe");

    tokio::time::advance(MAX_AGE).await;

    let second = now().await;
    assert!(!Arc::ptr_eq(&first, &second));
    ca.write("ca.pem", "");
    tokio::time::advance(MAX_AGE).await;
    assert!(Arc::ptr_eq(&second, &now().await), "what cannot be read changes nothing");
}
