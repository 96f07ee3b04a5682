//! One request to the server, which the `oauth2` crate writes and Biped's HTTP client sends.
//!
//! The crate writes the form with the client's credentials, and parses the token response. Where it
//! would lose something, this module replaces it: the status, `Retry-After` and the error of a
//! response are read before the crate sees it; a Basic header that is not form-encoded replaces the
//! crate's own; and a revocation uses the crate's introspection request, which is the same on the
//! wire, because its revocation request requires https, which a server on loopback may not have.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use biped_core::{Error, ErrorKind, ExposeSecret, FetchContext, Token, wire};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use oauth2::{
    AccessToken, AsyncHttpClient, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse,
    IntrospectionUrl, RequestTokenError, Scope, StandardRevocableToken, TokenResponse as _,
    TokenUrl,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse},
};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    answer::{self, Granted},
    authentication::ClientProof,
    dpop::{self, Nonces, Side, USE_NONCE},
    grant::{Grant, GrantFields},
    grant_request::GrantRequest,
    presented::{Memory, Presented},
};
use biped_sources::{Asking, SigningKey, Wanted};

type Client = oauth2::Client<
    BasicErrorResponse,
    Granted,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// What the `oauth2` crate makes of the response to a token request.
type Outcome = Result<Granted, RequestTokenError<Error, BasicErrorResponse>>;

/// The key that a token is bound to.
#[derive(Debug)]
pub(crate) struct Binding<'a> {
    pub(crate) key: &'a Arc<SigningKey>,
    pub(crate) nonces: &'a Nonces,
    /// The algorithms that the server accepts for proofs, if it lists them.
    pub(crate) algorithms: Option<&'a [String]>,
}

/// A token request: what it says, where it goes, and who sends it.
pub(crate) struct TokenRequest<'a> {
    pub(crate) request: &'a GrantRequest,
    pub(crate) grant: &'a Grant,
    pub(crate) endpoint: &'a Url,
    pub(crate) proof: ClientProof,
    /// The thumbprint of the client's certificate, if the server binds tokens to it.
    pub(crate) certificate: Option<&'a str>,
    /// What the grant's tokens are read with.
    pub(crate) asking: Asking<'a>,
    /// Which tokens of other parties the server takes no more.
    pub(crate) presented: &'a Memory,
    /// Set once the server has replaced a refresh token.
    pub(crate) rotated: &'a AtomicBool,
}

/// Requests a token (RFC 6749 §4.4.2), and once more if the server asks for a nonce.
pub(crate) async fn token(
    mut asked: TokenRequest<'_>,
    binding: Option<Binding<'_>>,
    cx: &FetchContext<'_>,
) -> Result<Token, Error> {
    let mut fields = asked.grant.read(&asked.asking).await?;
    asked.check(&fields)?;
    let mut challenged = false;
    loop {
        if challenged {
            asked.renew(&mut fields).await?;
        }
        let (outcome, answer) = asked.send(&fields, binding.as_ref(), cx).await?;
        let has_new_nonce = binding
            .as_ref()
            .zip(answer.as_ref())
            .is_some_and(|(binding, answer)| binding.learn(asked.endpoint, answer));
        let error = match outcome {
            Ok(mut granted) => {
                granted.scope = granted.scope.or_else(|| asked.request.scope_of_api());
                asked.accepted(&fields);
                asked.replaced(&fields, &granted, cx);
                let key = binding.map(|binding| binding.key);
                let typed = asked.grant.requests_type();
                let token = answer::token(granted, key, asked.certificate, typed, cx.sent_at());
                return token.map_err(|error| match &answer {
                    Some(answer) => wire::with_status(error, answer),
                    None => error,
                });
            }
            Err(RequestTokenError::Request(error)) => error,
            // The crate's own errors may contain the body.
            Err(_) => {
                let response = answer.as_ref().ok_or_else(unwritable)?;
                return Err(wire::invalid_response(
                    response,
                    answer::missing(&wire::json(response)?),
                ));
            }
        };
        let wants_nonce = error.vendor().is_some_and(|vendor| vendor.names(USE_NONCE));
        if !(wants_nonce && has_new_nonce) || challenged {
            return Err(asked.refused(&fields, error, cx));
        }
        challenged = true;
    }
}

impl Binding<'_> {
    /// Returns the proof of the key for a request to the endpoint.
    fn proof(&self, endpoint: &Url, cx: &FetchContext<'_>) -> Result<HeaderValue, Error> {
        let nonce = self.nonces.find(Side::AuthorizationServer, endpoint);
        let (nonce, now) = (nonce.as_deref(), cx.now());
        let method = &Method::POST;
        let proof = dpop::proof(
            self.key,
            self.algorithms,
            method,
            endpoint,
            None,
            nonce,
            now,
        )?;
        if let Ok(text) = proof.to_str() {
            cx.conceal(text);
        }
        Ok(proof)
    }

    /// Notes the nonce of a response, and returns whether there is a new one.
    fn learn(&self, endpoint: &Url, answer: &http::Response<Bytes>) -> bool {
        let side = Side::AuthorizationServer;
        self.nonces.learn(side, Some(endpoint), answer.headers())
    }
}

