//! Makes certificates in memory: ECDSA P-256 with SHA-256, which every Kafka client of today speaks.

use pointsman_core::config::Address;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};
use time::OffsetDateTime;

/// Days from now until a certificate ends.
pub(super) const DAYS: u64 = 30;
const DAY: Duration = Duration::from_secs(86_400);
/// Clocks of other machines may be behind by so much.
const SKEW: Duration = Duration::from_secs(3_600);
/// In every subject and issuer.
const NOTE: &str = "for trials only, not for production";

/// A certificate with its CA's, and its key (PKCS #8), as PEM.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// A CA that is gone when it is dropped.
pub(crate) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Result<Self, String> {
        let key = KeyPair::generate().map_err(failed)?;
        // A name of its own, so that whoever trusts an older one is told that this one is unknown, and not that it is broken.
        let id: String =
            params("").key_identifier(&key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let mut params = params(&format!("Pointsman trial CA {id}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// For a broker that clients call by its own name or by one of Pointsman's. Brokers call each other: it is a client's too.
    pub(crate) fn broker(&self, host: &str, proxies: &[String]) -> Result<Issued, String> {
        let mut params = params(host);
        let mut names = vec![host];
        names.extend(proxies.iter().map(String::as_str).filter(|name| *name != host));
        params.subject_alt_names = names.into_iter().map(alternative).collect::<Result<_, _>>()?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    /// For a client that brokers know by its common name.
    pub(super) fn client(&self, name: &str) -> Result<Issued, String> {
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            return Err(format!("expected --client as a name of 1 to 64 bytes, found {name:?}"));
        }
        let mut params = params(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Issued, String> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Issued { chain: certificate.pem() + &self.pem(), key: key.serialize_pem() })
    }
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = SystemTime::now();
    params.not_before = OffsetDateTime::from(now - SKEW);
    params.not_after = OffsetDateTime::from(now + DAY * u32::try_from(DAYS).unwrap_or(1));
    params.distinguished_name = rcgen::DistinguishedName::new();
    // A common name has at most 64 characters (RFC 5280, ub-common-name); the alternative names count.
    let short: String = common_name.chars().take(64).collect();
    params.distinguished_name.push(DnType::CommonName, short);
    params.distinguished_name.push(DnType::OrganizationalUnitName, NOTE);
    params
}

/// A host name, perhaps with `*.` before it, or an IP address.
fn alternative(name: &str) -> Result<SanType, String> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let refused = || format!("expected a host name or an IP address without a port, found {name:?}");
    let host = name.strip_prefix("*.").unwrap_or(name);
    if format!("{host}:1").parse::<Address>().is_ok_and(|address| *address.host == *host) {
        return name.try_into().map(SanType::DnsName).map_err(|_| refused());
    }
    Err(refused())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: rcgen::Error) -> String {
    format!("the certificate could not be made: {error}")
}
