//! [`call`]: the one place where an API call is made with a token.
//!
//! ```text
//! token ─▶ address ─▶ attach ─▶ send ─▶ judge ─┬─ accepted ─▶ the response
//!   ▲                   ▲                      ├─ resend ──▶ once more, same token
//!   └──── reject ───────┼──────────────────────┴─ rejected ─▶ once more, new token
//! ```
//!
//! Every client of Biped, whatever HTTP library it is for, implements [`Transport`] and calls this.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use biped_core::{
    ApiRequest, ApiRequestParts, ApiResponse, AttachContext, Error, PEEK_LIMIT, PEEK_TIME, Verdict,
    check_secure, redacted_url,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use url::Url;

use crate::{
    key::{cached::CachedToken, state::Rejection},
    source::{TokenRef, TokenSource},
};

/// The origin of requests with a relative path, until the token says where they go. Its top-level
/// domain never resolves (RFC 6761 §6.4).
pub const BASE_URL_PLACEHOLDER: &str = "https://base-url.invalid";
const PLACEHOLDER_HOST: &str = "base-url.invalid";

/// How an HTTP library sends API requests.
///
/// It does nothing but that: what a response means and what follows from it is decided by
/// [`call`].
pub trait Transport: Send {
    /// A request on its way out.
    type Request: Send;
    /// A response, its body still to come.
    type Response: Send;
    /// Why there is none.
    type Error: Send;

    /// Lends the parts of a request.
    fn parts<'r>(&self, request: &'r mut Self::Request) -> impl ApiRequestParts + Send + 'r;

    /// A second copy, to send again; `None` where the body is a stream.
    fn duplicate(&self, request: &Self::Request) -> Option<Self::Request>;

    /// Sends a request, with the certificate that the token is bound to
    /// ([`CachedToken::client_identity`]), if it is. No redirect to another origin is followed, and none
    /// at all where the provider [signs the URL](biped_core::Provider::signs_url).
    fn send(
        &mut self,
        request: Self::Request,
        token: &CachedToken,
    ) -> impl Future<Output = Result<Self::Response, Self::Error>> + Send;

    /// What a response shows before its body is read.
    fn seen<'r>(
        &self,
        response: &'r Self::Response,
    ) -> (StatusCode, &'r HeaderMap, Option<&'r Url>);

    /// Reads the body ahead, until it ends, `limit` bytes are exceeded, or `deadline` completes.
    /// The response that comes back still has all of its body; the bytes come along only where
    /// they are the whole body.
    fn peek(
        &mut self,
        response: Self::Response,
        limit: usize,
        deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> impl Future<Output = (Self::Response, Option<Bytes>)> + Send;

    /// Sees a response off whose token was accepted. A protocol that may say otherwise after the
    /// body (gRPC, in trailers) remembers the token here, and tells
    /// [`judge_late`](TokenSource::judge_late). Default: nothing to remember.
    fn accepted(
        &mut self,
        response: Self::Response,
        source: &TokenSource,
        token: &Arc<CachedToken>,
    ) -> Self::Response {
        let _ = (source, token);
        response
    }
}

/// Why a call has no response.
#[derive(Clone, Debug)]
pub enum CallError<E> {
    /// There was no token for it, or nowhere to send it. Nothing was sent, or what was sent was
    /// rejected.
    Token(Error),
    /// The HTTP library's own error.
    Transport(E),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Token(error) => Some(error),
            Self::Transport(error) => Some(error),
        }
    }
}

impl<E> From<Error> for CallError<E> {
    fn from(error: Error) -> Self {
        Self::Token(error)
    }
}

