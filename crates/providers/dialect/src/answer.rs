//! Reading a response: its token, its exports and its base URL, or its error. Pure functions.

use std::borrow::Cow;

use biped_core::{
    Error, ExposeSecret as _, NoLifetime, SecretString, Timestamp, Token, TokenBuilder,
    VendorError, wire,
};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value};
use url::Url;

use crate::{
    answer_path::{AnswerPath, InBody as _, alike},
    dialect::Dialect,
    expiry::{Ends, Written},
    response::Reads,
    skim::Body,
    template::Values,
};

/// A URL that stands for one that is not known.
pub(crate) fn built_in_url(text: &'static str) -> Result<Url, Error> {
    Url::parse(text).map_err(|_| Error::internal("a built-in URL is invalid"))
}

impl Dialect {
    /// Reads a response to the token request that was sent at `sent_at`.
    ///
    /// [`Vendor`](crate::Vendor) reads its first response in the same way.
    ///
    /// # Errors
    /// Returns the error that the response reports, as [`Provider::fetch`](biped_core::Provider::fetch)
    /// does. A base URL in the response is checked against the hosts that contain no parameter.
    pub fn read_token(
        &self,
        response: &http::Response<Bytes>,
        sent_at: Timestamp,
    ) -> Result<Token, Error> {
        let Some(step) = self.steps.first() else {
            return Err(Error::internal("the dialect has no request"));
        };
        let values = Values {
            client_id: None,
            client_secret: None,
            scope: None,
            url: None,
            token: None,
            uuid: "",
            now: sent_at,
            named: &[],
        };
        let context = AnswerContext {
            dialect: self,
            url: &built_in_url("https://vendor.invalid")?,
            sent_at,
            now: sent_at,
            is_more_to_come: false,
            own_scope: None,
            values: &values,
        };
        let mut gained = Gained::default();
        gained.take(&step.reads, response, &context)?;
        gained.build()
    }
}

/// What the responses so far contained.
#[derive(Default)]
pub(crate) struct Gained {
    token: Option<GainedToken>,
    base_url: Option<Url>,
    pub(crate) exports: Map<String, Value>,
}

struct GainedToken {
    builder: TokenBuilder,
    /// The token's text, where a further request may need it.
    text: Option<SecretString>,
    /// The status of the response that contained it.
    status: StatusCode,
}

/// What reading a response needs to know of its request.
pub(crate) struct AnswerContext<'a> {
    pub(crate) dialect: &'a Dialect,
    pub(crate) url: &'a Url,
    pub(crate) sent_at: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) is_more_to_come: bool,
    /// The vendor file's own scope, if it is what was requested: what a response without a scope grants
    /// (RFC 6749 §5.1).
    pub(crate) own_scope: Option<&'a str>,
    pub(crate) values: &'a Values<'a>,
}

