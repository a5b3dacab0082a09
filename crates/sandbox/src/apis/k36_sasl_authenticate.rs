//! SaslAuthenticate: user and password of SASL/PLAIN.

use super::{Answer, Call, Client};
use crate::{
    errors::{ILLEGAL_SASL_STATE, NONE, SASL_AUTHENTICATION_FAILED},
    world::World,
};
use bytes::Bytes;
use pointsman_wire::{Struct, Value};

pub(super) fn handle(call: &Call<'_>, client: &mut Client) -> Answer {
    let token = call.request.bytes("AuthBytes").cloned().unwrap_or_default();
    let code = match client.mechanism.take() {
        None => ILLEGAL_SASL_STATE,
        Some(_) if accepts(&call.shared.lock(), &token) => NONE,
        Some(_) => SASL_AUTHENTICATION_FAILED,
    };
    client.authenticated |= code == NONE;
    let message = match code {
        NONE => Value::Null,
        ILLEGAL_SASL_STATE => Value::from("SaslAuthenticate without SaslHandshake"),
        _ => Value::from("Authentication failed: Invalid username or password"),
    };
    Answer::Body(
        Struct::new()
            .with("ErrorCode", code)
            .with("ErrorMessage", message)
            .with("AuthBytes", Value::Bytes(Bytes::new())),
    )
}

/// RFC 4616: identity to act as, NUL, user, NUL, password.
fn accepts(world: &World, token: &[u8]) -> bool {
    let mut parts = token.split(|b| *b == 0);
    let (_, user, password) = (parts.next(), parts.next(), parts.next());
    let known = |(name, secret): &(String, String)| {
        user == Some(name.as_bytes()) && password == Some(secret.as_bytes())
    };
    !world.refuse_credentials && parts.next().is_none() && world.spec.users.iter().any(known)
}
