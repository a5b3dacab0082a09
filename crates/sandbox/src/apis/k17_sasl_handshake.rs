//! SaslHandshake: which mechanism. The sandbox has PLAIN.

use super::{Answer, Call, Client};
use crate::errors::{ILLEGAL_SASL_STATE, NONE, UNSUPPORTED_SASL_MECHANISM};
use pointsman_wire::{Struct, Value};

pub(super) const PLAIN: &str = "PLAIN";

pub(super) fn handle(call: &Call<'_>, client: &mut Client) -> Answer {
    let asked = call.request.str("Mechanism");
    let code = match asked {
        _ if call.shared.lock().spec.users.is_empty() => ILLEGAL_SASL_STATE,
        PLAIN => NONE,
        _ => UNSUPPORTED_SASL_MECHANISM,
    };
    client.mechanism = (code == NONE).then(|| asked.to_owned());
    let mechanisms = if code == ILLEGAL_SASL_STATE { Vec::new() } else { vec![Value::from(PLAIN)] };
    Answer::Body(Struct::new().with("ErrorCode", code).with("Mechanisms", Value::Array(mechanisms)))
}