impl TokenRequest<'_> {
    /// Sends the request once.
    async fn send(
        &self,
        fields: &GrantFields,
        binding: Option<&Binding<'_>>,
        cx: &FetchContext<'_>,
    ) -> Result<(Outcome, Option<http::Response<Bytes>>), Error> {
        let (proof, grant) = (&self.proof, self.grant);
        let mut headers = headers(proof);
        if let Some(binding) = binding {
            headers.insert(dpop::PROOF, binding.proof(self.endpoint, cx)?);
        }
        let wire = Wire {
            grant,
            ..Wire::new(cx, proof, headers)
        };
        let client = client(proof).set_token_uri(TokenUrl::from_url(self.endpoint.clone()));
        let in_form = !grant.takes_scope();
        let scopes = self.request.scopes().filter(|_| in_form);
        let mut request = client
            .exchange_client_credentials()
            .add_scopes(scopes.map(|scope| Scope::new(scope.into())));
        for (name, value) in proof.fields(cx).await? {
            request = request.add_extra_param(name, value);
        }
        for (name, presented) in &fields.tokens {
            request = request.add_extra_param(*name, presented.text.expose_secret());
        }
        for (name, secret) in &fields.secrets {
            request = request.add_extra_param(*name, secret.expose_secret());
        }
        for (name, value) in &fields.texts {
            request = request.add_extra_param(*name, value.as_str());
        }
        for (name, value) in self.request.fields() {
            request = request.add_extra_param(name, value);
        }
        let outcome = request.request_async(&wire).await;
        Ok((outcome, wire.take_answer()))
    }

    /// Replaces what was signed for the request before.
    async fn renew(&mut self, fields: &mut GrantFields) -> Result<(), Error> {
        if let Some((_, own)) = &mut self.proof.presented {
            // What a request wants is for the grant's tokens.
            let asking = Asking {
                wanted: Wanted::default(),
                ..self.asking
            };
            own.renew(&asking).await?;
        }
        for (_, presented) in &mut fields.tokens {
            presented.renew(&self.asking).await?;
        }
        Ok(())
    }

    /// The assertion that says who the client is, if another party made it.
    fn own(&self) -> Vec<&Presented> {
        let own = self.proof.presented.iter();
        own.map(|(_, presented)| presented).collect()
    }

    /// Refuses to send tokens again that the server takes no more.
    fn check(&self, fields: &GrantFields) -> Result<(), Error> {
        self.presented.client.check(&self.own())?;
        self.presented.grant.check(&fields.presented())
    }

    fn accepted(&self, fields: &GrantFields) {
        self.presented.client.accepted(&self.own());
        self.presented.grant.accepted(&fields.presented());
    }

    /// Notes the refresh token that replaces the presented one.
    fn replaced(&self, fields: &GrantFields, granted: &Granted, cx: &FetchContext<'_>) {
        let Some(presented) = fields.refresh_token() else {
            return;
        };
        if let Some(new) = granted.refresh_token()
            && new.secret() != presented.expose_secret()
        {
            self.rotated.store(true, Ordering::Relaxed);
            cx.replace_refresh_token(new.secret().as_str());
        }
    }

    /// Notes which token of another party was refused: a refusal of the client is about the client
    /// assertion, and `invalid_grant` about what the grant presents (RFC 7523 §3). In an exchange
    /// `invalid_request` is about that as well (RFC 8693 §2.2.2), but not only about that: the next
    /// attempt has another token if there is one, and nothing waits for it.
    fn refused(&self, fields: &GrantFields, mut error: Error, cx: &FetchContext<'_>) -> Error {
        let names = |error: &Error, code: &str| error.vendor().is_some_and(|it| it.names(code));
        if error.refuses_client() {
            let own = self.own();
            own.iter().for_each(|presented| presented.refused(cx));
            error = self.presented.client.refused(&own, error);
        }
        let is_exchange = matches!(self.grant, Grant::TokenExchange(_));
        let refuses_grant = names(&error, "invalid_grant");
        let all = fields.presented();
        if refuses_grant || (is_exchange && names(&error, "invalid_request")) {
            all.iter().for_each(|presented| presented.refused(cx));
        }
        if refuses_grant {
            error = self.presented.grant.refused(&all, error);
            if matches!(self.grant, Grant::FixedRefreshToken(_)) {
                cx.try_next_secret();
            }
        }
        error
    }
}

/// A request about a token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    /// Introspection (RFC 7662 §2.1).
    Introspection,
    /// Revocation (RFC 7009 §2.1).
    Revocation,
}

