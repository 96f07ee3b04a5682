//! Contentsquare: its token endpoint, `/me`, and the form of its errors.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    clients::{CLIENTS, Client, Level},
    fault::{FaultPoint, Vendor},
    media_type,
    shared::{Grant, Shared},
    stats::Caller,
    token::Rejection,
};

/// The endpoints at `api.contentsquare.com`.
pub(crate) fn accounts() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/oauth/token", post(token))
        .route("/v1/oauth/me", post(me))
}

/// The client and the key of a token request or an inspection, from its body.
pub(crate) fn caller(body: &[u8]) -> Caller {
    let fields: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let text = |name| fields.get(name).and_then(Value::as_str).map(Into::into);
    let integer = |name| fields.get(name).and_then(Value::as_i64);
    Caller {
        vendor: Vendor::Contentsquare,
        client_id: text("client_id"),
        scope: text("scope"),
        project_id: integer("project_id"),
        integration_id: integer("integration_id"),
    }
}

/// The error response for a status.
pub(crate) fn failure(status: StatusCode, place: FaultPoint) -> Response {
    if status == StatusCode::UNAUTHORIZED {
        return match place {
            FaultPoint::Api => Refusal::from(Rejection::Expired),
            FaultPoint::Token | FaultPoint::Inspection => Refusal::credentials(),
        }
        .into_response();
    }
    let reason = status.canonical_reason().unwrap_or("Error");
    let code = reason
        .to_uppercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    Refusal {
        status,
        code: code.into(),
        message: format!("{reason}.").into(),
    }
    .into_response()
}

/// The response of the documentation, field by field.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: &'a str,
    project_id: i64,
    endpoint: &'a str,
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let fields = read(&headers, &body)?;
    let client_id = required(&fields, "client_id")?;
    let client_secret = required(&fields, "client_secret")?;
    let grant_type = required(&fields, "grant_type")?;
    let scope = text(&fields, "scope")?.unwrap_or_default();
    let project_id = integer(&fields, "project_id")?;
    let integration_id = integer(&fields, "integration_id")?;

    if grant_type != "client_credentials" {
        return Err(Refusal::bad(
            "UNSUPPORTED_GRANT_TYPE",
            "grant_type must be client_credentials.",
        ));
    }
    let client = authenticate(&shared, client_id, client_secret)?;
    check_scope(client, scope)?;
    let project = match (client.level, project_id) {
        (Level::Account, None) => {
            return Err(Refusal::bad(
                "PROJECT_REQUIRED",
                "project_id is required with account-level credentials.",
            ));
        }
        (Level::Project(own), None) => own,
        (_, Some(named)) => named,
    };
    let project = client
        .projects(shared.projects())
        .find(|permitted| permitted.id == project)
        .ok_or_else(|| {
            Refusal::new(
                StatusCode::FORBIDDEN,
                "PROJECT_NOT_PERMITTED",
                format!("These credentials don't give access to project {project}."),
            )
        })?;
    match integration_id {
        None if is_enrichment(scope) => {
            return Err(Refusal::bad(
                "INTEGRATION_REQUIRED",
                "integration_id is required with the enrichment scope.",
            ));
        }
        // With any other scope the parameter has no meaning.
        Some(id) if is_enrichment(scope) && id != project.integration => {
            let message = format!("Project {} has no integration {id}.", project.id);
            return Err(Refusal::bad("UNKNOWN_INTEGRATION", message));
        }
        _ => {}
    }

    let integration_id = integration_id.filter(|_| is_enrichment(scope));
    let grant = Grant {
        client_id,
        scope,
        project_id: project.id,
        integration_id,
    };
    let answer = Answer {
        access_token: shared.issue_jwt(caller, &grant),
        token_type: "bearer",
        expires_in: shared.lifetime().as_secs(),
        scope,
        project_id: project.id,
        endpoint: shared.clouds()[project.cloud],
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

fn check_scope(client: &Client, scope: &str) -> Result<(), Refusal> {
    let mut names = scope.split_ascii_whitespace().peekable();
    if names.peek().is_none() {
        return Err(Refusal::bad("INVALID_SCOPE", "scope is required."));
    }
    if scope.split_ascii_whitespace().count() > 1 && names.clone().any(|name| name == ENRICHMENT) {
        let message = "The enrichment scope cannot be combined with any other scope.";
        return Err(Refusal::bad("INVALID_SCOPE", message));
    }
    match names.find(|name| !client.scopes.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("These credentials don't have the scope {name}.");
            Err(Refusal::bad("INVALID_SCOPE", message))
        }
    }
}

pub(crate) const ENRICHMENT: &str = "enrichment";

fn is_enrichment(scope: &str) -> bool {
    scope.trim() == ENRICHMENT
}

async fn me(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let fields = read(&headers, &body)?;
    let (id, secret) = (
        required(&fields, "client_id")?,
        required(&fields, "client_secret")?,
    );
    let client = authenticate(&shared, id, secret)?;
    let projects: Vec<_> = client
        .projects(shared.projects())
        .map(|project| json!({ "id": project.id, "name": project.name }))
        .collect();
    Ok(Json(json!({
        "scopes": client.scopes.join(" "),
        "permissions": { "projects": projects },
    })))
}

fn authenticate(
    shared: &Shared,
    client_id: &str,
    client_secret: &str,
) -> Result<&'static Client, Refusal> {
    CLIENTS
        .iter()
        .find(|client| shared.knows(client.credentials, client_id, client_secret))
        .ok_or_else(Refusal::credentials)
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if !media_type::is("application/json", headers) {
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "The content type must be application/json.",
        ));
    }
    serde_json::from_slice(body)
        .map_err(|_| Refusal::bad("INVALID_JSON", "The body must be a JSON object."))
}

fn required<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    text(fields, name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::bad("INVALID_PARAMETER", format!("{name} is required.")))
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match fields.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::bad(
            "INVALID_PARAMETER",
            format!("{name} must be a string."),
        )),
    }
}

fn integer(fields: &Map<String, Value>, name: &str) -> Result<Option<i64>, Refusal> {
    match fields.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(number) => Ok(Some(number)),
            None => {
                let message = format!("{name} must be an integer.");
                Err(Refusal::bad("INVALID_PARAMETER", message))
            }
        },
    }
}

/// The error response of the documentation, field by field.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorAnswer<'a> {
    success: bool,
    error_message: &'a str,
    error_code: &'a str,
}

/// A refusal, sent in the form of the documentation.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    fn credentials() -> Self {
        let message = "Invalid client_id or client_secret.";
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_CREDENTIALS", message)
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let (code, message) = match rejection {
            Rejection::Missing => ("UNAUTHORIZED", "Auth token is missing."),
            Rejection::Invalid => ("JWT_INVALID", "Auth token is invalid."),
            Rejection::Expired => ("JWT_EXPIRED", "Auth token is expired."),
            Rejection::Revoked => ("JWT_REVOKED", "Auth token is revoked."),
        };
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = ErrorAnswer {
            success: false,
            error_message: &self.message,
            error_code: &self.code,
        };
        (self.status, Json(body)).into_response()
    }
}
