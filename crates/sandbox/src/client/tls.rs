//! TLS to brokers: whom a client trusts, and the handshake.

use std::{net::IpAddr, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Whom a client trusts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls(Arc<rustls::ClientConfig>);

impl Tls {
    /// Trusts what the CAs of this PEM text have signed, and nothing else.
    ///
    /// # Errors
    /// The text has no certificate, or one that is no CA's.
    pub fn trusting(pem: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|e| format!("not PEM: {e}"))?;
            roots.add(certificate).map_err(|e| format!("no certificate of a CA: {e}"))?;
        }
        if roots.is_empty() {
            return Err("expected a certificate as PEM, found none".to_owned());
        }
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
        Ok(Self(Arc::new(builder.with_root_certificates(roots).with_no_client_auth())))
    }

    /// Shakes hands with the broker at `address` (`host:port`), whose certificate must have that host.
    pub(super) async fn connect(
        &self,
        address: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = server_name(address)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await.map_err(|e| format!("TLS: {e}"))
    }
}

fn server_name(address: &str) -> Result<ServerName<'static>, String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    ServerName::try_from(host.to_owned()).map_err(|e| format!("{host:?} is no name for TLS: {e}"))
}
