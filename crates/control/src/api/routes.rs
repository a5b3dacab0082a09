//! The routes and their answers. Every answer but `/metrics` is JSON, errors too.

use super::{Api, ROUTES, guard, switch};
use crate::{
    handle::Gone,
    prometheus,
    reload::{LoadError, Outcome},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State, rejection::BytesRejection},
    http::{HeaderValue, StatusCode, Uri, header},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use pointsman_core::{
    config::{ConfigError, Scope},
    limits,
    status::{Status, VirtualClusterStatus},
};
use serde::Serialize;
use serde_json::{Value, json};

/// The description of this API; its version is that of the process.
const OPENAPI: &str = include_str!("openapi.json");

/// The routes with their limits.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/config/reload", post(reload))
        .route("/v1/virtual-clusters/{name}/switch", post(switch::switch))
        .route("/v1/virtual-clusters/{name}/automatic", post(switch::automatic))
        .route("/v1/openapi.json", get(openapi))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(limits::ADMIN_BODY))
        .layer(from_fn(guard::refuse_foreign))
        .layer(from_fn(in_time))
        .with_state(api)
}

/// An answer that says what went wrong.
pub(super) fn failure(status: StatusCode, error: &str, more: Value) -> Response {
    let mut body = json!({ "error": error });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    (status, Json(body)).into_response()
}

async fn in_time(request: Request, next: Next) -> Response {
    let answer = tokio::time::timeout(limits::ADMIN_TIMEOUT, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let error = format!("no answer within {} s; the log may say why", limits::ADMIN_TIMEOUT.as_secs());
        failure(StatusCode::GATEWAY_TIMEOUT, &error, Value::Null)
    })
}

pub(super) fn gone(gone: Gone) -> Response {
    failure(StatusCode::SERVICE_UNAVAILABLE, &gone.to_string(), Value::Null)
}

async fn status(State(api): State<Api>) -> Response {
    match api.handle.status().await {
        Ok(status) => Json(status).into_response(),
        Err(error) => gone(error),
    }
}

async fn healthz() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Whether clients can be served.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    /// Why not, one line each.
    reasons: Vec<String>,
}

async fn readyz(State(api): State<Api>) -> Response {
    let reasons = match api.handle.status().await {
        Ok(status) => unready(&status),
        Err(error) => vec![error.to_string()],
    };
    let ready = reasons.is_empty();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Ready { ready, reasons })).into_response()
}

fn unready(status: &Status) -> Vec<String> {
    // With each slot alone no cluster need be the one for all.
    let leads = |v: &VirtualClusterStatus| {
        v.scope == Some(Scope::Broker) && v.slots.iter().any(|slot| slot.broker.is_some())
    };
    let without = status.virtual_clusters.iter().filter(|v| v.active.is_none() && !leads(v));
    let reason = |v: &VirtualClusterStatus| {
        let chain: Vec<String> = v.chain.iter().map(|name| quorum_words(status, name)).collect();
        format!("virtual cluster {} has no active cluster: {}", v.name, chain.join(", "))
    };
    without.map(reason).collect()
}

/// `primary has 1 of 2 needed healthy brokers`.
fn quorum_words(status: &Status, name: &str) -> String {
    match status.clusters.iter().find(|c| *c.name == *name) {
        Some(c) => format!("{name} has {} of {} needed healthy brokers", c.healthy, c.needed),
        None => format!("{name} is not known yet"),
    }
}

async fn metrics(State(api): State<Api>) -> Response {
    match api.handle.status().await {
        Ok(status) => {
            let page = prometheus::render(prometheus::Input { status: &status, metrics: &api.metrics });
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], page).into_response()
        }
        Err(error) => gone(error),
    }
}

async fn reload(State(api): State<Api>, body: Result<Bytes, BytesRejection>) -> Response {
    if let Err(rejection) = body {
        return failure(rejection.status(), "the body is too large or broken; send none", Value::Null);
    }
    let reloader = api.reloader.clone();
    let outcome = api.tasks.spawn(async move { reloader.reload().await }).await;
    match outcome.unwrap_or(Outcome::Gone) {
        Outcome::Changed(changes) => Json(json!({ "changes": changes })).into_response(),
        Outcome::Refused(refused) => failure(
            StatusCode::CONFLICT,
            "nothing was applied: these changes need a restart",
            json!({ "refused": refused }),
        ),
        Outcome::Failed(error) => invalid(&error),
        Outcome::Gone => gone(Gone),
    }
}

fn invalid(error: &LoadError) -> Response {
    let (words, faults): (String, &[ConfigError]) = match error {
        LoadError::Invalid(errors) => {
            ("nothing was applied: the configuration file has faults".into(), &errors.0)
        }
        LoadError::Unreadable(..) => (format!("nothing was applied: {error}"), &[]),
    };
    failure(StatusCode::UNPROCESSABLE_ENTITY, &words, json!({ "errors": faults }))
}

async fn openapi() -> Response {
    let document = OPENAPI.replace("{version}", env!("CARGO_PKG_VERSION"));
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document).into_response()
}

async fn not_found(uri: Uri) -> Response {
    let routes: Vec<String> =
        ROUTES.iter().map(|(method, path, what)| format!("{method} {path}: {what}")).collect();
    let error = format!("there is no {}", uri.path());
    failure(StatusCode::NOT_FOUND, &error, json!({ "routes": routes }))
}

async fn method_not_allowed(request: Request) -> Response {
    let path = request.uri().path();
    let allowed: Vec<&str> =
        ROUTES.iter().filter(|(_, route, _)| leads_to(route, path)).map(|(method, ..)| *method).collect();
    let error = format!("{path} does not know {}", request.method());
    failure(StatusCode::METHOD_NOT_ALLOWED, &error, json!({ "allowed": allowed }))
}

/// Whether a route such as `/v1/virtual-clusters/{name}/switch` covers a path.
fn leads_to(route: &str, path: &str) -> bool {
    let (mut parts, mut found) = (route.split('/'), path.split('/'));
    loop {
        match (parts.next(), found.next()) {
            (None, None) => return true,
            (Some(part), Some(piece)) if part == piece || (part.starts_with('{') && !piece.is_empty()) => {}
            _ => return false,
        }
    }
}
