//! Tokens that are bound to a key, in a fleet.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped::{
    Biped, ExposeSecret, TokenManager, TokenRequest, TokenSource,
    file::FileStore,
    oauth2::OAuth2,
    provider::SecretRef,
    reqwest::TokenClient,
    sealed::{SealKey, SealedStore},
    store::TokenStore,
};
use serde_json::json;
use tempfile::TempDir;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers::path};

const P256: &str = include_str!("../crates/providers/oauth2/tests/keys/p256.pkcs8.pem");
const P384: &str = include_str!("../crates/providers/oauth2/tests/keys/p384.pkcs8.pem");
const CERTIFICATE: &str =
    include_str!("../crates/providers/oauth2/tests/keys/p256.certificate.pem");
const OTHER_CERTIFICATE: &str =
    include_str!("../crates/providers/oauth2/tests/keys/rsa.certificate.pem");
const RSA: &str = include_str!("../crates/providers/oauth2/tests/keys/rsa.pkcs8.pem");

/// A server whose tokens are bound, and the directory that a fleet shares.
struct Fleet {
    server: MockServer,
    directory: TempDir,
}

impl Fleet {
    /// `token` makes the text of the nth token.
    async fn new(
        kind: &'static str,
        token: impl Fn(usize) -> String + Send + Sync + 'static,
    ) -> Self {
        let server = MockServer::start().await;
        let number = AtomicUsize::new(1);
        let answer = move |_: &Request| {
            let text = token(number.fetch_add(1, Ordering::Relaxed));
            ResponseTemplate::new(200).set_body_json(json!({
                "access_token": text, "token_type": kind, "expires_in": 600,
            }))
        };
        Mock::given(path("/token"))
            .respond_with(answer)
            .mount(&server)
            .await;
        Self {
            server,
            directory: TempDir::new().unwrap(),
        }
    }

    async fn of_keys() -> Self {
        Self::new("DPoP", |number| format!("t-{number}")).await
    }

    fn client(&self) -> OAuth2 {
        let endpoint = format!("{}/token", self.server.uri()).parse().unwrap();
        OAuth2::at(endpoint, SecretRef::inline("client-7"))
            .client_secret(SecretRef::inline("s3cret"))
    }

    fn unsealed(&self) -> Arc<dyn TokenStore> {
        Arc::new(FileStore::new(self.directory.path()))
    }

    fn sealed(&self) -> Arc<dyn TokenStore> {
        Arc::new(SealedStore::new(
            self.unsealed(),
            SealKey::from_bytes([7; 32]),
        ))
    }

    async fn requests(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }
}

/// A token of another process, which is done when this returns.
async fn process(provider: OAuth2, store: &Arc<dyn TokenStore>) -> (String, TokenSource) {
    let http = Arc::new(TokenClient::new().unwrap());
    let manager = TokenManager::builder(http).store(store.clone()).build();
    let source = manager.source(Arc::new(provider), TokenRequest::new());
    let token = source.token().await.unwrap();
    let text = token.expose_secret().to_owned();
    drop(token);
    manager.drain().await;
    (text, source)
}

async fn is_stored(source: &TokenSource, store: &Arc<dyn TokenStore>) -> bool {
    let key = source.store_key().await.expect("it has a name");
    store.get(&key).await.unwrap().is_some()
}

#[tokio::test]
async fn processes_with_the_same_key_share_a_token_in_a_sealed_store() {
    let fleet = Fleet::of_keys().await;
    let store = fleet.sealed();
    let provider = || fleet.client().dpop_key(SecretRef::inline(P256));
    let (first, source) = process(provider(), &store).await;
    assert!(is_stored(&source, &store).await);
    let (second, source) = process(provider(), &store).await;
    assert_eq!((first.as_str(), second.as_str()), ("t-1", "t-1"));
    assert_eq!(fleet.requests().await, 1);
    // It is still one of the scheme, and bound.
    let token = source.token().await.unwrap();
    assert_eq!(token.header(), "DPoP t-1");
    assert!(token.confirmation().is_some());
}

