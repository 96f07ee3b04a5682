//! [`call`]: the one place where an API call is made with a token.
//!
//! ```text
//! token ─▶ address ─▶ attach ─▶ send ─▶ judge ─┬─ accepted ─▶ the response
//!   ▲                   ▲                      ├─ resend ──▶ once more, same token
//!   └──── reject ───────┼──────────────────────┴─ rejected ─▶ once more, new token
//! ```
//!
//! Every client of Biped, whatever HTTP library it is for, implements [`Transport`] and calls this.

mod address;
mod judge;
mod transport;

use std::{pin::pin, sync::Arc};

use biped_core::{
    ApiRequest, ApiRequestParts, ApiResponse, AttachContext, Error, ExposeSecret as _, Now,
    Verdict, redacted_url, wire::Redactor,
};
use http::{Method, StatusCode};
use tracing::{Instrument as _, Span};
use url::Url;

pub use self::{
    address::BASE_URL_PLACEHOLDER,
    transport::{CallError, Transport},
};
use self::{
    address::{check_fragment, check_user, elsewhere, is_relative, place},
    judge::judge,
};
use crate::{
    key::{cached::CachedToken, state::Rejection},
    source::TokenSource,
    spans,
    telemetry::Requests,
    token_ref::TokenRef,
};

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
    let mut resends = 0;
    loop {
        let spare = (may_resend || may_replay)
            .then(|| transport.duplicate(&request))
            .flatten();
        prepare(source, &token, &mut transport.parts(&mut request))?;
        let log = Log::of(source, &token, &mut transport.parts(&mut request), resends);
        resends += 1;
        let span = log.as_ref().map_or_else(Span::none, |log| log.span.clone());
        let response = {
            // Where it is: to move it would be to copy all of its states.
            let sending = pin!(transport.send(request, &token));
            sending.instrument(span).await
        };
        if let Some(log) = log {
            let answered = response.as_ref().ok();
            log.end(source, answered.map(|response| transport.seen(response).0));
        }
        let response = response.map_err(CallError::Transport)?;
        let (verdict, response) = judge(source, response, transport).await;
        match verdict {
            Verdict::Resend if may_resend => may_resend = false,
            Verdict::Rejected => {
                let rejection = source.reject(&token);
                transport.rejected(rejection);
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
            token = source.replacement().await?.into_owned();
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
    let placed =
        place(&parts.url(), source.base_url(token), provider.plain_http()).map_err(named)?;
    if let Some(url) = placed {
        parts.set_url(url).map_err(named)?;
    }
    source.attach(token, &mut ApiRequest::new(parts))
}

/// A call that a log wants to hear of.
struct Log {
    method: Method,
    /// Without the token and what signs the call.
    url: String,
    sent: Now,
    span: Span,
}

impl Log {
    fn of(
        source: &TokenSource,
        token: &CachedToken,
        parts: &mut dyn ApiRequestParts,
        resends: u32,
    ) -> Option<Self> {
        let provider = source.provider().id().name();
        if Requests::of(provider).is_none() && !spans::are_on() {
            return None;
        }
        let secrets = token
            .call_secrets()
            .iter()
            .map(|(_, secret)| secret.expose_secret());
        let redactor = Redactor::new(secrets.chain([token.expose_secret()]));
        let (method, url) = (parts.method(), parts.url());
        let shown = redactor.redacted(&redacted_url(&url)).into_owned();
        Some(Self {
            span: spans::of_attempt(&spans::Attempt {
                provider,
                method,
                shown: &shown,
                url: &url,
                resends,
            }),
            method: method.clone(),
            url: shown,
            sent: source.clock().now(),
        })
    }

    fn end(self, source: &TokenSource, status: Option<StatusCode>) {
        spans::answered(&self.span, status);
        let took = source.clock().now().mono.saturating_sub(self.sent.mono);
        if let Some(requests) = Requests::of(source.provider().id().name()) {
            requests.called(&self.method, &self.url, status, took);
        }
    }
}

impl TokenSource {
    /// Puts a token of this source on a request, the way its vendor wants it: for code that
    /// sends requests itself, and checks the origin and handles rejections as well.
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
    let provider = source.provider();
    check_fragment(url).map_err(|error| error.with_provider(provider.id().name()))?;
    if is_relative(url) {
        return Ok(());
    }
    let configured = source.configured_base_url();
    // The guard of a token is not kept across an await.
    let held = source.held().map(TokenRef::into_owned);
    let checked = match held {
        Some(token) => place(url, source.base_url(&token), provider.plain_http()).map(drop),
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
