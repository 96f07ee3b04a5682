//! The control endpoints below `/_sandbox`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    clients::{CLIENTS, SHOP},
    config,
    fault::Fault,
    shared::Shared,
    stats::{KeyFilter, Stats},
};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_sandbox/stats", get(stats).delete(reset_stats))
        .route(
            "/_sandbox/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/_sandbox/revoke", post(revoke))
        .route("/_sandbox/secret", post(secret))
        .route("/_sandbox/config", get(config))
}

/// Whether a client with this identifier exists.
pub(crate) fn is_client(client_id: &str) -> bool {
    let contentsquare = CLIENTS.iter().map(|client| client.credentials.client_id);
    contentsquare
        .chain([SHOP.client_id])
        .any(|known| known == client_id)
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<Stats> {
    Json(shared.stats())
}

async fn reset_stats(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.reset_stats();
    StatusCode::NO_CONTENT
}

async fn faults(State(shared): State<Arc<Shared>>) -> Json<Vec<Fault>> {
    Json(shared.faults())
}

async fn add_fault(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<StatusCode, Mistake> {
    let fault: Fault = parse(&body)?;
    if let Some(problem) = fault.problem() {
        return Err(Mistake(problem.into()));
    }
    shared.add_fault(fault);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.clear_faults();
    StatusCode::NO_CONTENT
}

async fn revoke(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, Mistake> {
    let filter: KeyFilter = parse(&body)?;
    Ok(Json(json!({ "revoked": shared.revoke(&filter) })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSecret {
    client_id: String,
    client_secret: String,
}

async fn secret(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<StatusCode, Mistake> {
    let NewSecret {
        client_id,
        client_secret,
    } = parse(&body)?;
    if !is_client(&client_id) {
        return Err(Mistake("unknown client".into()));
    }
    if client_secret.is_empty() {
        return Err(Mistake("expected a client_secret that is not empty".into()));
    }
    shared.change_secret(&client_id, &client_secret);
    Ok(StatusCode::NO_CONTENT)
}

async fn config(State(shared): State<Arc<Shared>>) -> Response {
    let text = config::toml(shared.url(), shared.clouds());
    ([(header::CONTENT_TYPE, "application/toml")], text).into_response()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Mistake> {
    serde_json::from_slice(body).map_err(|error| Mistake(error.to_string()))
}

/// What is wrong with a control request.
struct Mistake(String);

impl IntoResponse for Mistake {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}