#[tokio::test]
async fn processes_with_different_keys_share_no_token() {
    let fleet = Fleet::of_keys().await;
    let store = fleet.sealed();
    for (key, expected) in [(P256, "t-1"), (P384, "t-2"), (P256, "t-1"), (P384, "t-2")] {
        let provider = fleet.client().dpop_key(SecretRef::inline(key));
        assert_eq!(process(provider, &store).await.0, expected);
    }
    assert_eq!(fleet.requests().await, 2);
}

#[tokio::test]
async fn a_token_of_another_key_is_not_adopted_wherever_it_is_found() {
    let fleet = Fleet::of_keys().await;
    let store = fleet.sealed();
    let (_, first) = process(fleet.client().dpop_key(SecretRef::inline(P256)), &store).await;
    let (_, other) = process(fleet.client().dpop_key(SecretRef::inline(P384)), &store).await;
    // As if both keys led to one name.
    let (from, to) = (
        first.store_key().await.unwrap(),
        other.store_key().await.unwrap(),
    );
    let mut token = store.get(&from).await.unwrap().unwrap();
    token.generation.0 += 60_000_000;
    assert!(store.put(&to, &token, None).await.unwrap());
    let provider = fleet.client().dpop_key(SecretRef::inline(P384));
    assert_eq!(process(provider, &store).await.0, "t-3");
}

#[tokio::test]
async fn a_token_of_the_processs_own_key_enters_no_store() {
    let fleet = Fleet::of_keys().await;
    let store = fleet.sealed();
    for expected in ["t-1", "t-2"] {
        let (text, source) = process(fleet.client().dpop(), &store).await;
        assert_eq!(text, expected);
        assert!(!is_stored(&source, &store).await);
    }
}

#[tokio::test]
async fn a_bound_token_enters_no_store_that_is_not_sealed() {
    let fleet = Fleet::of_keys().await;
    let store = fleet.unsealed();
    for expected in ["t-1", "t-2"] {
        let provider = fleet.client().dpop_key(SecretRef::inline(P256));
        let (text, source) = process(provider, &store).await;
        assert_eq!(text, expected);
        assert!(!is_stored(&source, &store).await);
    }
}

/// What a store has of another process may name any key, since others write to it too.
#[tokio::test]
async fn a_token_that_names_the_processs_own_key_is_not_adopted() {
    let fleet = Fleet::of_keys().await;
    let store = fleet.sealed();
    let (_, given) = process(fleet.client().dpop_key(SecretRef::inline(P256)), &store).await;
    let (_, own) = process(fleet.client().dpop(), &store).await;
    let (from, to) = (
        given.store_key().await.unwrap(),
        own.store_key().await.unwrap(),
    );
    let thumbprint = async |source: &TokenSource| {
        let token = source.token().await.unwrap();
        token.confirmation().unwrap().to_owned()
    };
    let mut token = store.get(&from).await.unwrap().unwrap();
    let text = String::from_utf8(token.bytes.clone()).unwrap();
    let renamed = text.replace(&thumbprint(&given).await, &thumbprint(&own).await);
    assert_ne!(text, renamed);
    token.bytes = renamed.into_bytes();
    assert!(store.put(&to, &token, None).await.unwrap());
    assert_eq!(process(fleet.client().dpop(), &store).await.0, "t-3");
}

/// What a store has may claim any scheme.
#[tokio::test]
async fn a_token_is_adopted_only_with_the_scheme_that_its_key_is_proven_by() {
    let keys = Fleet::of_keys().await;
    let certificates = Fleet::new("Bearer", |number| {
        of_certificate(THUMBPRINT) + &number.to_string()
    })
    .await;
    let of_key = || keys.client().dpop_key(SecretRef::inline(P256));
    let of_certificate = || {
        let (pem, key) = (SecretRef::inline(CERTIFICATE), SecretRef::inline(P256));
        certificates.client().certificate(pem, key)
    };
    let bound: [(&Fleet, &dyn Fn() -> OAuth2, _); 2] = [
        (&keys, &of_key, ("DPoP", "Bearer")),
        (&certificates, &of_certificate, ("Bearer", "DPoP")),
    ];
    for (fleet, provider, (right, wrong)) in bound {
        let store = fleet.sealed();
        let (_, source) = process(provider(), &store).await;
        let key = source.store_key().await.unwrap();
        let mut token = store.get(&key).await.unwrap().unwrap();
        for (claimed, requests) in [(right, 1), (wrong, 2)] {
            let text = String::from_utf8(token.bytes.clone()).unwrap();
            let scheme = |name: &str| format!("\"scheme\":\"{name}\"");
            assert!(text.contains(&scheme(right)), "{text}");
            token.bytes = text.replace(&scheme(right), &scheme(claimed)).into_bytes();
            token.generation.0 += 1;
            assert!(store.put(&key, &token, None).await.unwrap());
            process(provider(), &store).await;
            assert_eq!(fleet.requests().await, requests, "{right} as {claimed}");
        }
    }
}

