//! Contentsquare's APIs, on its two clouds.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{
        FromRequestParts, Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    body,
    clients::find_project,
    contentsquare::{ENRICHMENT, Refusal},
    gate::drain,
    shared::Shared,
    token::{Claims, Presented, Rejection},
};

/// The APIs of one cloud.
pub(crate) fn routes(index: usize) -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/exports", get(exports))
        .route("/v1/speed-analysis/monitoring%20list", get(monitorings))
        .route("/v1/enrichment/integrations/{id}/data", post(push))
        .route("/v1/download", get(download))
        .layer(Extension(Cloud(index)))
}

/// The cloud of a request.
#[derive(Clone, Copy, Debug)]
struct Cloud(usize);

/// A token that is valid on this cloud.
struct Good(Claims);

impl Good {
    fn check(shared: &Shared, token: Option<&Presented>, cloud: usize) -> Result<Self, Refusal> {
        let token = token.ok_or(Rejection::Missing)?;
        shared.judge(token)?;
        let claims = token.claims.clone().ok_or(Rejection::Invalid)?;
        if find_project(claims.project_id).is_none_or(|project| project.cloud != cloud) {
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
    integration: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    // The token must be valid on arrival; the response follows the body.
    let token = Good::check(&shared, request.extensions().get::<Presented>(), cloud);
    let received = drain(request).await;
    let token = token?;
    token.require(ENRICHMENT)?;
    let granted = token.0.integration_id;
    // A path that is not UTF-8 names no integration.
    let is_named = |id: i64| matches!(&integration, Ok(Path(named)) if *named == id.to_string());
    if !granted.is_some_and(is_named) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "INTEGRATION_NOT_PERMITTED",
            "This token is for another integration.",
        ));
    }
    let received = received
        .ok_or_else(|| Refusal::bad("INVALID_PARAMETER", "The body of the request broke off."))?;
    Ok(Json(json!({
        "success": true,
        "payload": { "integrationId": granted, "receivedBytes": received },
    })))
}

/// The longest download: 1 PiB.
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
