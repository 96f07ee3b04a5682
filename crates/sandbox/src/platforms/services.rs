//! The platforms' services, as strict as their documentation: a request that lacks a header is refused.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State as Of},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use super::state::{Caller, PLATFORM_LIFETIME, Party, State};

type Parameters = Query<HashMap<String, String>>;

/// Where App Service and Container Apps have their endpoint.
pub(super) const APP_SERVICE: &str = "/msi/token";

/// Where the agent of Arc has its.
pub(super) const ARC: &str = "/arc/metadata/identity/oauth2/token";

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/github/token", get(github))
        .route(FORGEJO, get(forgejo))
        .route(
            "/computeMetadata/v1/instance/service-accounts/{account}/identity",
            get(gcp_identity),
        )
        .route(
            "/computeMetadata/v1/instance/service-accounts/{account}/token",
            get(gcp_access),
        )
        .route(APP_SERVICE, get(app_service))
        .route(ARC, get(arc))
        .route("/metadata/identity/oauth2/token", get(virtual_machine))
        .route("/any/token", get(any).post(any))
}

/// Where Forgejo has the endpoint of a job.
pub(super) const FORGEJO: &str = "/forgejo/api/actions/_apis/pipelines/workflows/7/idtoken";

/// What a request to a platform lacks.
struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, message) = self;
        let body = json!({ "error": "invalid_request", "error_description": message });
        (status, Json(body)).into_response()
    }
}

fn wrong(message: &'static str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message)
}

fn wanted<'a>(
    query: &'a HashMap<String, String>,
    name: &str,
    missing: &'static str,
) -> Result<&'a str, Refusal> {
    let value = query.get(name).map(String::as_str);
    value.filter(|it| !it.is_empty()).ok_or(wrong(missing))
}

fn has(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get(name).is_some_and(|it| it == value)
}

/// The credentials after a scheme, which may have any case.
pub(super) fn after<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (found, rest) = value.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

async fn github(
    Of(state): Of<Arc<State>>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    job(&state, Party::GitHub, &query, &headers)
}

async fn forgejo(
    Of(state): Of<Arc<State>>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    job(&state, Party::Forgejo, &query, &headers)
}

fn job(
    state: &State,
    party: Party,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
) -> Result<Json<Value>, Refusal> {
    if after(headers, "bearer") != Some(&state.runner) {
        return Err(Refusal(
            StatusCode::UNAUTHORIZED,
            "the runner's token is another",
        ));
    }
    // The runner's own parameter stays in the query.
    wanted(
        query,
        "api-version",
        "the query of the variable is not complete",
    )?;
    let default = "https://github.com/biped".to_owned();
    let audience = query.get("audience").unwrap_or(&default);
    let token = state.signed(party, &json!(audience), PLATFORM_LIFETIME);
    Ok(Json(json!({ "count": 1, "value": token })))
}

const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

fn is_googles(headers: &HeaderMap) -> Result<(), Refusal> {
    match has(headers, "metadata-flavor", "Google") {
        true => Ok(()),
        false => Err(Refusal(
            StatusCode::FORBIDDEN,
            "missing Metadata-Flavor: Google",
        )),
    }
}

async fn gcp_identity(
    Of(state): Of<Arc<State>>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    is_googles(&headers)?;
    let audience = wanted(&query, "audience", "non-empty audience parameter required")?;
    let token = state.signed(Party::Gcp, &json!(audience), PLATFORM_LIFETIME);
    Ok(([FLAVOR], token).into_response())
}

async fn gcp_access(
    Of(state): Of<Arc<State>>,
    Path(account): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    is_googles(&headers)?;
    let caller = Caller {
        party: "gcp",
        subject: account,
    };
    let token = state.issue(caller, PLATFORM_LIFETIME);
    let lifetime = PLATFORM_LIFETIME.as_secs();
    let body = json!({ "access_token": token, "expires_in": lifetime, "token_type": "Bearer" });
    Ok(([FLAVOR], Json(body)).into_response())
}

/// A token for the resource in a query, in this version of the interface.
fn azure(state: &State, query: &HashMap<String, String>, version: &str) -> Result<Value, Refusal> {
    if query.get("api-version").map(String::as_str) != Some(version) {
        return Err(wrong("the api-version is not supported"));
    }
    let resource = wanted(query, "resource", "the resource is missing")?;
    let token = state.signed(Party::Azure, &json!(resource), PLATFORM_LIFETIME);
    let expiry = state.now().after(PLATFORM_LIFETIME).unix_seconds();
    Ok(json!({
        "access_token": token, "resource": resource, "token_type": "Bearer",
        "expires_on": expiry.to_string(), "client_id": "00000000-0000-0000-0000-000000000007",
    }))
}

async fn app_service(
    Of(state): Of<Arc<State>>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    if !has(&headers, "x-identity-header", &state.identity_header) {
        return Err(Refusal(
            StatusCode::UNAUTHORIZED,
            "the X-IDENTITY-HEADER is another",
        ));
    }
    azure(&state, &query, "2019-08-01").map(Json)
}

fn is_azures(headers: &HeaderMap) -> Result<(), Refusal> {
    match has(headers, "metadata", "true") {
        true => Ok(()),
        false => Err(wrong("required metadata header not specified")),
    }
}

async fn arc(
    Of(state): Of<Arc<State>>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    is_azures(&headers)?;
    let token = azure(&state, &query, "2020-06-01")?;
    if after(&headers, "basic").is_some_and(|content| state.is_of_arc(content)) {
        return Ok(Json(token).into_response());
    }
    // A new key for each challenge, which only those may read who may have the token.
    let file = state.key_file_of_arc().map_err(|_| {
        let message = "the key file can't be written";
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, message)
    })?;
    let challenge = format!("Basic realm={}", file.display());
    Ok((
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, challenge)],
    )
        .into_response())
}

async fn virtual_machine(
    Of(state): Of<Arc<State>>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    is_azures(&headers)?;
    let mut token = azure(&state, &query, "2018-02-01")?;
    token["expires_in"] = PLATFORM_LIFETIME.as_secs().to_string().into();
    Ok(Json(token))
}

/// A token for the issuer, from an endpoint of no platform in particular.
async fn any(Of(state): Of<Arc<State>>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    if after(&headers, "bearer") != Some(&state.runner) {
        return Err(Refusal(
            StatusCode::UNAUTHORIZED,
            "the bearer token is another",
        ));
    }
    let token = state.signed(Party::Any, &json!(state.issuer()), PLATFORM_LIFETIME);
    Ok(Json(json!({ "data": { "token": token } })))
}