#[tokio::test]
async fn a_bound_token_in_a_store_that_is_not_sealed_is_not_adopted() {
    let fleet = Fleet::of_keys().await;
    let provider = || fleet.client().dpop_key(SecretRef::inline(P256));
    let (sealed, unsealed) = (fleet.sealed(), fleet.unsealed());
    let (_, source) = process(provider(), &sealed).await;
    let from = source.store_key().await.unwrap();
    let (_, source) = process(provider(), &unsealed).await;
    let to = source.store_key().await.unwrap();
    let mut token = sealed.get(&from).await.unwrap().unwrap();
    token.generation.0 += 60_000_000;
    assert!(unsealed.put(&to, &token, None).await.unwrap());
    assert_eq!(process(provider(), &unsealed).await.0, "t-3");
}

/// The text of a tenant's token in another process.
async fn tenant(fleet: &Fleet, bound: &str, store: &Arc<dyn TokenStore>, name: &str) -> String {
    let config = format!(
        "[providers.crm]\nkind = 'oauth2'\ntenant = '[a-z]+'\ntoken_endpoint = '{}/token'\n\
         client_id = 'file:{}/{{tenant}}.id'\nclient_secret = 's3cret'\n\
         client_authentication = 'client_secret_basic'\n{bound}\n",
        fleet.server.uri(),
        fleet.directory.path().display()
    );
    let biped = Biped::builder()
        .without_environment()
        .http_client(Arc::new(TokenClient::new().unwrap()))
        .store(store.clone())
        .toml(&config)
        .build()
        .unwrap();
    let source = biped.token_source("crm").unwrap().tenant(name);
    let token = source.token().await.unwrap();
    assert!(token.confirmation().is_some());
    let text = token.expose_secret().to_owned();
    drop(token);
    biped.manager().drain().await;
    text
}

#[tokio::test]
async fn tenants_share_tokens_that_are_bound_to_keys_of_theirs_and_to_no_other() {
    let fleet = Fleet::of_keys().await;
    let store = fleet.sealed();
    for (name, key) in [("acme", P256), ("umbrella", P384)] {
        for (ending, text) in [("pem", key), ("id", name)] {
            let file = fleet.directory.path().join(format!("{name}.{ending}"));
            std::fs::write(file, text).unwrap();
        }
    }
    let key = fleet.directory.path().join("{tenant}.pem");
    let given = format!("dpop_key = 'file:{}'", key.display());
    for (name, expected) in [
        ("acme", "t-1"),
        ("umbrella", "t-2"),
        ("acme", "t-1"),
        ("umbrella", "t-2"),
    ] {
        assert_eq!(tenant(&fleet, &given, &store, name).await, expected);
    }
    for expected in ["t-3", "t-4"] {
        assert_eq!(
            tenant(&fleet, "dpop = true", &store, "acme").await,
            expected
        );
    }
}

/// A token that says which certificate it is bound to (RFC 8705 §3.1).
fn of_certificate(thumbprint: &str) -> String {
    let part = |claims: serde_json::Value| URL_SAFE_NO_PAD.encode(claims.to_string());
    let claims = json!({ "cnf": { "x5t#S256": thumbprint } });
    format!("{}.{}.c2ln", part(json!({ "alg": "ES256" })), part(claims))
}

/// As `openssl x509 -outform der | openssl dgst -sha256 -binary` tells it, in base64url.
const THUMBPRINT: &str = "ggheDImAKhFYKlBKeOZCyz2O8hkCEZoaGxWWkmI-p1I";

