//! What all clients are told: where the cluster is, and how long to wait for it.

use std::time::Duration;

use pointsman_wire::MAX_FRAME;

use super::Tls;

/// Settings common to all clients. The defaults are those of the Java client where it has the setting.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where to begin, as `host:port`; at least one. Used again when no known broker answers.
    pub bootstrap: Vec<String>,
    /// Client id in every request; at most 32,767 bytes. Default `pointsman-client`.
    pub client_id: String,
    /// Whom to trust; none (the default): without TLS.
    pub tls: Option<Tls>,
    /// How long one address may take to accept a connection and to say which versions it has. Default 3 s; above 0.
    pub connect_timeout: Duration,
    /// How long a request may stay without an answer; then its connection is given up. Default 30 s; above 0.
    pub request_timeout: Duration,
    /// Age at which metadata is asked for again without a reason. Default 5 min; above 0.
    pub metadata_max_age: Duration,
    /// The first wait before something is tried again. Default 100 ms; above 0.
    pub backoff: Duration,
    /// The longest wait before something is tried again. Default 1 s; not below `backoff`.
    pub backoff_max: Duration,
    /// The largest response accepted, in bytes. Default 100 MiB; from 1 to `i32::MAX`.
    pub max_response: usize,
    /// Requests that may wait for their answers on one connection. Default 32; above 0.
    pub max_in_flight: usize,
}

impl ClientConfig {
    /// The defaults, for the cluster at these addresses.
    pub fn new<A: Into<String>>(bootstrap: impl IntoIterator<Item = A>) -> Self {
        Self {
            bootstrap: bootstrap.into_iter().map(Into::into).collect(),
            client_id: "pointsman-client".to_owned(),
            tls: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(30),
            metadata_max_age: Duration::from_secs(300),
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            max_response: MAX_FRAME,
            max_in_flight: 32,
        }
    }

    /// The same with another client id.
    #[must_use]
    pub fn client_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.client_id);
        self
    }

    /// The same over TLS.
    #[must_use]
    pub fn tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }
}
