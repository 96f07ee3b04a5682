//! `/-/token/NAME` and `/-/header/NAME`: tokens for programs that send their requests themselves.

use std::sync::Arc;

use biped::{CachedToken, ExposeSecret, TokenRef, TokenSource};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::ACCEPT};
use serde_json::{Value, json};

use crate::{
    live::Served,
    params::{TokenSelection, whole_seconds, wrong},
    problem::Problem,
    reply,
    route_context::RouteContext,
};

pub(crate) async fn token<B>(
    context: &RouteContext<'_>,
    served: &Served,
    request: &Request<B>,
) -> Result<Response<Bytes>, Problem> {
    let (source, token) = get(context, served, request).await?;
    if prefers_text(request.headers()) {
        let text = Bytes::copy_from_slice(token.expose_secret().as_bytes());
        return Ok(reply::text(text));
    }
    Ok(reply::json(&described(&served.name, &source, &token)))
}

/// Whether plain text is asked for, and JSON is not at least as much.
fn prefers_text(headers: &HeaderMap) -> bool {
    let (mut text, mut json, mut any) = (0.0, 0.0, 0.0_f32);
    let values = headers.get_all(ACCEPT).iter();
    for part in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let mut parameters = part.split(';').map(str::trim);
        let kind = parameters.next().unwrap_or_default().to_ascii_lowercase();
        let weight = match &*kind {
            "text/plain" => &mut text,
            "application/json" => &mut json,
            "*/*" | "application/*" => &mut any,
            _ => continue,
        };
        let quality = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("q").then(|| value.parse())
        });
        *weight = quality.unwrap_or(Ok(1.0)).unwrap_or(0.0);
    }
    text > json && text >= any
}

pub(crate) async fn header<B>(
    context: &RouteContext<'_>,
    served: &Served,
    request: &Request<B>,
) -> Result<Response<Bytes>, Problem> {
    let (_, token) = get(context, served, request).await?;
    let header = token.header().to_str().unwrap_or_default();
    Ok(reply::json(&json!({"authorizationHeader": header})))
}

async fn get<B>(
    context: &RouteContext<'_>,
    served: &Served,
    request: &Request<B>,
) -> Result<(TokenSource, Arc<CachedToken>), Problem> {
    let mut selection = TokenSelection::read(&[], request.headers())?;
    let query = request.uri().query().unwrap_or_default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "scope" => selection.add("scope", value.into_owned())?,
            "tenant" => selection.add("tenant", value.into_owned())?,
            "min_ttl" => {
                let least = whole_seconds(&value);
                let what = "min_ttl: expected a whole number of seconds";
                selection.min_ttl = Some(least.ok_or_else(|| wrong(what))?);
            }
            name => {
                let what = "expected scope, min_ttl or param.NAME in the query";
                let name = name.strip_prefix("param.").ok_or_else(|| wrong(what))?;
                selection.add(name, value.into_owned())?;
            }
        }
    }
    let source = context.source(&selection, served)?;
    let token = match selection.min_ttl {
        Some(least) => source.token_with(least).await,
        None => source.token().await,
    };
    let token = token.map(TokenRef::into_owned);
    let token = token.map_err(|error| Problem::of_token(&error, false).provider(&served.name))?;
    Ok((source, token))
}

/// A token as `biped token --format json` prints it.
pub(crate) fn described(name: &str, source: &TokenSource, token: &CachedToken) -> Value {
    let now = source.clock().now().wall;
    let expires_at = token.expires_at();
    let scope = token.scope().map(str::to_owned);
    let base = source.base_url(token);
    let whole = |at: biped::Timestamp| biped::Timestamp::from_unix_seconds(at.unix_seconds());
    json!({
        "access_token": token.expose_secret(),
        "token_type": token.token_type(),
        "expires_at": expires_at.map(|at| whole(at).to_string()),
        "expires_in": expires_at.map(|at| at.since(now).as_secs()),
        "scope": scope.or_else(|| source.request().joined_scopes(" ")),
        "base_url": base.map(|base| base.as_str().trim_end_matches('/')),
        "provider": name,
    })
}
