//! An API that takes the issuer's tokens, and those that the platforms make for it.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State as Of,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::{
    services::after,
    state::{Caller, State},
};

const METADATA: &str = "/.well-known/oauth-protected-resource/api";

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/api/hello", get(hello))
        .route(METADATA, get(metadata))
}

/// RFC 9728 §2.
async fn metadata(Of(state): Of<Arc<State>>) -> Json<Value> {
    Json(json!({
        "resource": state.api(),
        "authorization_servers": [state.issuer()],
        "bearer_methods_supported": ["header"],
    }))
}

async fn hello(Of(state): Of<Arc<State>>, headers: HeaderMap) -> Response {
    let token = after(&headers, "bearer");
    let caller = token.and_then(|token| caller(&state, token));
    if let Some(Caller { party, subject }) = caller {
        return Json(json!({ "platform": party, "subject": subject })).into_response();
    }
    // RFC 9728 §5.1, RFC 6750 §3: an error only where there is a token.
    let mut challenge = format!("Bearer resource_metadata=\"{}{METADATA}\"", state.url);
    if token.is_some() {
        challenge.push_str(", error=\"invalid_token\"");
    }
    let head = [(header::WWW_AUTHENTICATE, challenge)];
    (StatusCode::UNAUTHORIZED, head).into_response()
}

fn caller(state: &State, token: &str) -> Option<Caller> {
    state.issued(token).or_else(|| {
        let (party, claims) = state.verified(token, &[&state.api()]).ok()?;
        Some(Caller::of(party, &claims))
    })
}