/// Sends an API request with a token of `source`.
///
/// A token that the response rejects is replaced, and the request sent once more if its body can
/// be. If the new one is rejected too, the caller gets the API's own response, unchanged. Nothing
/// else is ever sent again, and nothing is sent without a token. A call that leaves the API's origin
/// is refused before a token is asked for, unless only the vendor's answer can tell where that is
/// ([`Provider::base_urls`](biped_core::Provider::base_urls)).
///
/// # Errors
/// [`CallError::Token`] where there is no token, or the request would leave the API's origin;
/// [`CallError::Transport`] as the HTTP library says.
pub async fn call<T: Transport>(
    source: &TokenSource,
    mut request: T::Request,
    transport: &mut T,
) -> Result<T::Response, CallError<T::Error>> {
    let mut token = match source.fresh() {
        Some(token) => token,
        None => {
            let url = transport.parts(&mut request).url().into_owned();
            check_ahead(source, &url).await?;
            source.token().await?
        }
    }
    .into_owned();
    let (mut may_resend, mut may_replay) = (true, true);
    loop {
        let spare = (may_resend || may_replay)
            .then(|| transport.duplicate(&request))
            .flatten();
        prepare(source, &token, &mut transport.parts(&mut request))?;
        let response = transport
            .send(request, &token)
            .await
            .map_err(CallError::Transport)?;
        let (verdict, response) = judge(source, response, transport).await;
        match verdict {
            Verdict::Resend if may_resend => may_resend = false,
            Verdict::Rejected => {
                let rejection = source.reject(&token);
                if rejection == Rejection::CoolingDown || !may_replay {
                    return Ok(response);
                }
                may_replay = false;
            }
            _ => return Ok(transport.accepted(response, source, &token)),
        }
        let Some(next) = spare else {
            return Ok(response);
        };
        request = next;
        if verdict == Verdict::Rejected {
            // Its connection may be the one that the replay needs.
            drop(response);
            token = source.token().await?.into_owned();
        }
    }
}

/// Puts address and token on a request.
fn prepare(
    source: &TokenSource,
    token: &Arc<CachedToken>,
    parts: &mut dyn ApiRequestParts,
) -> Result<(), Error> {
    let provider = source.provider();
    let named = |error: Error| error.with_provider(provider.id().name());
    let placed = place(&parts.url(), source.base_url(token)).map_err(named)?;
    if let Some(url) = placed {
        parts.set_url(url).map_err(named)?;
    }
    source.attach(token, &mut ApiRequest::new(parts))
}

impl TokenSource {
    /// Puts a token of this source on a request, the way its vendor wants it: for those who send
    /// requests themselves and see to the rest, the origin and the rejections, as well.
    ///
    /// # Errors
    /// Where the request can't be signed.
    pub fn attach(&self, token: &CachedToken, request: &mut ApiRequest<'_>) -> Result<(), Error> {
        let provider = self.provider();
        let cx = AttachContext::new(&**self.clock(), token.call_secrets());
        provider
            .attach(token, request, &cx)
            .map_err(|error| error.with_provider(provider.id().name()))
    }

    /// Judges what came when the response was the caller's already, such as trailers: a token that
    /// it rejects is replaced for the calls to come, since this one can't be sent again.
    pub fn judge_late(&self, token: &CachedToken, seen: &ApiResponse<'_>) {
        if self.provider().judge(seen) == Verdict::Rejected {
            self.reject(token);
        }
    }
}

/// Refuses a call that can't be right whatever token comes, so that nothing at all is sent for it.
async fn check_ahead(source: &TokenSource, url: &Url) -> Result<(), Error> {
    if is_relative(url) {
        return Ok(());
    }
    let provider = source.provider();
    let configured = source.configured_base_url();
    // The guard of a token is not kept across an await.
    let held = source.held().map(TokenRef::into_owned);
    let checked = match held {
        Some(token) => place(url, source.base_url(&token)).map(drop),
        None if !allows_url(source, url, configured).await => Err(elsewhere(url, configured)),
        None => check_user(url),
    };
    checked.map_err(|error| error.with_provider(provider.id().name()))
}

