//! A call of an API through the sidecar.

mod answer;
mod place;

use std::{sync::Arc, time::Duration};

use biped::{
    CachedToken, TokenRef, TokenSource,
    client::{CallError, call as biped_call},
    provider::{Clock, SystemClock},
};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri, header::CONTENT_LENGTH};
use hyper::body::{Body as _, Incoming};

use self::place::Wanted;
use crate::{
    allow::allows,
    body::{AnswerBody, Limits, Watch, incoming},
    callers::{Identity, check_may_use},
    guard, headers,
    limiter::{Limiter, Permit},
    live::{Live, Served},
    meter::Replayed,
    observe::Call,
    params::{TokenSelection, one, whole_seconds, wrong},
    problem::Problem,
    shared::Shared,
    target::{self, BadPath, Target},
    transport::{Answer, ApiTransport, Outgoing, Seen},
    upstream::Failure,
};

const TIMEOUT: HeaderName = HeaderName::from_static("biped-timeout");

/// A request for an API.
pub(crate) struct ProxyRequest<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) live: &'a Live,
    pub(crate) identity: &'a Identity,
    /// The provider of the listener, if it has one.
    pub(crate) listener: Option<&'a str>,
}

/// A call that may be made, once there is a token.
struct Admitted<'c> {
    served: &'c Arc<Served>,
    uri: &'c Uri,
    /// `/NAME;K=V`, as it was written.
    prefix: &'c str,
    wanted: Wanted,
    source: TokenSource,
    min_ttl: Option<Duration>,
    timeout: Duration,
    permits: [Permit; 2],
}

