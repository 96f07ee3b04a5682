//! The API's answer as the caller gets it.

use std::time::Duration;

use biped::Rejection;
use http::{HeaderName, HeaderValue, Response, StatusCode, Version, header::CONNECTION};

use crate::{
    body::AnswerBody,
    config::ProviderSettings,
    headers,
    links::{self, Place},
    problem::Problem,
    transport::{Answer, Seen},
};

/// How an answer is shown.
pub(super) struct Shown<'a> {
    pub(super) prefix: &'a str,
    pub(super) settings: &'a ProviderSettings,
    pub(super) idle: Duration,
    pub(super) version: Version,
    pub(super) takes_trailers: bool,
    pub(super) waited: Option<Duration>,
    pub(super) seen: &'a Seen,
}

const REPLAYED: HeaderName = HeaderName::from_static("biped-replayed");
const REJECTED: HeaderName = HeaderName::from_static("biped-rejected");
const WAITED: HeaderName = HeaderName::from_static("biped-waited");

impl Shown<'_> {
    pub(super) fn response(&self, answer: Answer) -> Result<Response<AnswerBody>, Problem> {
        let (mut parts, body) = answer.response.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            let what = "the API changed the protocol, which was not asked for";
            return Err(Problem::new("bad-answer", what).sent());
        }
        // The caller's connection has its own version.
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        let trailers = self.takes_trailers || self.version == Version::HTTP_2;
        let headers = &mut parts.headers;
        headers::to_caller(headers, self.settings.forward_cookies, trailers);
        if let Some(answered) = &self.seen.answered {
            let place = Place {
                base: &answered.base,
                called: &answered.called,
                prefix: self.prefix,
                attached: &answered.attached,
            };
            links::rewrite(headers, place);
        }
        if self.settings.via {
            headers::add_via(headers, self.version);
        }
        if self.seen.was_replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("1"));
        }
        let is_rejected = parts.status == StatusCode::UNAUTHORIZED;
        if let Some(rejection) = self.seen.rejection.filter(|_| is_rejected) {
            headers.insert(REJECTED, HeaderValue::from_static(word(rejection)));
        }
        if let Some(waited) = self.waited {
            let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
            headers.insert(WAITED, waited.into());
        }
        if self.version == Version::HTTP_10 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(Response::from_parts(
            parts,
            AnswerBody::api(body, self.idle, self.settings.forward_cookies),
        ))
    }
}

fn word(rejection: Rejection) -> &'static str {
    match rejection {
        Rejection::Renewing => "renewing",
        Rejection::Superseded => "superseded",
        Rejection::CoolingDown => "cooling_down",
        _ => "renewing",
    }
}
