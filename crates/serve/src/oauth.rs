//! The token endpoint of RFC 6749 §4.4, and its metadata (RFC 8414): for any OAuth library.

use std::{collections::HashSet, sync::Arc, time::Duration};

use biped::{
    CachedToken, Error, ErrorKind, ExposeSecret, TokenRef,
    provider::{Clock, SystemClock, wire},
};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{HOST, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;

use crate::{
    callers::{Identity, credentials},
    live::Served,
    params::{TokenSelection, named, scope_not_allowed},
    problem::{PROXY_STATUS, Problem},
    reply,
    route_context::{HANDED_OUT, RouteContext},
};

/// The largest form.
const MAX_FORM: usize = 64 * 1024;
/// How long a form may take to arrive at most.
const FORM_TIME: Duration = Duration::from_secs(10);

/// Before its expiry a token is no longer used: this long, or a tenth of its life.
const MARGIN: Duration = Duration::from_secs(30);

pub(crate) async fn token(
    context: &RouteContext<'_>,
    served: &Arc<Served>,
    request: Request<Incoming>,
) -> Result<Response<Bytes>, Problem> {
    let (parts, body) = request.into_parts();
    // Who calls is in the form.
    let body = tokio::select! {
        biased;
        body = Limited::new(body, MAX_FORM).collect() => body,
        () = SystemClock.sleep(FORM_TIME.min(context.live.serve.idle_timeout)) => {
            let what = "the form did not arrive in time";
            return Err(Problem::new("incomplete-body", what).close());
        }
    };
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => Problem::new("body-too-large", "the form is too large").close(),
        false => Problem::new("incomplete-body", "the form ended early").close(),
    })?;
    let form = match Form::read(&body.to_bytes()) {
        Ok(form) => form,
        Err(refusal) => return Ok(refusal.response()),
    };
    let mut secrets = credentials(&parts.headers);
    secrets.extend(form.secret.clone());
    let answer = async {
        let identity = identify(context, served, &secrets).await?;
        let context = RouteContext {
            identity: &identity,
            ..*context
        };
        let selection = TokenSelection::read(&[], &parts.headers);
        let selection =
            selection.map_err(|problem| Refusal::new("invalid_request", problem.detail.clone()))?;
        issue(&context, served, form, selection).await
    };
    Ok(answer
        .await
        .unwrap_or_else(|refusal: Refusal| refusal.response()))
}

/// The fields of a form that choose the token.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_form(body: &[u8]) -> Option<Vec<(String, String)>> {
    Form::read(body).ok().map(|form| form.selection)
}

/// A form of RFC 6749 §4.4.2.
struct Form {
    grant: Option<String>,
    secret: Option<String>,
    selection: Vec<(String, String)>,
}

impl Form {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        let mut form = Self {
            grant: None,
            secret: None,
            selection: Vec::new(),
        };
        let mut seen = HashSet::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            // A parameter must not be given twice (§3.2).
            if !seen.insert(name.clone()) {
                let what = format!("{} is given twice; send one", named("field", &name));
                return Err(Refusal::new("invalid_request", what));
            }
            match &*name {
                "grant_type" => form.grant = Some(value.into_owned()),
                "client_secret" => form.secret = Some(value.into_owned()),
                "client_id" => {}
                // An empty value counts as missing (§3.1).
                _ if value.is_empty() => {}
                _ => form.selection.push((name.into_owned(), value.into_owned())),
            }
        }
        Ok(form)
    }
}

async fn identify(
    context: &RouteContext<'_>,
    served: &Served,
    given: &[String],
) -> Result<Identity, Refusal> {
    if context.live.callers.is_empty() {
        return match context.hands_out_to(None) {
            true => Ok(None),
            false => Err(Refusal::new("invalid_client", HANDED_OUT)),
        };
    }
    let unknown = || {
        Refusal::new(
            "invalid_client",
            "the caller is unknown; send its token as client_secret",
        )
    };
    let found = context.live.callers.find(given, context.peer).await;
    let caller = found.ok_or_else(unknown)?;
    if !caller.may_use(&served.name) || !context.hands_out_to(Some(caller.may_have_tokens())) {
        let what = "this caller may not have tokens of the provider; set tokens = true in its table, and list \
                    the provider in its providers";
        return Err(Refusal::new("unauthorized_client", what));
    }
    Ok(Some(caller))
}