impl ProxyRequest<'_> {
    /// Calls the API. The problem says why it was not called, or did not answer.
    pub(crate) async fn run(
        &self,
        request: Box<Request<Incoming>>,
        mut call: Box<Call>,
    ) -> (Response<AnswerBody>, Option<Box<Call>>) {
        let is_grpc = headers::is_grpc(request.headers());
        match self.forward(request, is_grpc, &mut call).await {
            Ok((response, permits)) => {
                call.status = Some(response.status());
                let watch = Watch {
                    call,
                    _permits: Some(permits),
                };
                (response.map(|body| body.watched(watch)), None)
            }
            Err(problem) => {
                let response = self.shared.refuse(problem, is_grpc, &mut call);
                (response, Some(call))
            }
        }
    }

    async fn forward(
        &self,
        request: Box<Request<Incoming>>,
        is_grpc: bool,
        call: &mut Call,
    ) -> Result<(Response<AnswerBody>, [Permit; 2]), Problem> {
        let uri = request.uri().clone();
        let (served, target) = self.find(&uri)?;
        call.set_provider(&served.name, &served.series);
        let called = async {
            let admitted = self.admit(served, &target, &uri, &request)?;
            let waited = self.wait_for_token(&admitted, &request).await?;
            let response = self.send(&admitted, waited, request, is_grpc, call).await?;
            Ok((response, admitted.permits))
        };
        called
            .await
            .map_err(|problem: Problem| problem.provider(&served.name))
    }

    /// Checks what can be checked before there is a token.
    fn admit<'c>(
        &self,
        served: &'c Arc<Served>,
        target: &Target<'c>,
        uri: &'c Uri,
        request: &Request<Incoming>,
    ) -> Result<Admitted<'c>, Problem> {
        guard::check_path(uri)?;
        // Most requests say nothing to the sidecar itself.
        let nothing = HeaderMap::new();
        let said = match headers::have_own(request.headers()) {
            true => request.headers(),
            false => &nothing,
        };
        let wanted = Wanted::read(target, uri, said)?;
        if let Wanted::Below(_) = &wanted {
            self.check_allowed(served, request, target.rest)?;
        }
        let selection = TokenSelection::read(&target.params, said)?;
        let source = selection.source(served, self.identity)?;
        if !selection.is_plain() {
            let key = selection.key(&served.name);
            self.shared.admit_key(self.identity, &key, self.live)?;
        }
        guard::check_upgrade_and_expect(request.headers())?;
        let timeout = self.timeout(served, said)?;
        check_length(request, self.live.serve.max_body)?;
        Ok(Admitted {
            served,
            uri,
            prefix: target.prefix,
            wanted,
            source,
            min_ttl: selection.min_ttl,
            timeout,
            permits: self.permits(served)?,
        })
    }

    /// Waits until there is a token, and returns for how long. This comes before the body is read, so that a
    /// call that can't be made is refused before its caller sends much.
    async fn wait_for_token(
        &self,
        admitted: &Admitted<'_>,
        request: &Request<Incoming>,
    ) -> Result<Option<Duration>, Problem> {
        let source = &admitted.source;
        let started = SystemClock.now().mono;
        let (token, waited) = token(source, admitted.min_ttl)
            .await
            .map_err(|error| Problem::of_token(&error, false))?;
        let waited = waited.then(|| SystemClock.now().mono.saturating_sub(started));
        if let Wanted::Complete(url, uri) = &admitted.wanted {
            let rest = Wanted::rest_of(url, uri, source.base_url(&token))?;
            self.check_allowed(admitted.served, request, rest)?;
        }
        Ok(waited.filter(|time| time.as_millis() > 0))
    }

    /// Sends the call, and makes the response that the caller gets.
    async fn send(
        &self,
        admitted: &Admitted<'_>,
        waited: Option<Duration>,
        request: Box<Request<Incoming>>,
        is_grpc: bool,
        call: &mut Call,
    ) -> Result<Response<AnswerBody>, Problem> {
        let Admitted { served, source, .. } = admitted;
        let (parts, body) = (*request).into_parts();
        let limits = Limits {
            max: self.live.serve.max_body,
            keep: self.live.serve.replay_body,
            idle: self.idle(served),
            keep_cookies: served.settings.forward_cookies,
        };
        let version = parts.version;
        let takes_trailers = headers::takes_trailers(&parts.headers);
        let body = incoming(body, limits, &call.upload)
            .await
            .map_err(|why| why.problem().unsent())?;
        let mut sent = parts.headers;
        // Trailers go with a body whose length is not announced.
        let may_have_trailers = body.bytes().is_none() || body.size_hint().exact().is_none();
        let keep_cookies = limits.keep_cookies;
        headers::to_api(&mut sent, keep_cookies, may_have_trailers, is_grpc);
        headers::announce_body(&mut sent, &parts.method, &body);
        if served.settings.via {
            headers::add_via(&mut sent, version);
        }
        let uri = admitted.uri.clone();
        let outgoing = match &admitted.wanted {
            Wanted::Below(start) => Outgoing::below(parts.method, sent, body, uri, *start),
            Wanted::Complete(url, uri) => {
                let (uri, url) = (uri.clone(), url.clone());
                Outgoing::complete(parts.method, sent, body, uri, url)
            }
        };
        let mut transport = ApiTransport {
            upstream: &served.upstream,
            source,
            http2: served.settings.http2,
            replay: self.live.serve.replay,
            is_grpc,
            timeout: admitted.timeout,
            upload: call.upload.clone(),
            series: &served.series,
            seen: Seen::default(),
        };
        let outcome = biped_call(source, Box::new(outgoing), &mut transport).await;
        let seen = transport.seen;
        if seen.rejection.is_some() {
            served.series.replayed(replayed(&outcome, &seen));
        }
        call.replayed = seen.was_replayed;
        call.api_time = seen.api_time;
        let answer = outcome.map_err(|failure| problem_of(&failure, &seen))?;
        let shown = answer::Shown {
            prefix: admitted.prefix,
            settings: &served.settings,
            idle: self.idle(served),
            version,
            takes_trailers,
            waited,
            seen: &seen,
        };
        shown.response(*answer)
    }

    /// The provider that a target names.
    fn find<'u>(&self, uri: &'u Uri) -> Result<(&Arc<Served>, Target<'u>), Problem> {
        let path = uri.path();
        let target = match self.listener {
            Some(_) => Ok(Target {
                name: "",
                prefix: "",
                params: Vec::new(),
                rest: path,
            }),
            None => target::split(path),
        };
        let target = target.map_err(|BadPath(what)| Problem::new("bad-path", what))?;
        let name = self.listener.unwrap_or(target.name);
        let served = self.live.served(name).ok_or_else(|| self.unknown(path))?;
        check_may_use(self.identity, &served.name)?;
        Ok((served, target))
    }

    fn unknown(&self, path: &str) -> Problem {
        let mut what = match &self.live.names_for(self.identity)[..] {
            [] => "there is no such provider".to_owned(),
            names => format!(
                "there is no such provider; expected a path that begins with one of /{}",
                names.join(", /")
            ),
        };
        if path == "/" && self.live.serve.page {
            what += "; the state of the sidecar is at /-/";
        }
        Problem::new("unknown-provider", what)
    }

    fn check_allowed(
        &self,
        served: &Served,
        request: &Request<Incoming>,
        rest: &str,
    ) -> Result<(), Problem> {
        let settings = &served.settings;
        let rest = if rest.is_empty() { "/" } else { rest };
        let method = request.method().as_str();
        if !allows(settings.allow.as_deref(), &settings.deny, method, rest) {
            let what = "the configuration does not allow this method and path; see allow and deny in \
                        [serve.providers.NAME]";
            return Err(Problem::new("not-allowed", what));
        }
        match self.live.serve.require_header {
            true => guard::check_header(request.headers()),
            false => Ok(()),
        }
    }

    fn timeout(&self, served: &Served, said: &HeaderMap) -> Result<Duration, Problem> {
        let serve = &self.live.serve;
        let usual = served
            .settings
            .response_timeout
            .unwrap_or(serve.response_timeout);
        let Some(seconds) = one(said, &TIMEOUT)? else {
            return Ok(usual);
        };
        let asked = whole_seconds(seconds).filter(|time| !time.is_zero());
        let asked = asked
            .ok_or_else(|| wrong("Biped-Timeout: expected a whole number of seconds, from 1 up"))?;
        Ok(asked.min(serve.max_timeout))
    }

    fn idle(&self, served: &Served) -> Duration {
        let own = served.settings.idle_timeout;
        own.unwrap_or(self.live.serve.idle_timeout)
    }

    fn permits(&self, served: &Served) -> Result<[Permit; 2], Problem> {
        let take = |limiter: &Arc<Limiter>, limit: usize, key: &str| {
            limiter.try_take(limit).ok_or_else(|| {
                let what = format!("too many calls are under way; try again, or raise {key}");
                Problem::new("overloaded", what).retry_after(Duration::from_secs(1))
            })
        };
        let most = served.settings.max_concurrent_requests;
        let of_provider = "max_concurrent_requests in [serve.providers.NAME]";
        Ok([
            take(
                &self.shared.calls,
                self.live.serve.max_in_flight,
                "max_in_flight in [serve]",
            )?,
            take(&served.calls, most.unwrap_or(usize::MAX), of_provider)?,
        ])
    }
}

