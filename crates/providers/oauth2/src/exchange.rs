//! One request to the server, made by the `oauth2` crate and sent by ours.
//!
//! The crate writes the form and the client's credentials in it, and reads the token response into
//! our type. It is gone around where it would lose something: statuses, `Retry-After` and the
//! server's words are read before it sees an answer; a Basic header that isn't form-encoded
//! replaces its own; and revocation is asked for by the request for introspection, which is the
//! same on the wire, since the crate's own takes https alone and a server in a test has none.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use biped_core::{Error, ErrorKind, ExposeSecret, FetchContext, Token, wire};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use oauth2::{
    AccessToken, AsyncHttpClient, AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse,
    IntrospectionUrl, RequestTokenError, Scope, StandardRevocableToken, TokenUrl,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse},
};
use url::Url;

use crate::{
    answer::{self, Granted},
    asked::Asked,
    authentication::{CLIENT_ASSERTION, Credentials, Proof},
    dpop::{self, Nonces, Side, USE_NONCE},
    key::SigningKey,
};

type Client = oauth2::Client<
    BasicErrorResponse,
    Granted,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
>;

/// What a token is to be bound to.
#[derive(Debug)]
pub(crate) struct Binding<'a> {
    pub(crate) key: &'a Arc<SigningKey>,
    pub(crate) nonces: &'a Nonces,
    /// What the server takes proofs signed with, if it says.
    pub(crate) algorithms: Option<&'a [String]>,
}

/// Asks for a token (RFC 6749 §4.4.2), a second time where the server asks for a nonce.
pub(crate) async fn token(
    asked: &Asked,
    endpoint: &Url,
    credentials: &Credentials,
    binding: Option<Binding<'_>>,
    cx: &FetchContext<'_>,
) -> Result<Token, Error> {
    let mut challenged = false;
    loop {
        let mut headers = basic(credentials)?;
        if let Some(binding) = &binding {
            let nonce = binding.nonces.find(Side::AuthorizationServer, endpoint);
            let proof = dpop::proof(
                binding.key,
                binding.algorithms,
                &Method::POST,
                endpoint,
                None,
                nonce.as_deref(),
                cx.now(),
            )?;
            if let Ok(proof) = proof.to_str() {
                cx.conceal(proof);
            }
            headers.insert(dpop::PROOF, proof);
        }
        let wire = Wire::new(cx, credentials, headers);
        let client = client(credentials).set_token_uri(TokenUrl::from_url(endpoint.clone()));
        let mut request = client
            .exchange_client_credentials()
            .add_scopes(asked.scopes().map(|scope| Scope::new(scope.into())));
        for (name, value) in assertion(credentials, cx)? {
            request = request.add_extra_param(name, value);
        }
        for (name, value) in asked.fields() {
            request = request.add_extra_param(name, value);
        }
        let outcome = request.request_async(&wire).await;
        let answer = wire.take_answer();
        let learned = binding
            .as_ref()
            .zip(answer.as_ref())
            .is_some_and(|(binding, answer)| {
                let side = Side::AuthorizationServer;
                binding.nonces.learn(side, Some(endpoint), answer.headers())
            });
        let error = match outcome {
            Ok(granted) => {
                return answer::token(granted, binding.map(|binding| binding.key), cx.sent_at());
            }
            Err(RequestTokenError::Request(error)) => error,
            // Its own errors may hold the body.
            Err(_) => {
                let response = answer.as_ref().ok_or_else(cannot_write)?;
                return Err(wire::unusable(
                    response,
                    answer::missing(&wire::json(response)?),
                ));
            }
        };
        let wants_nonce = error.vendor().is_some_and(|vendor| vendor.names(USE_NONCE));
        if !(wants_nonce && learned) || challenged {
            return Err(error);
        }
        challenged = true;
    }
}

/// What there is to ask about a token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    /// What it is (RFC 7662 §2.1).
    Introspection,
    /// To forget it (RFC 7009 §2.1).
    Revocation,
}

