//! Responses to token requests may be anything: a provider returns a token or an error, which does not
//! show the secret.

use std::sync::Arc;

use biped_config::{
    ConfigTable, ConfigValue, Origin, ProviderConfig, ProviderKind, SecretSchemes, Value,
};
use biped_core::{
    Error, FetchContext, HttpClient, Provider, References, SecretRef, SystemClock, TokenRequest,
    async_trait,
};
use biped_sources::{Vault, VaultSettings, fuzzing};
use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::input::{line, wait};

const SECRET: &str = "pl4nted-secret-8d1f";

/// Sends the same response to every request: `STATUS [HEADER: VALUE]`, and the body below.
#[derive(Debug)]
struct Answering(Response<Bytes>);

impl Answering {
    fn new(data: &[u8]) -> Self {
        let (head, body) = line(data);
        let (status, header) = head.split_once(' ').unwrap_or((head, ""));
        let mut response = Response::new(Bytes::copy_from_slice(body));
        let status = status.parse().ok();
        *response.status_mut() = status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or_default();
        let header = header.split_once(": ");
        if let Some((name, value)) = header
            && let (Ok(name), Ok(value)) = (
                http::HeaderName::try_from(name),
                http::HeaderValue::try_from(value),
            )
        {
            response.headers_mut().insert(name, value);
        }
        Self(response)
    }
}

#[async_trait]
impl HttpClient for Answering {
    async fn send(&self, _: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        Ok(self.0.clone())
    }
}

async fn ask(provider: &dyn Provider, http: &Answering) {
    let cx = FetchContext::new(http, &SystemClock);
    let request = TokenRequest::new().scope("data-export");
    let fetched = provider.fetch(&request, &cx).await;
    let inspected = provider.inspect(&request, &cx).await;
    let shown = format!("{:?} {:?}", fetched.err(), inspected.err());
    // A body that shows the secret by itself is not the provider's doing, and redacted by the manager.
    let is_in_body = http
        .0
        .body()
        .windows(SECRET.len())
        .any(|part| part == SECRET.as_bytes());
    assert!(is_in_body || !shown.contains(SECRET));
}

pub(crate) fn vendors(data: &[u8]) {
    let http = Answering::new(data);
    let secret = || SecretRef::inline(SECRET);
    let base = url::Url::parse("https://api.vendor.example").unwrap();
    let envelope = biped::envelope::Envelope::new(&base, secret(), secret());
    let contentsquare = biped::contentsquare::Contentsquare::new(secret(), secret());
    let endpoint = url::Url::parse("https://login.vendor.example/token").unwrap();
    let oauth2 = biped_oauth2::OAuth2::at(endpoint, secret()).client_secret(secret());
    let providers: [&dyn Provider; 3] = [&envelope, &contentsquare, &oauth2];
    wait(async {
        for provider in providers {
            ask(provider, &http).await;
        }
    });
}

/// Builds a provider of an entry in TOML.
fn built(kind: &ProviderKind, toml: &str) -> Arc<dyn Provider> {
    let values = ConfigTable::from_toml("biped.toml".as_ref(), toml).unwrap();
    let config = ProviderConfig::new("fuzz", kind.name(), Origin::Builder, values.into_values());
    kind.build(&config).unwrap()
}

/// The server's metadata (RFC 8414), which names the token endpoint, and the token response after it.
pub(crate) fn metadata(data: &[u8]) {
    let entry = "issuer = 'https://issuer.example'\nclient_id = 'c'\n\
                 client_secret = 'pl4nted-secret-8d1f'";
    let provider = built(&biped_oauth2::kind(), entry);
    wait(ask(&*provider, &Answering::new(data)));
}

/// A response to an introspection (RFC 7662).
pub(crate) fn introspection(data: &[u8]) {
    let entry = "token_endpoint = 'https://login.example/token'\nclient_id = 'c'\n\
                 client_secret = 'pl4nted-secret-8d1f'\n\
                 introspection_endpoint = 'https://login.example/introspect'";
    let provider = built(&biped_oauth2::kind(), entry);
    wait(ask(&*provider, &Answering::new(data)));
}

/// The responses of Azure's and Google's metadata servers, and of any URL.
pub(crate) fn platforms(data: &[u8]) {
    let http = Answering::new(data);
    let entries = [
        "token = { azure = { resource = 'https://vault', endpoint = 'https://a.example' } }",
        "token = { gcp = { audience = 'https://a.example', endpoint = 'https://g.example' } }",
        "token = { gcp = { access = true, endpoint = 'https://g.example' } }",
        "token = { url = 'https://tokens.example/t', at = '/data/0/token' }",
    ];
    wait(async {
        for entry in entries {
            ask(&*built(&biped_platform::kind(), entry), &http).await;
        }
    });
}

/// What an API says about itself (RFC 9728), the challenge that names it, and the metadata of the server
/// that it names.
pub(crate) fn resource(data: &[u8]) {
    let entry = "api = 'https://api.example/v1'\nissuer = 'https://issuer.example'\nclient_id = 'c'\n\
                 client_secret = 'pl4nted-secret-8d1f'";
    let provider = built(&biped_oauth2::kind(), entry);
    wait(ask(&*provider, &Answering::new(data)));
}

/// The message of a SPIFFE agent, in protobuf.
pub(crate) fn svids(data: &[u8]) {
    let id = "spiffe://example/app";
    let first = fuzzing::svid(data, None);
    // A message with the identity's token has a first one.
    assert!(fuzzing::svid(data, Some(id)).is_none() || first.is_some());
}

/// Sends one response to requests with a body, which are logins, and another to the others.
#[derive(Debug)]
struct VaultServer {
    login: Answering,
    secret: Answering,
}

#[async_trait]
impl HttpClient for VaultServer {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let answer = if request.body().is_empty() {
            &self.secret
        } else {
            &self.login
        };
        answer.send(request).await
    }
}

/// A vault's response to a login, and that to a read below a line of `===`.
pub(crate) fn vault(data: &[u8]) {
    const SPLIT: &[u8] = b"\n===\n";
    let at = data.windows(SPLIT.len()).position(|part| part == SPLIT);
    let (login, secret) = match at {
        Some(at) => (&data[..at], &data[at + SPLIT.len()..]),
        None => (data, data),
    };
    let server = Arc::new(VaultServer {
        login: Answering::new(login),
        secret: Answering::new(secret),
    });
    let vault = Vault::new();
    let address = url::Url::parse("https://vault.example").unwrap();
    let jwt = SecretRef::inline(SECRET).into();
    let settings = VaultSettings::new().address(address).login("jwt", "r", jwt);
    vault.locate(settings);
    let schemes: SecretSchemes = [vault.scheme()].into_iter().collect();
    schemes.connect(server);
    let raw = Value::Text("vault:kv/team/crm#client_secret".into());
    let origin = Origin::Builder.ruled(References::All, &schemes);
    let reference = ConfigValue { raw, origin }.to_secret().unwrap();
    let read = wait(reference.resolve(0, &SystemClock));
    if let Err(error) = read {
        let shown = format!("{error} {error:?}");
        let is_in_answer = data
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(is_in_answer || !shown.contains(SECRET), "{shown}");
    }
}