/// A token, and whether it was waited for.
async fn token(
    source: &TokenSource,
    min_ttl: Option<Duration>,
) -> Result<(Arc<CachedToken>, bool), biped::Error> {
    if let Some(least) = min_ttl {
        let token = source.token_with(least).await.map(TokenRef::into_owned)?;
        return Ok((token, true));
    }
    if let Some(token) = source.fresh() {
        return Ok((token.into_owned(), false));
    }
    let token = source.token().await.map(TokenRef::into_owned)?;
    Ok((token, true))
}

/// What came of a rejection.
fn replayed(outcome: &Result<Box<Answer>, CallError<Failure>>, seen: &Seen) -> Replayed {
    match outcome {
        _ if !seen.was_replayed => Replayed::Impossible,
        Ok(answer) if answer.response.status() == StatusCode::UNAUTHORIZED => Replayed::Rejected,
        _ => Replayed::Accepted,
    }
}

fn problem_of(failure: &CallError<Failure>, seen: &Seen) -> Problem {
    match failure {
        CallError::Token(error) => Problem::of_token(error, seen.rejection.is_some()),
        CallError::Transport(failure) => failure.problem(),
    }
}

fn check_length(request: &Request<Incoming>, max: Option<u64>) -> Result<(), Problem> {
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|text| text.to_str().ok()?.parse::<u64>().ok());
    match (length, max) {
        (Some(length), Some(max)) if length > max => {
            let what = format!("the body has more than {max} bytes (max_body)");
            Err(Problem::new("body-too-large", what).close())
        }
        _ => Ok(()),
    }
}
