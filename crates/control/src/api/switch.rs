//! What an operator may say to a virtual cluster: switch, or go back to automatic.

use super::{
    Api,
    routes::{failure, gone},
};
use crate::handle::NotDone;
use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
};
use pointsman_core::failover::{Command, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The body of a switch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The cluster.
    to: Arc<str>,
    /// Also without quorum.
    #[serde(default)]
    force: bool,
    /// Void if there was another switch since this generation.
    #[serde(default)]
    seen: Option<u64>,
}

pub(super) async fn switch(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return too_large(&rejection),
    };
    match serde_json::from_slice(&body) {
        Ok(Wish { to, force, seen }) => obey(&api, name, Command::Switch { to, seen, force }).await,
        Err(error) => no_wish(&error),
    }
}

pub(super) async fn automatic(
    State(api): State<Api>,
    name: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(_) => obey(&api, name, Command::Automatic).await,
        Err(rejection) => too_large(&rejection),
    }
}

fn no_wish(error: &serde_json::Error) -> Response {
    let remedy = "send JSON such as {\"to\": \"secondary\"}, with \"force\" or \"seen\" if wanted";
    let error = format!("the body says no switch: {error}");
    failure(StatusCode::BAD_REQUEST, &error, json!({ "code": "bad_body", "remedy": remedy }))
}

fn too_large(rejection: &BytesRejection) -> Response {
    failure(rejection.status(), "the body is too large or broken; send less", Value::Null)
}

async fn obey(api: &Api, name: Result<Path<String>, PathRejection>, command: Command) -> Response {
    let name = name.map_or_else(|_| String::new(), |Path(name)| name);
    match api.handle.command(name.into(), command).await {
        Ok(Ok(decided)) => Json(decided).into_response(),
        Ok(Err(not_done)) => refusal(&not_done),
        Err(error) => gone(error),
    }
}

fn refusal(why: &NotDone) -> Response {
    let (status, error, code, remedy) = match why {
        NotDone::NoVirtualCluster { name, known } => (
            StatusCode::NOT_FOUND,
            format!("there is no virtual cluster {name:?}"),
            "no_virtual_cluster",
            one_of(known),
        ),
        NotDone::NoCluster { name, known } => (
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("there is no cluster {name:?}"),
            "no_cluster",
            one_of(known),
        ),
        NotDone::Refused(refusal) => {
            let status = match refusal {
                Refusal::NotInChain(_) => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::CONFLICT,
            };
            (status, refusal.to_string(), refusal.word(), refusal.remedy().into())
        }
    };
    failure(status, &error, json!({ "code": code, "remedy": remedy }))
}

fn one_of(known: &[Arc<str>]) -> String {
    format!("name one of: {}", known.join(", "))
}
