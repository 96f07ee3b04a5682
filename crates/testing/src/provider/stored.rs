//! Tokens from a store, whoever wrote them there.
// A check says what is wrong by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use async_trait::async_trait;
use biped_core::{
    BaseUrls, Error, ExposeSecret as _, FetchContext, Lifetime, Provider, ProviderId, Token,
    TokenRequest,
};
use biped_engine::TokenManager;
use biped_memory::MemoryStore;
use url::Url;

use super::{
    base_urls::{declared, hostile},
    case::Case,
    fetched::fetch,
};
use crate::{ManualClock, ScriptedHttp, settle};

/// A token from a store that claims what no answer could have said is not used: another base URL, or
/// no end where the vendor's tokens have one.
///
/// # Panics
/// Where the provider breaks the promise.
pub async fn a_stored_token_is_checked_like_an_answer(provider: &dyn Provider, case: &Case) {
    let Some(granted) = granted(provider, case).await.map(Arc::new) else {
        return;
    };
    let write = |base_url: Option<Url>, ends| Written {
        granted: granted.clone(),
        base_url,
        ends,
    };
    let named = declared(provider).await;
    let told = case.base_urls.as_ref();
    let told = told.and_then(|told| Url::parse(&told.trusted).ok());
    let good = granted.base_url().cloned().or(told);
    let somewhere = || Url::parse("https://api.vendor.example").expect("a URL");
    let mut lies: Vec<_> = hostile(&good.clone().unwrap_or_else(somewhere))
        .iter()
        .filter_map(|url| Url::parse(url).ok())
        .collect();
    // A provider whose answers name none gets none.
    lies.extend(named.is_none().then(somewhere));
    for url in lies {
        let lie = write(Some(url.clone()), granted.expires_at().is_some());
        assert!(
            !is_used(lie, case).await,
            "a stored token would go to {url}"
        );
    }
    if !provider.lives_until_rejected() {
        assert!(
            granted.expires_at().is_some(),
            "the token has no end, and lives_until_rejected doesn't say so"
        );
        let unending = write(granted.base_url().cloned(), false);
        assert!(
            !is_used(unending, case).await,
            "a stored token would never end"
        );
    }
}

/// Whether the provider uses from a store what its vendor granted.
pub(super) async fn uses_its_own(provider: &dyn Provider, case: &Case) -> bool {
    let Some(granted) = granted(provider, case).await else {
        return false;
    };
    let own = Written {
        base_url: granted.base_url().cloned(),
        ends: granted.expires_at().is_some(),
        granted: granted.into(),
    };
    is_used(own, case).await
}

/// What the case's vendor grants; `None` for what never enters a store.
async fn granted(provider: &dyn Provider, case: &Case) -> Option<Token> {
    let (_, answer) = case.granted();
    let token = fetch(provider, case, answer).await.outcome.ok()?;
    token.confirmation().is_none().then_some(token)
}

/// Whether a token that somebody wrote to a store is used.
async fn is_used(written: Written, case: &Case) -> bool {
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let manager = |http: &Arc<ScriptedHttp>| {
        TokenManager::builder(http.clone())
            .clock(clock.clone())
            .store(store.clone())
            .build()
    };
    let nobody = Arc::new(ScriptedHttp::new());
    let id = case.provider().id().clone();
    let writer = Writer { id, written };
    let source = manager(&nobody).source(Arc::new(writer), case.request.clone());
    source.token().await.expect("the writer grants a token");
    settle().await;

    // Whoever doesn't use it asks, and is refused.
    let vendor = Arc::new(ScriptedHttp::new());
    let refusal = case.refused_client().clone();
    vendor.answer_with(move |_, _| refusal.reply());
    let source = manager(&vendor).source(case.provider(), case.request.clone());
    let used = source.token().await;
    assert_eq!(
        used.is_ok(),
        vendor.count() == 0,
        "what is not used is asked for"
    );
    used.is_ok()
}

/// What somebody writes to a store: a granted token, but for this.
#[derive(Debug)]
struct Written {
    granted: Arc<Token>,
    base_url: Option<Url>,
    ends: bool,
}

/// Whoever writes it: a provider of the same name, for which every base URL is right.
#[derive(Debug)]
struct Writer {
    id: ProviderId,
    written: Written,
}

#[async_trait]
impl Provider for Writer {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn base_urls(&self, _: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        let named = self.written.base_url.clone().map(BaseUrls::fixed);
        Ok(named.unwrap_or_default())
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let Written {
            granted,
            base_url,
            ends,
        } = &self.written;
        let extra = granted.extras();
        let extra = extra.map(|(name, value)| (name.to_owned(), value.clone()));
        let life = granted.lifetime().filter(|_| *ends);
        Token::new(granted.expose_secret(), cx.sent_at())
            .token_type(Some(granted.token_type()))
            .scope(granted.scope())
            .expires_in(life)
            .assumed_lifetime(Lifetime::UntilRejected)
            .base_url(base_url.clone())
            .extra(extra.collect())
            .build()
    }
}
