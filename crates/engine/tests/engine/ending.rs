//! The end of an application: what it leaves behind.

use std::sync::Arc;

use biped_core::{
    Error, ExposeSecret, FetchContext, Provider, ProviderId, Token, TokenRequest, async_trait,
};
use biped_engine::TokenManager;
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, Reply, ScriptedHttp, TestProvider};

use crate::stage::text;

/// A vendor with revocation.
#[derive(Debug, Default)]
struct Revoking(TestProvider);

/// The same, whose tokens are bound to a key.
#[derive(Debug, Default)]
struct Binding(Revoking);

#[async_trait]
impl Provider for Binding {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let bound = Token::new("t-1", cx.sent_at()).confirmation(Some("thumbprint"));
        bound.build()
    }

    async fn revoke(&self, token: &Token, cx: &FetchContext<'_>) -> Result<(), Error> {
        self.0.revoke(token, cx).await
    }
}

#[async_trait]
impl Provider for Revoking {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        self.0.fetch(request, cx).await
    }

    async fn revoke(&self, token: &Token, cx: &FetchContext<'_>) -> Result<(), Error> {
        let form = [("token", token.expose_secret())];
        cx.post_form("https://login.example/revoke", form).await?;
        Ok(())
    }
}

#[tokio::test]
async fn tokens_that_nobody_shares_are_revoked_on_demand_and_not_served_again() {
    let _limit = biped_testing::TimeLimit::start();
    let http = Arc::new(ScriptedHttp::new());
    let clock = Arc::new(ManualClock::new());
    let manager = TokenManager::builder(http.clone()).clock(clock).build();
    let revoking = manager.source(Arc::new(Revoking::default()), TokenRequest::new());
    let without = manager.source(Arc::new(TestProvider::new("other")), TokenRequest::new());
    http.push(Reply::token("t-1", 3600));
    http.push(Reply::token("t-2", 3600));
    text(&revoking).await;
    text(&without).await;

    http.push(Reply::status(200));
    assert_eq!(manager.revoke_unshared().await, 1);
    let asked = http.requests();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[2].url, "https://login.example/revoke");
    assert_eq!(&asked[2].body[..], b"token=t-1");
    assert!(revoking.fresh().is_none());
    assert!(without.fresh().is_some());
}

#[tokio::test]
async fn tokens_in_a_store_are_not_revoked_since_others_use_them() {
    let _limit = biped_testing::TimeLimit::start();
    let http = Arc::new(ScriptedHttp::new());
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let manager = TokenManager::builder(http.clone())
        .clock(clock)
        .store(store)
        .build();
    let source = manager.source(Arc::new(Revoking::default()), TokenRequest::new());
    http.push(Reply::token("t-1", 3600));
    text(&source).await;
    assert_eq!(manager.revoke_unshared().await, 0);
    assert_eq!(http.count(), 1);
    assert!(source.fresh().is_some());
}

#[tokio::test]
async fn a_token_that_never_enters_the_store_is_revoked_beside_one() {
    let _limit = biped_testing::TimeLimit::start();
    let http = Arc::new(ScriptedHttp::new());
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let manager = TokenManager::builder(http.clone())
        .clock(clock)
        .store(store)
        .build();
    let source = manager.source(Arc::new(Binding::default()), TokenRequest::new());
    text(&source).await;
    http.push(Reply::status(200));
    assert_eq!(manager.revoke_unshared().await, 1);
    assert_eq!(&http.requests()[0].body[..], b"token=t-1");
    assert!(source.fresh().is_none());
}
