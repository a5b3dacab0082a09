//! Why a client could not do what it was asked.

use std::fmt;

use super::codes;

/// Why a request failed. Says which broker and, where there is one, which api.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// No connection: refused, unreachable, or not accepted in time.
    Connect {
        /// The address that was tried.
        address: String,
        /// What happened.
        why: String,
    },
    /// The connection ended before the answer: nobody knows whether the request was carried out.
    Closed {
        /// The broker's address.
        address: String,
        /// What happened.
        why: String,
    },
    /// No answer in time: nobody knows whether the request was carried out.
    TimedOut {
        /// The broker's address.
        address: String,
        /// The api that was not answered.
        api: &'static str,
    },
    /// What came is not what the protocol says.
    Protocol {
        /// The broker's address.
        address: String,
        /// What was expected and what came.
        what: String,
    },
    /// The broker and this client have no version of the api in common.
    Unsupported {
        /// The broker's address.
        address: String,
        /// The api.
        api: &'static str,
    },
    /// As many requests as allowed already wait for answers on this connection.
    Busy {
        /// The broker's address.
        address: String,
    },
    /// The broker answered with an error code.
    Code {
        /// The api.
        api: &'static str,
        /// The code of the protocol.
        code: i16,
        /// The broker's words, or nothing.
        message: String,
    },
    /// Metadata does not know where to ask: no leader, no coordinator, no such node.
    Nowhere {
        /// What was looked for.
        what: String,
    },
}

impl ClientError {
    pub(crate) fn code(api: &'static str, code: i16) -> Self {
        Self::Code { api, code, message: String::new() }
    }

    /// `Ok` for code 0, else the error.
    pub(crate) fn check(api: &'static str, code: i16) -> Result<(), Self> {
        if code == codes::NONE { Ok(()) } else { Err(Self::code(api, code)) }
    }

    /// May the same work a little later?
    #[must_use]
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Unsupported { .. } => false,
            Self::Code { code, .. } => codes::retriable(*code),
            _ => true,
        }
    }

    /// The code of the protocol, if the broker answered with one.
    #[must_use]
    pub const fn protocol_code(&self) -> Option<i16> {
        if let Self::Code { code, .. } = self { Some(*code) } else { None }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { address, why } => write!(f, "no connection to {address}: {why}"),
            Self::Closed { address, why } => write!(f, "connection to {address} ended: {why}"),
            Self::TimedOut { address, api } => write!(f, "{address} did not answer {api} in time"),
            Self::Protocol { address, what } => write!(f, "unexpected answer of {address}: {what}"),
            Self::Unsupported { address, api } => {
                write!(f, "{address} has no version of {api} in common with us")
            }
            Self::Busy { address } => write!(f, "too many requests wait for {address}"),
            Self::Code { api, code, message } if message.is_empty() => {
                write!(f, "{api}: {} ({code})", codes::name(*code))
            }
            Self::Code { api, code, message } => {
                write!(f, "{api}: {} ({code}): {message}", codes::name(*code))
            }
            Self::Nowhere { what } => write!(f, "metadata knows no {what}"),
        }
    }
}

impl std::error::Error for ClientError {}