/// Asks an endpoint about a token.
pub(crate) async fn about_token(
    about: About,
    token: &Token,
    endpoint: &Url,
    credentials: &Credentials,
    cx: &FetchContext<'_>,
) -> Result<http::Response<Bytes>, Error> {
    let wire = Wire::new(cx, credentials, basic(credentials)?);
    let client =
        client(credentials).set_introspection_url(IntrospectionUrl::from_url(endpoint.clone()));
    let token = AccessToken::new(token.expose_secret().to_owned());
    let mut request = client
        .introspect(&token)
        .set_token_type_hint("access_token");
    for (name, value) in assertion(credentials, cx)? {
        request = request.add_extra_param(name, value);
    }
    cx.conceal(token.secret().as_str());
    let outcome = request.request_async(&wire).await;
    match (wire.take_answer(), outcome) {
        (_, Err(RequestTokenError::Request(error))) => Err(about.told(error)),
        (Some(answer), _) => Ok(answer),
        (None, _) => Err(cannot_write()),
    }
}

impl About {
    /// A refusal, as one of this and not of a token.
    fn told(self, error: Error) -> Error {
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
            _ => format!("ask the server's operator whether this client may {verb} its tokens"),
        };
        error.with_message(message).with_remedy(remedy)
    }
}

/// The fields of an assertion, which no error may show: whoever has it is the client for a while.
fn assertion(
    credentials: &Credentials,
    cx: &FetchContext<'_>,
) -> Result<Vec<(&'static str, String)>, Error> {
    let fields = credentials.assertion(cx.now())?;
    for (name, value) in &fields {
        if *name == CLIENT_ASSERTION {
            cx.conceal(value.as_str());
        }
    }
    Ok(fields)
}

fn cannot_write() -> Error {
    Error::configuration("the request can't be written; check the endpoint's URL")
}

/// The `oauth2` crate's idea of the client. Its secret is a plain text in memory, for the time of
/// one request.
fn client(credentials: &Credentials) -> Client {
    let client = Client::new(ClientId::new(credentials.client_id.clone()));
    let (kind, secret) = match &credentials.proof {
        Proof::Basic(secret, _) => (AuthType::BasicAuth, secret),
        Proof::Post(secret) => (AuthType::RequestBody, secret),
        _ => return client.set_auth_type(AuthType::RequestBody),
    };
    client
        .set_auth_type(kind)
        .set_client_secret(ClientSecret::new(secret.expose_secret().into()))
}

fn basic(credentials: &Credentials) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    if let Some(value) = credentials.header()? {
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Sends what the `oauth2` crate writes through Biped's own client, and looks at the answer first.
struct Wire<'a> {
    cx: &'a FetchContext<'a>,
    credentials: &'a Credentials,
    /// What stands in place of the crate's own headers, or beside them.
    headers: HeaderMap,
    answer: Mutex<Option<http::Response<Bytes>>>,
}

impl<'a> Wire<'a> {
    fn new(cx: &'a FetchContext<'a>, credentials: &'a Credentials, headers: HeaderMap) -> Self {
        Self {
            cx,
            credentials,
            headers,
            answer: Mutex::default(),
        }
    }

    fn answer(&self) -> MutexGuard<'_, Option<http::Response<Bytes>>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer as it came, if one did.
    fn take_answer(&self) -> Option<http::Response<Bytes>> {
        self.answer().take()
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let mut request = request.map(Bytes::from);
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        if let Some(value) = request.headers_mut().get_mut(header::AUTHORIZATION) {
            value.set_sensitive(true);
        }
        let response = self.cx.send(request).await?;
        let checked = answer::check(&response, self.credentials, self.cx.now());
        let body = answer::readable(response.body());
        *self.answer() = Some(response);
        checked?;
        // Any success is one, and JSON whatever it is called: the crate knows but 200 and
        // application/json.
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
