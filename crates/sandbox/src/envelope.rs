//! The envelope vendor, whose responses are in `data` or `error`.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    clients::SHOP, fault::Vendor, media_type, shared::Shared, stats::Caller, token::Presented,
};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/auth/token", post(token))
        .route("/v1/orders", get(orders))
}

/// The client of a token request, from its body.
pub(crate) fn caller(body: &[u8]) -> Caller {
    Caller {
        client_id: field(body, "client_id"),
        ..Caller::unknown(Vendor::Envelope)
    }
}

/// The error response for a status.
pub(crate) fn failure(status: StatusCode) -> Response {
    let (code, reason, message) = match status {
        StatusCode::BAD_REQUEST => ("400013", "invalid_request", "Missing or invalid parameters"),
        StatusCode::UNAUTHORIZED => (
            "401021",
            "invalid_client",
            "Invalid client_id, client_secret, or session_key",
        ),
        // These two have a text in place of the object.
        StatusCode::FORBIDDEN => return text(status, "Access forbidden for this resource."),
        StatusCode::NOT_FOUND => return text(status, "Resource or endpoint not found."),
        StatusCode::INTERNAL_SERVER_ERROR => (
            "500999",
            "API_ERROR",
            "Api Error, please contact customer service",
        ),
        other => {
            let message = other.canonical_reason().unwrap_or("Error");
            let reason = message.to_lowercase().replace(' ', "_");
            return error(other, &format!("{}000", other.as_u16()), &reason, message);
        }
    };
    error(status, code, reason, message)
}

#[derive(Debug, Serialize)]
struct Answer {
    data: Data,
}

/// The response of the documentation, field by field.
#[derive(Debug, Serialize)]
struct Data {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_form = media_type::is("application/x-www-form-urlencoded", &headers);
    let required = |name| field(&body, name).filter(|value| is_form && !value.is_empty());
    let (Some(id), Some(secret)) = (required("client_id"), required("client_secret")) else {
        return failure(StatusCode::BAD_REQUEST);
    };
    if !shared.knows(SHOP, &id, &secret) {
        return failure(StatusCode::UNAUTHORIZED);
    }
    let data = Data {
        access_token: shared.issue_opaque(caller),
        token_type: "Bearer",
        expires_in: shared.lifetime().as_secs(),
    };
    Json(Answer { data }).into_response()
}

async fn orders(
    State(shared): State<Arc<Shared>>,
    Extension(token): Extension<Presented>,
) -> Result<Json<Value>, Response> {
    shared
        .judge(&token)
        .map_err(|_| failure(StatusCode::UNAUTHORIZED))?;
    Ok(Json(json!({
        "data": {
            "orders": [
                { "id": 1001, "status": "shipped", "total": "49.90", "currency": "EUR" },
                { "id": 1002, "status": "open", "total": "12.00", "currency": "EUR" },
            ],
        },
    })))
}

fn field(body: &[u8], name: &str) -> Option<String> {
    let (_, value) = form_urlencoded::parse(body).find(|(known, _)| known == name)?;
    Some(value.into_owned())
}

fn error(status: StatusCode, code: &str, reason: &str, message: &str) -> Response {
    let error = json!({ "code": code, "code_reason": reason, "message": message });
    (status, Json(json!({ "error": error }))).into_response()
}

fn text(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}