#[tokio::test]
async fn processes_with_the_same_certificate_share_its_token_in_a_sealed_store() {
    let fleet = Fleet::new("Bearer", |number| {
        of_certificate(THUMBPRINT) + &number.to_string()
    })
    .await;
    let certificate = |pem: &str, key: &str| {
        let (pem, key) = (SecretRef::inline(pem), SecretRef::inline(key));
        fleet.client().certificate(pem, key)
    };
    let store = fleet.sealed();
    let (first, source) = process(certificate(CERTIFICATE, P256), &store).await;
    assert!(is_stored(&source, &store).await);
    assert_eq!(
        process(certificate(CERTIFICATE, P256), &store).await.0,
        first
    );
    assert_eq!(fleet.requests().await, 1);
    // The server binds it to a certificate that this process doesn't have.
    let (_, source) = process(certificate(OTHER_CERTIFICATE, RSA), &store).await;
    assert!(!is_stored(&source, &store).await);
}

#[tokio::test]
async fn a_token_of_another_certificate_is_not_adopted_wherever_it_is_found() {
    let fleet = Fleet::new("Bearer", |number| {
        of_certificate(THUMBPRINT) + &number.to_string()
    })
    .await;
    let of = |pem: &str, key: &str| {
        let (pem, key) = (SecretRef::inline(pem), SecretRef::inline(key));
        fleet.client().certificate(pem, key)
    };
    let store = fleet.sealed();
    let (first, source) = process(of(CERTIFICATE, P256), &store).await;
    let from = source.store_key().await.unwrap();
    let (_, source) = process(of(OTHER_CERTIFICATE, RSA), &store).await;
    let to = source.store_key().await.unwrap();
    // As if both certificates led to one name.
    let token = store.get(&from).await.unwrap().unwrap();
    assert!(store.put(&to, &token, None).await.unwrap());
    assert_ne!(process(of(OTHER_CERTIFICATE, RSA), &store).await.0, first);
    assert_eq!(fleet.requests().await, 3);
}

#[tokio::test]
async fn a_token_of_a_certificate_enters_no_store_that_is_not_sealed() {
    let fleet = Fleet::new("Bearer", |_| of_certificate(THUMBPRINT)).await;
    let store = fleet.unsealed();
    let (pem, key) = (SecretRef::inline(CERTIFICATE), SecretRef::inline(P256));
    let (_, source) = process(fleet.client().certificate(pem, key), &store).await;
    assert!(!is_stored(&source, &store).await);
}

#[tokio::test]
async fn a_token_is_bound_to_the_certificate_if_the_server_says_that_it_binds_all() {
    for (binds, is_free) in [(json!(true), false), (json!(false), true)] {
        let fleet = Fleet::new("Bearer", |number| format!("opaque-{number}")).await;
        let issuer = fleet.server.uri();
        let metadata = json!({
            "issuer": issuer,
            "token_endpoint": format!("{issuer}/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "tls_client_certificate_bound_access_tokens": binds,
        });
        Mock::given(path("/.well-known/oauth-authorization-server"))
            .respond_with(ResponseTemplate::new(200).set_body_json(metadata))
            .mount(&fleet.server)
            .await;
        let of = |pem: &str, key: &str| {
            let client = OAuth2::discovered(&*issuer, SecretRef::inline("client-7"));
            client
                .client_secret(SecretRef::inline("s3cret"))
                .certificate(SecretRef::inline(pem), SecretRef::inline(key))
        };
        let unsealed = fleet.unsealed();
        let (_, source) = process(of(CERTIFICATE, P256), &unsealed).await;
        assert_eq!(is_stored(&source, &unsealed).await, is_free);

        let sealed = fleet.sealed();
        let (first, source) = process(of(CERTIFICATE, P256), &sealed).await;
        let token = source.token().await.unwrap();
        assert_eq!(token.confirmation(), (!is_free).then_some(THUMBPRINT));
        assert_eq!(process(of(CERTIFICATE, P256), &sealed).await.0, first);
        assert_ne!(process(of(OTHER_CERTIFICATE, RSA), &sealed).await.0, first);
    }
}
