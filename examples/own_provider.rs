//! A provider for a vendor that Biped does not include, in one file.
//!
//! Acme exchanges an API key for a session key, and expects every call to be signed with it: an HMAC
//! over method, path, time and body. The provider is below `main`; the vendor itself comes last.
//!
//! ```sh
//! cargo run --example own_provider
//! ```

#![allow(clippy::print_stdout)] // an example prints

use std::{error::Error as StdError, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use biped::provider::{
    ApiRequest, AttachContext, FetchContext, Field, FieldType, Provider, ProviderConfig,
    ProviderId, ProviderKind, SecretRef, async_trait, wire,
};
use biped::{Biped, Error, ExposeSecret, Token, TokenRequest, VendorError};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let address = acme_itself::start().await?;
    let config = format!(
        r#"
        [providers.billing]
        kind = "acme"
        token_endpoint = "http://{address}/session"
        api_base_url = "http://{address}/api"
        api_key = "acme-key-1"
        "#
    );
    let builder = Biped::builder().provider_kind(acme()).toml(config);
    let biped = builder.build()?;
    let billing = biped.client("billing")?;
    let invoice = billing
        .post("/invoices")
        .body(r#"{"customer": 7, "amount": "12.50"}"#)
        .send()
        .await?
        .error_for_status()?;
    println!("Acme says: {}", invoice.text().await?);
    Ok(())
}

/// The kind of provider: its fields in the configuration, and its constructor.
fn acme() -> ProviderKind {
    ProviderKind::new("acme", from_config)
        .about("Acme's billing API")
        .field(
            Field::new("api_key", FieldType::Secret)
                .required()
                .about("The API key from Acme."),
        )
        .field(
            Field::new("token_endpoint", FieldType::Url)
                .required()
                .about("The URL that creates sessions."),
        )
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let key = config
        .secret("api_key")
        .ok_or_else(|| config.missing("api_key"))?;
    let endpoint = config
        .url("token_endpoint")
        .ok_or_else(|| config.missing("token_endpoint"))?;
    // Acme has no client identifier: the key identifies the client, and each has its own tokens.
    let id = ProviderId::new("acme", endpoint, "")
        .named(config.name())
        .credential(&key);
    Ok(Arc::new(Acme { id, key }))
}

#[derive(Debug)]
struct Acme {
    id: ProviderId,
    key: SecretRef,
}

#[async_trait]
impl Provider for Acme {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let key = cx.secret(&self.key).await?;
        let body = serde_json::json!({ "api_key": key.expose_secret() });
        let response = cx.post_json(self.id.token_endpoint(), &body).await?;
        if !response.status().is_success() {
            let vendor = VendorError::new(response.status().as_u16());
            return Err(wire::failure(&response, vendor, cx.now()));
        }
        let answer = wire::json(&response)?;
        let session = answer["session"]
            .as_str()
            .ok_or_else(|| Error::invalid_response("the response does not contain a session"))?;
        Token::new(session, cx.sent_at())
            .expires_in(wire::seconds(&answer["seconds"]))
            .build()
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        cx: &AttachContext<'_>,
    ) -> Result<(), Error> {
        let body = request
            .body()
            .ok_or_else(|| Error::configuration("Acme signs the body, so it can't be a stream"))?;
        let time = cx.now().unix_seconds();
        let signature = sign(
            token.expose_secret(),
            request.method().as_str(),
            request.url().path(),
            time,
            body,
        )
        .ok_or_else(|| Error::internal("HMAC does not accept the key"))?;
        let headers = request.headers_mut();
        let value = |text: String| {
            text.parse()
                .map_err(|_| Error::internal("a signature is not a valid header value"))
        };
        headers.insert("acme-time", value(time.to_string())?);
        headers.insert("acme-signature", value(signature)?);
        Ok(())
    }
}

fn sign(session: &str, method: &str, path: &str, time: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(session.as_bytes()).ok()?;
    mac.update(format!("{method}\n{path}\n{time}\n").as_bytes());
    mac.update(body);
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

/// The vendor: it creates a session and checks the signatures.
mod acme_itself {
    use std::{io, net::SocketAddr};

    use axum::{
        Json, Router,
        body::Bytes,
        http::{HeaderMap, Method, StatusCode, Uri},
        routing::post,
    };
    use serde_json::{Value, json};

    const SESSION: &str = "session-4711";

    pub(super) async fn start() -> io::Result<SocketAddr> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/session", post(session))
            .route("/api/invoices", post(invoice));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(address)
    }

    async fn session(Json(asked): Json<Value>) -> (StatusCode, Json<Value>) {
        if asked["api_key"] == "acme-key-1" {
            (
                StatusCode::OK,
                Json(json!({ "session": SESSION, "seconds": 600 })),
            )
        } else {
            (StatusCode::UNAUTHORIZED, Json(json!({})))
        }
    }

    async fn invoice(
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, &'static str) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let time = text("acme-time")
            .and_then(|time| time.parse().ok())
            .unwrap_or_default();
        let expected = super::sign(SESSION, method.as_str(), uri.path(), time, &body);
        if expected.is_some() && expected.as_deref() == text("acme-signature") {
            (StatusCode::CREATED, "invoice 1 is on its way")
        } else {
            (StatusCode::UNAUTHORIZED, "the signature is not valid")
        }
    }
}