impl Gained {
    /// The token, for the templates of the next request.
    pub(crate) fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()?.text.as_ref()
    }

    /// Takes a JWT that was signed here as the token.
    pub(crate) fn take_signed(&mut self, signed: &SecretString, now: Timestamp) {
        let text = signed.expose_secret();
        self.token = Some(GainedToken {
            builder: Token::new(text.to_owned(), now).expires_at(wire::jwt_expiry(text)),
            text: Some(signed.clone()),
            status: StatusCode::OK,
        });
    }

    /// Adds what a response contains.
    pub(crate) fn take(
        &mut self,
        reads: &Reads,
        response: &http::Response<Bytes>,
        cx: &AnswerContext<'_>,
    ) -> Result<(), Error> {
        let mut body = reads.accepted(response, cx.now)?;
        let mut has_token = false;
        if let Some(place) = &reads.token {
            match reads.token_text(place, response, &mut body) {
                Some(text) => {
                    self.take_token(text, reads, response, &mut body, cx);
                    has_token = true;
                }
                None => reads.tolerate_no_token(response, cx.now)?,
            }
        }
        self.take_life(reads, response, &body, cx.sent_at, has_token);
        for (name, place) in &reads.export {
            let found = place.find_in(&body, response.headers());
            let text = found.and_then(|value| match &*value {
                Value::Bool(yes) => Some(yes.to_string()),
                value => wire::text(value).map(Cow::into_owned),
            });
            let Some(text) = text else {
                return Err(wire::invalid_response(
                    response,
                    format!("the response does not contain {name}, which response.export asks for"),
                ));
            };
            self.exports.insert((**name).into(), text.into());
        }
        if let Some(url) = reads.base_url(response, &body, cx)? {
            self.base_url = Some(url);
        }
        Ok(())
    }

    fn take_token(
        &mut self,
        text: String,
        reads: &Reads,
        response: &http::Response<Bytes>,
        body: &mut Body<'_>,
        cx: &AnswerContext<'_>,
    ) {
        let scope = reads.take_text(&reads.scope, body).or_else(|| {
            let scope = reads.scope.find_in(body, response.headers())?;
            wire::scope(&scope)
        });
        let scope = scope.filter(|scope| !scope.trim().is_empty());
        let scope = scope.or_else(|| cx.own_scope.map(str::to_owned));
        let token_type = reads.token_type.find_in(body, response.headers());
        let token_type = token_type.as_ref().and_then(|name| name.as_str());
        let kept = cx.is_more_to_come.then(|| text.clone().into());
        self.token = Some(GainedToken {
            builder: Token::new(text, cx.sent_at)
                .token_type(token_type.filter(|name| !name.is_empty()))
                .scope(scope),
            text: kept,
            status: response.status(),
        });
    }

    fn take_life(
        &mut self,
        reads: &Reads,
        response: &http::Response<Bytes>,
        body: &Body<'_>,
        sent_at: Timestamp,
        has_token: bool,
    ) {
        let Some(token) = self.token.take() else {
            return;
        };
        let builder = token.builder;
        // Without a path, the expiry is read from the token itself.
        let value = reads.expires.as_ref().and_then(|expires| {
            let found = expires.at.as_ref()?.find_in(body, response.headers())?;
            Some((expires, found))
        });
        let unstated = match (&value, &reads.expires) {
            (Some((_, found)), _) if !found.is_null() => Some(NoLifetime::Unreadable),
            (_, Some(expires)) if expires.is_described => Some(NoLifetime::Misplaced),
            // The vendor file says how long tokens live, because the vendor doesn't.
            _ if reads.lifetime.is_some() => None,
            _ => Some(NoLifetime::Missing),
        };
        let is_described = reads.expires.as_ref().is_some_and(|it| it.is_described);
        // A response without the token, of which the file says nothing, tells nothing of its life.
        let builder = match has_token || is_described || reads.lifetime.is_some() {
            true => builder.unstated(unstated),
            false => builder,
        };
        let ends = value.and_then(|(expires, found)| {
            let issued = expires.issued.as_ref();
            let issued = issued.and_then(|place| place.find_in(body, response.headers()));
            let issued = issued.and_then(|value| Written::read_issued(&value));
            Some(expires.written.read(&found)?.since(issued, sent_at))
        });
        let builder = match ends {
            Some(Ends::In(life)) => builder.expires_in(Some(life)),
            Some(Ends::At(point)) => builder.expires_at(Some(point)),
            None if reads.is_expiry_usual() => builder.or_expires_at(|name| body.part(name)),
            None => builder,
        };
        let builder = match reads.lifetime {
            Some(lifetime) => builder.assumed_lifetime(lifetime),
            None => builder,
        };
        self.token = Some(GainedToken { builder, ..token });
    }

    /// Builds the token.
    pub(crate) fn build(self) -> Result<Token, Error> {
        let Some(token) = self.token else {
            return Err(Error::internal("no response was read for a token"));
        };
        let builder = token.builder.base_url(self.base_url);
        let built = builder.extra(self.exports).build();
        built.map_err(|error| error.with_vendor(VendorError::new(token.status.as_u16())))
    }
}

impl Reads {
    /// Checks that a response is a success.
    pub(crate) fn check(
        &self,
        response: &http::Response<Bytes>,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.accepted(response, now).map(drop)
    }

