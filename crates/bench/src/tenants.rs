//! Many tenants of one provider.

use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};

use async_trait::async_trait;
use biped::{
    Biped, Error, SecretString,
    config::{SecretScheme, SecretSource, SourceContext},
};
use biped_core::HttpClient;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

use crate::{
    report::{Figure, Goal},
    vendor::TOKEN_LENGTH,
};

const TENANTS: u32 = 100_000;

const CRM: &str = r#"
    [providers.crm]
    kind = "oauth2"
    tenant = "[a-z0-9-]{1,40}"
    token_endpoint = "https://login.crm.example/oauth/token"
    client_id = "vault:kv/tenants/{tenant}#client_id"
    client_secret = "vault:kv/tenants/{tenant}#client_secret"
    params = { region = "eu" }
"#;

/// Answers with a token, as a standard server does.
#[derive(Debug, Default)]
struct Server(AtomicUsize);

#[async_trait]
impl HttpClient for Server {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let body = format!(
            r#"{{"access_token":"tok-{number:028}","token_type":"Bearer","expires_in":3600}}"#
        );
        let mut response = http::Response::new(body.into());
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Ok(response)
    }
}

/// An entry of a vault.
#[derive(Debug)]
struct Entry(Box<str>);

#[async_trait]
impl SecretSource for Entry {
    fn reference(&self) -> String {
        format!("vault:{}", self.0)
    }

    async fn read(&self, _: &SourceContext<'_>) -> Result<SecretString, Error> {
        Ok(format!("value of {}", self.0).into())
    }
}

fn name(tenant: u32) -> String {
    format!("customer-{tenant:06}")
}

/// What a tenant takes in memory once it has its token: beyond the token's text, and the texts of the
/// references to its id and its secret.
pub(crate) fn heap_per_tenant() -> Vec<Figure> {
    let vault = SecretScheme::new("vault", |path: &str| {
        Ok(Arc::new(Entry(path.into())) as Arc<dyn SecretSource>)
    });
    let biped = Biped::builder()
        .without_environment()
        .secret_scheme(vault)
        .http_client(Arc::new(Server::default()))
        .toml(CRM)
        .build()
        .expect("a configuration");
    let source = biped.token_source("crm").expect("the provider");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let get = |tenant: u32| {
        runtime.block_on(async {
            let token = source.tenant(&name(tenant)).token().await;
            token.map(drop).expect("a token");
        });
    };
    // What the first one brings is not each one's.
    get(TENANTS);
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    (0..TENANTS).for_each(get);
    let change = region.change();
    let held = change.bytes_allocated - change.bytes_deallocated;
    let references = ["#client_id", "#client_secret"]
        .map(|field| format!("kv/tenants/{}{field}", name(0)).len())
        .iter()
        .sum::<usize>();
    #[allow(clippy::cast_precision_loss)]
    let each = held as f64 / f64::from(TENANTS) - (TOKEN_LENGTH + references) as f64;
    vec![Figure::alone(
        "T",
        "heap per tenant beyond token and references",
        "bytes",
        Goal::Most(1200.0),
        &[each],
    )]
}
