//! A vendor without a network, for what is about the manager alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{
    Error, FetchContext, HttpClient, Provider, ProviderId, Token, TokenRequest, wire,
};
use biped_engine::TokenManager;
use bytes::Bytes;

/// Sends nothing: answers with a token after a while, or fails.
#[derive(Debug, Default)]
pub(crate) struct Vendor {
    pub(crate) requests: AtomicUsize,
    pub(crate) down: AtomicBool,
    pub(crate) latency: Duration,
    pub(crate) lifetime: u64,
}

impl Vendor {
    pub(crate) fn new(lifetime: u64) -> Self {
        Self {
            lifetime,
            ..Self::default()
        }
    }
}

#[async_trait]
impl HttpClient for Vendor {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::unreachable("down"));
        }
        let life = self.lifetime;
        // As long as an opaque token usually is.
        let body = format!(r#"{{"access_token":"tok-{number:028}","expires_in":{life}}}"#);
        Ok(http::Response::new(body.into()))
    }
}

/// The length of the tokens above.
pub(crate) const TOKEN_LENGTH: usize = 32;

/// Reads what [`Vendor`] and the server of the network bench answer.
#[derive(Debug)]
pub(crate) struct Plain {
    id: ProviderId,
}

impl Plain {
    pub(crate) fn new(token_endpoint: &str) -> Self {
        Self {
            id: ProviderId::new("bench", token_endpoint, "client"),
        }
    }
}

#[async_trait]
impl Provider for Plain {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        #[derive(serde::Deserialize)]
        struct Answer<'a> {
            access_token: &'a str,
            expires_in: u64,
        }
        let form = [
            ("client_id", "client"),
            ("client_secret", "a-secret-of-some-length"),
        ];
        let response = cx.post_form(self.id.token_endpoint(), form).await?;
        let answer: Answer<'_> = serde_json::from_slice(response.body())
            .map_err(|_| wire::failure(&response, Default::default(), cx.now()))?;
        Token::new(answer.access_token, cx.sent_at())
            .expires_in(Some(Duration::from_secs(answer.expires_in)))
            .build()
    }
}

/// A manager on that vendor, and a provider for it.
pub(crate) fn manager(vendor: Arc<Vendor>) -> (TokenManager, Arc<Plain>) {
    (
        TokenManager::builder(vendor).build(),
        Arc::new(Plain::new("https://login.example/token")),
    )
}