    /// The body of a successful response; null where its text is not JSON.
    fn accepted(
        &self,
        response: &http::Response<Bytes>,
        now: Timestamp,
    ) -> Result<Body<'_>, Error> {
        if !response.status().is_success() {
            return Err(self.failure(response, self.words(response), now));
        }
        let wanted = self.wanted.as_deref();
        if let Some(body) = wanted.and_then(|wanted| Body::skim(response.body(), wanted)) {
            return self.checked(response, body, now);
        }
        let needs_json = !self.is_text && self.reads_body();
        let body = match wire::json(response) {
            Err(error) if needs_json => return Err(error),
            body => body.unwrap_or_default(),
        };
        self.checked(response, Body::Whole(body), now)
    }

    /// Whether a successful response is read beyond its headers.
    fn reads_body(&self) -> bool {
        let export = self.export.iter().map(|(_, place)| place);
        let places = export.chain(&self.token).chain(&self.base_url);
        let ok = self.ok.as_ref().map(|ok| &ok.at);
        places.chain(ok).any(|place| !place.is_header())
    }

    fn checked<'b>(
        &self,
        response: &http::Response<Bytes>,
        body: Body<'b>,
        now: Timestamp,
    ) -> Result<Body<'b>, Error> {
        let Some(ok) = &self.ok else {
            return Ok(body);
        };
        let is_ok = match ok.at.find_in(&body, response.headers()) {
            Some(value) => alike(&value, &ok.equals),
            None if ok.or_absent => true,
            None => {
                let words = self.words(response);
                return Err(if words.has_words() {
                    self.failure(response, words, now)
                } else {
                    wire::invalid_response(
                        response,
                        "the response reports neither success nor failure",
                    )
                    .with_remedy(
                        "compare response.ok of the vendor file with the vendor's documentation; set \
                         or_absent = true if a success lacks the flag",
                    )
                });
            }
        };
        if is_ok {
            return Ok(body);
        }
        let words = Some(self.words(response)).filter(VendorError::has_words);
        let words = words.unwrap_or_else(|| wire::vendor_error_despite_status(response));
        Err(self.failure(response, words, now))
    }

    fn token_text(
        &self,
        place: &AnswerPath,
        response: &http::Response<Bytes>,
        body: &mut Body<'_>,
    ) -> Option<String> {
        let text = if self.is_text && place.is_whole_body() {
            match body {
                Body::Whole(Value::String(quoted)) => quoted.clone(),
                Body::Whole(Value::Array(_)) => return None,
                // An object is a token like any other text, unless it reports an error.
                Body::Whole(Value::Object(fields))
                    if fields.is_empty() || self.words(response).has_words() =>
                {
                    return None;
                }
                _ => {
                    let text = std::str::from_utf8(response.body()).ok()?;
                    text.trim_start_matches('\u{feff}').trim().to_owned()
                }
            }
        } else {
            match self.take_text(place, body) {
                Some(text) => text,
                None => wire::text(&*place.find_in(body, response.headers())?)?.into_owned(),
            }
        };
        // Text that starts with < is an HTML page, not a token.
        (!text.trim().is_empty() && !text.starts_with('<')).then_some(text)
    }

    /// The text at a path, moved out of the body unless an export may need it.
    fn take_text(&self, place: &AnswerPath, body: &mut Body<'_>) -> Option<String> {
        if self.export.is_empty() {
            place.take_text(body)
        } else {
            None
        }
    }

    /// A response without a token is an error if it needs one, or if it reports an error.
    fn tolerate_no_token(
        &self,
        response: &http::Response<Bytes>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if self.needs_token || self.words(response).has_words() {
            return Err(self.tokenless(response, now));
        }
        Ok(())
    }

    /// The error for a successful response without a token.
    fn tokenless(&self, response: &http::Response<Bytes>, now: Timestamp) -> Error {
        if response.body().is_empty() && self.token.as_ref().is_some_and(|place| !place.is_header())
        {
            return wire::invalid_response(response, "the response has an empty body")
                .transient(true);
        }
        // Where a flag has reported success, the code belongs to that success.
        let words = self.words(response);
        if self.ok.is_none() && words.has_words() {
            return self.failure(response, words, now);
        }
        wire::invalid_response(
            response,
            "the response does not contain a token at response.token",
        )
        .with_remedy("compare response.token of the vendor file with the vendor's documentation")
    }

    fn base_url(
        &self,
        response: &http::Response<Bytes>,
        body: &Body<'_>,
        cx: &AnswerContext<'_>,
    ) -> Result<Option<Url>, Error> {
        let Some(found) =
            (self.base_url.as_ref()).and_then(|place| place.find_in(body, response.headers()))
        else {
            return Ok(None);
        };
        let Value::String(text) = &*found else {
            return Err(wire::invalid_response(
                response,
                "the base URL in the response is not a string",
            ));
        };
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let text = match text.contains("://") {
            true => Cow::Borrowed(text),
            false => format!("https://{text}").into(),
        };
        cx.dialect
            .base_urls(cx.values, cx.url)
            .read(&text)
            .map(Some)
            .map_err(|error| wire::with_status(error, response))
    }
}
