//! Contentsquare: its token endpoint, `/me`, and the APIs on its two clouds.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::{FromRequestParts, Path, Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    body,
    clients::{CLIENTS, Client, Level, project},
    fault::Vendor,
    gate::{Place, drain},
    shared::{Grant, Shared},
    stats::Caller,
    token::{Claims, Presented, Rejection},
};

/// The endpoints at `api.contentsquare.com`.
pub(crate) fn accounts() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/oauth/token", post(token))
        .route("/v1/oauth/me", post(me))
}

/// The APIs of one cloud.
pub(crate) fn cloud(index: usize) -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/exports", get(exports))
        .route("/v1/speed-analysis/monitoring%20list", get(monitorings))
        .route("/v1/enrichment/integrations/{id}/data", post(push))
        .route("/v1/download", get(download))
        .layer(Extension(Cloud(index)))
}

/// Who sent a token request or an inspection, as far as its body tells.
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

/// The error answer for a status alone.
pub(crate) fn failure(status: StatusCode, place: Place) -> Response {
    if status == StatusCode::UNAUTHORIZED {
        return match place {
            Place::Api => Refusal::from(Rejection::Expired),
            Place::Token | Place::Inspection => Refusal::credentials(),
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

// The token endpoint.

/// The documents' answer, field by field.
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
        .projects()
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
        // With any other scope the parameter means nothing.
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

const ENRICHMENT: &str = "enrichment";

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
        .projects()
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
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
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

// The APIs.

/// The cloud a request came to.
#[derive(Clone, Copy, Debug)]
struct Cloud(usize);

/// A token that is good on this cloud.
struct Good(Claims);

impl Good {
    fn check(shared: &Shared, token: Option<&Presented>, cloud: usize) -> Result<Self, Refusal> {
        let token = token.ok_or(Rejection::Missing)?;
        shared.judge(token)?;
        let claims = token.claims.clone().ok_or(Rejection::Invalid)?;
        if project(claims.project_id).is_none_or(|project| project.cloud != cloud) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "PROJECT_NOT_ON_THIS_CLOUD",
                format!("Project {} is not on this cloud.", claims.project_id),
            ));
        }
        Ok(Self(claims))
    }

    fn require(&self, scope: &str) -> Result<(), Refusal> {
        if self
            .0
            .scope
            .split_ascii_whitespace()
            .any(|granted| granted == scope)
        {
            return Ok(());
        }
        let message = format!("This needs a token with the scope {scope}.");
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "INSUFFICIENT_SCOPE",
            message,
        ))
    }
}

impl FromRequestParts<Arc<Shared>> for Good {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let cloud = parts.extensions.get::<Cloud>().map_or(0, |cloud| cloud.0);
        Self::check(shared, parts.extensions.get::<Presented>(), cloud)
    }
}

async fn exports(token: Good) -> Result<Json<Value>, Refusal> {
    token.require("data-export")?;
    let project_id = token.0.project_id;
    let jobs: Vec<_> = ["sessions", "pageviews"]
        .iter()
        .zip(1..)
        .map(|(scope, at)| {
            json!({
                "id": format!("{project_id}-{at}"),
                "name": format!("Daily {scope}"),
                "scope": scope,
                "projectId": project_id,
                "format": "JSONL",
                "frequency": "daily",
            })
        })
        .collect();
    Ok(Json(json!({ "success": true, "payload": jobs })))
}

async fn monitorings(token: Good) -> Result<Json<Value>, Refusal> {
    token.require("speed-analysis")?;
    let project_id = token.0.project_id;
    let monitorings = json!([
        { "id": 1, "name": "Home page", "url": "https://shop.example/", "projectId": project_id },
        { "id": 2, "name": "Basket", "url": "https://shop.example/basket", "projectId": project_id },
    ]);
    Ok(Json(
        json!({ "success": true, "payload": { "monitorings": monitorings } }),
    ))
}

async fn push(
    State(shared): State<Arc<Shared>>,
    Extension(Cloud(cloud)): Extension<Cloud>,
    Path(integration): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    // The token counts on arrival; the answer comes after the body.
    let token = Good::check(&shared, request.extensions().get::<Presented>(), cloud);
    let received = drain(&shared, request).await;
    let token = token?;
    token.require(ENRICHMENT)?;
    let granted = token.0.integration_id;
    if granted.is_none_or(|id| id.to_string() != integration) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "INTEGRATION_NOT_PERMITTED",
            "This token is for another integration.",
        ));
    }
    Ok(Json(json!({
        "success": true,
        "payload": { "integrationId": granted, "receivedBytes": received },
    })))
}

/// No download is longer: 1 PiB.
const LONGEST: u64 = 1 << 50;

#[derive(Debug, Deserialize)]
struct Download {
    bytes: u64,
}

async fn download(
    State(shared): State<Arc<Shared>>,
    token: Good,
    query: Result<Query<Download>, QueryRejection>,
) -> Result<Response, Refusal> {
    token.require("data-export")?;
    let bytes = query
        .ok()
        .map(|Query(Download { bytes })| bytes)
        .filter(|&b| b <= LONGEST);
    let bytes = bytes.ok_or_else(|| {
        Refusal::bad(
            "INVALID_PARAMETER",
            format!("bytes must be a number up to {LONGEST}."),
        )
    })?;
    let body = body::counted(bytes, shared.stopped());
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// An error answer in the documents' form.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    fn bad(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
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
        let body = json!({
            "success": false,
            "errorMessage": self.message,
            "errorCode": self.code,
        });
        (self.status, Json(body)).into_response()
    }
}
