//! TLS of HTTP probes: whom they trust and who they are, read from files.
//!
//! The files are read when Pointsman starts, at a reload, and again once a minute, so that a certificate that was renewed needs
//! neither. What cannot be read then changes nothing: the last good ones stay.

use crate::kafka::CallError;
use pointsman_core::config::{Config, ConfigError, ProbeKind, ProbeTls, place};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{
    io,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Files are read again at this age.
const MAX_AGE: Duration = Duration::from_secs(60);

/// What is wrong with a file: under which key, and what would be right.
#[derive(Debug)]
struct Fault {
    key: &'static str,
    problem: String,
    remedy: String,
}

/// What is wrong with the files that a configuration names.
pub(crate) fn faults(config: &Config, text: &str, file: &str) -> Vec<ConfigError> {
    let mut faults = Vec::new();
    for cluster in &config.clusters {
        let ProbeKind::Http { tls: Some(tls), .. } = &cluster.health.probe else { continue };
        let Err(Fault { key, problem, remedy }) = read(tls) else { continue };
        let path = ["clusters", &cluster.name, "health", "probe", "http", "tls", key];
        let mark = place(text, &path);
        let (line, column) = (mark.line, mark.column);
        faults.push(ConfigError { file: file.into(), line, column, path: path.join("."), problem, remedy });
    }
    faults
}

/// The files of one probe.
#[derive(Debug)]
pub(super) struct Files {
    rules: ProbeTls,
    read: Mutex<Option<(Instant, Arc<ClientConfig>)>>,
}

impl Files {
    pub(super) fn of(probe: &ProbeKind) -> Option<Self> {
        let ProbeKind::Http { tls: Some(rules), .. } = probe else { return None };
        Some(Self { rules: rules.clone(), read: Mutex::default() })
    }

    /// Shakes hands with who answers for a host.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, CallError> {
        let name = self.name(host);
        let server = match name.parse::<IpAddr>() {
            Ok(address) => ServerName::IpAddress(address.into()),
            Err(_) => ServerName::try_from(name.to_owned())
                .map_err(|_| CallError::Tls(format!("`{name}` is no server name; set `tls.server_name`")))?,
        };
        let config = self.config().await?;
        let shaken = TlsConnector::from(config).connect(server, stream).await;
        shaken.map_err(|error| CallError::Tls(why(&error, name)))
    }

    /// An error of a connection, in words if it is one of TLS.
    pub(super) fn explain(&self, host: &str, error: CallError) -> CallError {
        match error {
            CallError::Io(error) if of_tls(&error).is_some() => CallError::Tls(why(&error, self.name(host))),
            other => other,
        }
    }

    fn name<'a>(&'a self, host: &'a str) -> &'a str {
        self.rules.server_name.as_deref().unwrap_or(host)
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, CallError> {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, config)) = &known
            && at.elapsed() < MAX_AGE
        {
            return Ok(config.clone());
        }
        let rules = self.rules.clone();
        let found = match (tokio::task::spawn_blocking(move || read(&rules)).await, known) {
            (Ok(Ok(config)), _) | (_, Some((_, config))) => config,
            (Ok(Err(fault)), None) => {
                return Err(CallError::Tls(format!("{}: {}; {}", fault.key, fault.problem, fault.remedy)));
            }
            (Err(error), None) => return Err(CallError::Io(io::Error::other(error))),
        };
        let read = Some((Instant::now(), found.clone()));
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(found)
    }
}

fn of_tls(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Why there is no TLS, and what to do about it.
fn why(error: &io::Error, name: &str) -> String {
    let Some(error) = of_tls(error) else {
        return format!("the connection ended before the handshake did: {error}");
    };
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is from a CA that is not in `tls.ca_file`".into()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("its certificate is not for `{name}`: set `tls.server_name` to a name that it has"),
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired".into()
        }
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA,
        ) => "it wants a certificate that it knows: set `tls.cert_file` and `tls.key_file`".into(),
        Error::InvalidMessage(_) => "the port does not speak TLS: remove `tls`".into(),
        other => other.to_string(),
    }
}

fn read(tls: &ProbeTls) -> Result<Arc<ClientConfig>, Fault> {
    let ca = "name a PEM file with the certificate of the CA that the other side's certificate is from";
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca_file", &tls.ca_file, ca)? {
        let refused =
            |e| fault("ca_file", &tls.ca_file, &format!("has a certificate that is no CA's: {e}"), ca);
        roots.add(certificate).map_err(refused)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| Fault {
        key: "ca_file",
        problem: e.to_string(),
        remedy: "report it".into(),
    })?;
    let builder = builder.with_root_certificates(roots);
    let Some((certificate, key)) = &tls.identity else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let remedy = "name a PEM file with a chain of certificates, the client's own first";
    let chain = certificates("cert_file", certificate, remedy)?;
    let remedy = "name a PEM file with the key of the certificate in `cert_file`, not encrypted";
    let text = content("key_file", key, remedy)?;
    let private = PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| fault("key_file", key, "has no private key", remedy))?;
    let config = builder.with_client_auth_cert(chain, private);
    config.map(Arc::new).map_err(|e| {
        fault(
            "key_file",
            key,
            &format!("does not fit the certificate in {}: {e}", certificate.display()),
            remedy,
        )
    })
}

fn certificates(key: &'static str, path: &Path, remedy: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = content(key, path, remedy)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|e| fault(key, path, &format!("is no PEM file: {e}"), remedy))?;
    if found.is_empty() {
        return Err(fault(key, path, "has no certificate", remedy));
    }
    Ok(found)
}

fn content(key: &'static str, path: &Path, remedy: &str) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|e| fault(key, path, &format!("cannot be read: {e}"), remedy))
}

/// Names the file, never what is in it.
fn fault(key: &'static str, path: &Path, problem: &str, remedy: &str) -> Fault {
    Fault { key, problem: format!("{} {problem}", path.display()), remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests;