/// Issues a token for what the `Biped-…` headers and the fields of the form want.
async fn issue(
    context: &RouteContext<'_>,
    served: &Served,
    form: Form,
    mut selection: TokenSelection,
) -> Result<Response<Bytes>, Refusal> {
    match form.grant.as_deref() {
        Some("client_credentials") => {}
        Some(_) => {
            let what = "the only grant is client_credentials";
            return Err(Refusal::new("unsupported_grant_type", what));
        }
        None => return Err(Refusal::new("invalid_request", "grant_type is missing")),
    }
    for (name, value) in form.selection {
        let added = selection.add(&name, value);
        added.map_err(|problem| Refusal::new("invalid_request", problem.detail.clone()))?;
    }
    if !selection.is_scope_allowed(served) {
        return Err(Refusal::new("invalid_scope", scope_not_allowed(served)));
    }
    let source = context
        .source(&selection, served)
        .map_err(|problem| match problem.word {
            "too-many-keys" => Refusal::new("temporarily_unavailable", problem.detail.clone())
                .after(problem.retry_after.unwrap_or(Duration::from_secs(60))),
            _ => Refusal::new("invalid_request", problem.detail.clone()),
        })?;
    let token = source.token().await.map(TokenRef::into_owned);
    let token = token.map_err(|error| Refusal::of(&error))?;
    let is_bound = token.confirmation().is_some()
        || token.client_identity().is_some()
        || token.token_type().eq_ignore_ascii_case("dpop");
    if is_bound {
        let what = "the token is bound to a key of this sidecar; use the proxy route";
        return Err(Refusal::new("unauthorized_client", what));
    }
    let now = source.clock().now().wall;
    let longest = context.live.serve.oauth_max_ttl;
    let mut body = json!({
        "access_token": token.expose_secret(),
        "token_type": token.token_type(),
        "expires_in": usable(&token, now).unwrap_or(longest).min(longest).as_secs(),
    });
    let scope = token.scope().map(str::to_owned);
    if let Some(scope) = scope.or_else(|| source.request().joined_scopes(" ")) {
        body["scope"] = json!(scope);
    }
    Ok(reply::json(&body))
}

/// How long a token is used from now on.
fn usable(token: &CachedToken, now: biped::Timestamp) -> Option<Duration> {
    let margin = MARGIN.min(token.lifetime()? / 10);
    let left = token.expires_at()?.since(now);
    Some(left.saturating_sub(margin).max(Duration::from_secs(1)))
}

/// Marks a response as a refusal, whose word the log and the metrics show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused(pub(crate) &'static str);

/// An error of RFC 6749 §5.2.
#[derive(Debug)]
struct Refusal {
    error: &'static str,
    description: String,
    after: Option<Duration>,
}

impl Refusal {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self {
            error,
            description: description.into(),
            after: None,
        }
    }

    fn after(mut self, time: Duration) -> Self {
        self.after = Some(time);
        self
    }

    /// Why there is no token.
    fn of(error: &Error) -> Self {
        let vendor = error.vendor();
        let reason = vendor.and_then(|vendor| vendor.reason.as_deref());
        if error.kind() == ErrorKind::Refused && reason == Some("invalid_scope") {
            return Self::new("invalid_scope", described(error));
        }
        let wait = error.retry_after().unwrap_or_default();
        let wait = wait.max(Duration::from_secs(1));
        Self::new("temporarily_unavailable", described(error)).after(wait)
    }

    fn response(self) -> Response<Bytes> {
        // Only these characters may be in a description (RFC 6749 §5.2).
        let description: String = self
            .description
            .chars()
            .map(|c| match c {
                '"' | '\\' => '\'',
                ' '..='~' => c,
                _ => '?',
            })
            .collect();
        let body = json!({"error": self.error, "error_description": description});
        let mut response = reply::json(&body);
        *response.status_mut() = match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        response.extensions_mut().insert(Refused(self.error));
        let headers = response.headers_mut();
        // An answer without it is the vendor's.
        let said = match self.error {
            "temporarily_unavailable" => "destination_unavailable",
            "invalid_request" => "http_request_error",
            _ => "http_request_denied",
        };
        let said = format!("biped; error={said}; details=\"{description}\"");
        if let Ok(said) = said.parse() {
            headers.insert(PROXY_STATUS, said);
        }
        if self.error == "invalid_client" {
            let basic = HeaderValue::from_static("Basic realm=\"biped\"");
            headers.insert(WWW_AUTHENTICATE, basic);
        }
        if let Some(time) = self.after {
            let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn described(error: &Error) -> String {
    let vendor = error.vendor().cloned();
    let said = vendor.and_then(|vendor| vendor.cut_and_escaped().message);
    match said {
        Some(said) => format!("{}: {said}", wire::escaped(error.message())),
        None => wire::escaped(error.message()).into_owned(),
    }
}

/// RFC 8414.
pub(crate) fn metadata<B>(
    context: &RouteContext<'_>,
    served: &Served,
    request: &Request<B>,
) -> Result<Response<Bytes>, Problem> {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.or(request.uri().authority().map(http::uri::Authority::as_str));
    let host = host.unwrap_or("localhost");
    let scheme = if context.peer.secured.is_some() {
        "https"
    } else {
        "http"
    };
    let issuer = format!("{scheme}://{host}/-/oauth/{}", served.name);
    Ok(reply::json(&json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/token"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    })))
}