/// Whether the answer to come may name the origin of `url`. Where a secret would have to tell and
/// can't be read, the fetch says so.
async fn allows_url(source: &TokenSource, url: &Url, configured: Option<&Url>) -> bool {
    match source.named_base_urls().await {
        Ok(named) => named.allows_url(url, configured),
        Err(_) => true,
    }
}

/// Where a request goes: the placeholder gives way to the base URL, and nothing leaves its origin.
/// `None`: where it is going already.
fn place(url: &Url, base: Option<&Url>) -> Result<Option<Url>, Error> {
    let is_relative = is_relative(url);
    let Some(base) = base else {
        let what = if is_relative {
            "to complete the path"
        } else {
            "to compare the URL with"
        };
        return Err(Error::configuration(format!("there is no base URL {what}"))
            .with_remedy("the vendor names none with this token; set api_base_url"));
    };
    check_secure(base)?;
    if is_relative {
        let mut placed = base.clone();
        placed.set_path(&format!(
            "{}{}",
            base.path().trim_end_matches('/'),
            url.path()
        ));
        placed.set_query(url.query());
        return Ok(Some(placed));
    }
    if url.origin() != base.origin() {
        return Err(elsewhere(url, Some(base)));
    }
    check_user(url)?;
    Ok(None)
}

fn is_relative(url: &Url) -> bool {
    url.scheme() == "https" && url.host_str() == Some(PLACEHOLDER_HOST) && url.port().is_none()
}

fn elsewhere(url: &Url, base: Option<&Url>) -> Error {
    let url = redacted_url(url);
    let Some(base) = base else {
        return Error::configuration(format!("{url} is not at the API's origin")).with_remedy(
            "call other addresses with a plain client; where the API is there, set api_base_url",
        );
    };
    let base = redacted_url(base);
    Error::configuration(format!("{url} is not at the API's origin, {base}"))
        .with_remedy("the token belongs there only; call other addresses with a plain client")
}

fn check_user(url: &Url) -> Result<(), Error> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    Err(Error::configuration(format!(
        "the URL {} has a user name in it",
        redacted_url(url)
    ))
    .with_remedy("leave it out; the token says who calls"))
}

/// What a response says about the token, and the response with its body still whole.
async fn judge<T: Transport>(
    source: &TokenSource,
    response: T::Response,
    transport: &mut T,
) -> (Verdict, T::Response) {
    let provider = source.provider();
    let now = source.clock().now().wall;
    let first = view(transport, &response, now, |seen| provider.judge(&seen));
    let Verdict::NeedsBody { limit } = first else {
        return (first, response);
    };
    let limit = limit.min(PEEK_LIMIT);
    if !is_worth_reading(transport.seen(&response).1, limit) {
        return (Verdict::Accepted, response);
    }
    let deadline = source.clock().sleep(PEEK_TIME);
    let (response, body) = transport.peek(response, limit, deadline).await;
    let Some(body) = body else {
        return (Verdict::Accepted, response);
    };
    match view(transport, &response, now, |seen| {
        provider.judge(&seen.with_body(&body))
    }) {
        Verdict::NeedsBody { .. } => (Verdict::Accepted, response),
        verdict => (verdict, response),
    }
}

fn view<T: Transport, V>(
    transport: &T,
    response: &T::Response,
    now: biped_core::Timestamp,
    judge: impl FnOnce(ApiResponse<'_>) -> V,
) -> V {
    let (status, headers, url) = transport.seen(response);
    let seen = ApiResponse::new(status, headers, now);
    judge(match url {
        Some(url) => seen.with_url(url),
        None => seen,
    })
}

/// Whether a body may be one that tells of a rejection: JSON, not encoded, not too long.
fn is_worth_reading(headers: &HeaderMap, limit: usize) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_json = text(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        kind.ends_with("/json") || kind.ends_with("+json")
    });
    let is_plain = text(header::CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
    let is_short = text(header::CONTENT_LENGTH)
        .and_then(|length| length.parse().ok())
        .is_none_or(|length: usize| length <= limit);
    is_json && is_plain && is_short
}