/// Sends a request about a token to an endpoint.
pub(crate) async fn about_token(
    about: About,
    token: &Token,
    endpoint: &Url,
    proof: &ClientProof,
    cx: &FetchContext<'_>,
) -> Result<http::Response<Bytes>, Error> {
    let wire = Wire::new(cx, proof, headers(proof));
    let client = client(proof).set_introspection_url(IntrospectionUrl::from_url(endpoint.clone()));
    let token = AccessToken::new(token.expose_secret().to_owned());
    let mut request = client
        .introspect(&token)
        .set_token_type_hint("access_token");
    for (name, value) in proof.fields(cx).await? {
        request = request.add_extra_param(name, value);
    }
    cx.conceal(token.secret().as_str());
    let outcome = request.request_async(&wire).await;
    match (wire.take_answer(), outcome) {
        (_, Err(RequestTokenError::Request(error))) => Err(about.explain(error)),
        (Some(answer), _) => Ok(answer),
        (None, _) => Err(unwritable()),
    }
}

impl About {
    /// Returns the error of this request: a refusal is not about a token request.
    fn explain(self, error: Error) -> Error {
        if error.kind() != ErrorKind::Refused || error.refuses_client() {
            return error;
        }
        let (message, endpoint, verb) = match self {
            Self::Introspection => (
                "the vendor refused the introspection",
                "introspection_endpoint",
                "introspect",
            ),
            Self::Revocation => (
                "the vendor refused the revocation",
                "revocation_endpoint",
                "revoke",
            ),
        };
        let remedy = match error.vendor().and_then(|vendor| vendor.status) {
            Some(404 | 405 | 410) => format!("check {endpoint}"),
            _ => format!("ask the server's operator whether this client may {verb} tokens"),
        };
        error.with_message(message).with_remedy(remedy)
    }
}

fn unwritable() -> Error {
    Error::configuration("the request can't be written; check the endpoint's URL")
}

/// The client, as the `oauth2` crate knows it. Its secret is a plain text in memory while the request
/// is made.
fn client(proof: &ClientProof) -> Client {
    let client = Client::new(ClientId::new(proof.client_id.clone()));
    match &proof.secret {
        Some((place, secret)) => client
            .set_auth_type(place.clone())
            .set_client_secret(ClientSecret::new(secret.expose_secret().into())),
        None => client.set_auth_type(AuthType::RequestBody),
    }
}

/// The headers that proof and configuration add to a request.
fn headers(proof: &ClientProof) -> HeaderMap {
    let mut headers = proof.headers.clone();
    if let Some(value) = &proof.authorization {
        headers.insert(header::AUTHORIZATION, value.clone());
    }
    headers
}

/// Sends the `oauth2` crate's requests with Biped's HTTP client, and checks each response before the
/// crate sees it.
struct Wire<'a> {
    cx: &'a FetchContext<'a>,
    grant: &'a Grant,
    proof: &'a ClientProof,
    /// Headers that replace the crate's own, or are added to them.
    headers: HeaderMap,
    answer: Mutex<Option<http::Response<Bytes>>>,
}

impl<'a> Wire<'a> {
    fn new(cx: &'a FetchContext<'a>, proof: &'a ClientProof, headers: HeaderMap) -> Self {
        Self {
            cx,
            grant: &Grant::ClientCredentials,
            proof,
            headers,
            answer: Mutex::default(),
        }
    }

    fn answer(&self) -> MutexGuard<'_, Option<http::Response<Bytes>>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the response as it was received, if there was one.
    fn take_answer(&self) -> Option<http::Response<Bytes>> {
        self.answer().take()
    }

    /// The form as the grant has it: the crate knows neither all grants, nor clients that don't say who
    /// they are.
    fn rewritten(&self, body: Vec<u8>) -> Bytes {
        let is_anonymous = self.proof.client_id.is_empty();
        if !is_anonymous && matches!(self.grant, Grant::ClientCredentials) {
            return body.into();
        }
        let body = Zeroizing::new(body);
        let fields = url::form_urlencoded::parse(&body);
        let fields = fields.filter(|(name, _)| !(is_anonymous && name == "client_id"));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            match &*name {
                "grant_type" => form.append_pair(&name, self.grant.wire_name()),
                _ => form.append_pair(&name, &value),
            };
        }
        form.finish().into()
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let mut request = request.map(|body| self.rewritten(body));
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        if let Some(value) = request.headers_mut().get_mut(header::AUTHORIZATION) {
            value.set_sensitive(true);
        }
        let response = self.cx.send(request).await?;
        let checked = answer::check(
            &response,
            &self.proof.advice,
            self.grant.name(),
            self.cx.now(),
        );
        let body = answer::readable(response.body());
        *self.answer() = Some(response);
        checked?;
        // The crate accepts only 200 and application/json; here any success and content type will do.
        let mut read = HttpResponse::new(body);
        *read.status_mut() = StatusCode::OK;
        Ok(read)
    }
}

impl<'c> AsyncHttpClient<'c> for Wire<'_> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
