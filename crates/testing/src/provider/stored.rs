//! Checks of tokens from a store, which anyone may have written.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use async_trait::async_trait;
use biped_core::{
    BaseUrls, Error, ExposeSecret as _, FetchContext, Lifetime, Provider, ProviderId, Token,
    TokenRequest, TokenStore,
};
use biped_memory::MemoryStore;
use url::Url;

use super::{
    base_urls::{declared, hostile},
    case::Case,
    fetched::{fetch, manager},
};
use crate::{ManualClock, ScriptedHttp};

/// A token from a store is not used if no response could have granted it, because it has another base
/// URL. The provider declares if its tokens have no expiry.
///
/// # Panics
/// Panics if the provider breaks the promise.
pub async fn a_stored_token_is_checked_like_an_answer(provider: &dyn Provider, case: &Case) {
    let Some(granted) = granted(provider, case).await.map(Arc::new) else {
        return;
    };
    let named = declared(provider).await;
    let told = case.base_urls.as_ref();
    let told = told.and_then(|told| Url::parse(&told.trusted).ok());
    let good = granted.base_url().cloned().or(told);
    let somewhere = || Url::parse("https://api.vendor.example").expect("a URL");
    let mut lies: Vec<_> = hostile(&good.unwrap_or_else(somewhere), provider)
        .iter()
        .filter_map(|url| Url::parse(url).ok())
        .collect();
    // A provider whose responses name no base URL accepts none.
    lies.extend(named.is_none().then(somewhere));
    for url in lies {
        let lie = Written {
            granted: granted.clone(),
            base_url: Some(url.clone()),
        };
        assert!(
            !is_used(lie, case).await,
            "a stored token would be sent to {url}"
        );
    }
    // The manager refuses a stored token without an expiry of a provider that does not declare it.
    assert!(
        granted.expires_at().is_some() || provider.lives_until_rejected(),
        "the token has no expiry, but lives_until_rejected returns false"
    );
}

/// Whether the provider uses a stored token that its vendor granted.
pub(super) async fn uses_its_own(provider: &dyn Provider, case: &Case) -> bool {
    let Some(granted) = granted(provider, case).await else {
        return false;
    };
    let own = Written {
        base_url: granted.base_url().cloned(),
        granted: granted.into(),
    };
    is_used(own, case).await
}

/// The token that the case's vendor grants; `None` if such tokens are never stored.
async fn granted(provider: &dyn Provider, case: &Case) -> Option<Token> {
    let (_, answer) = case.granted();
    let token = fetch(provider, case, answer).await.outcome.ok()?;
    token.confirmation().is_none().then_some(token)
}

/// Whether the provider uses a token from a store.
async fn is_used(written: Written, case: &Case) -> bool {
    let clock = Arc::new(ManualClock::new());
    let store = MemoryStore::with_clock(clock.clone());
    is_used_from(Arc::new(store), &clock, written, case).await
}

async fn is_used_from(
    store: Arc<dyn TokenStore>,
    clock: &Arc<ManualClock>,
    written: Written,
    case: &Case,
) -> bool {
    let manager = |http| manager(http, clock).store(store.clone()).build();
    let unused = Arc::new(ScriptedHttp::new());
    let id = case.provider().id().clone();
    let writer = Writer { id, written };
    let process = manager(&unused);
    let source = process.source(Arc::new(writer), case.request.clone());
    source
        .token()
        .await
        .expect("the writer does not get a token");
    // The token is stored after it is returned.
    process.drain().await;

    // A provider that does not use the token sends a request, which is refused.
    let vendor = Arc::new(ScriptedHttp::new());
    let refusal = case.refused_client().clone();
    vendor.answer_with(move |_, _| refusal.reply());
    let source = manager(&vendor).source(case.provider(), case.request.clone());
    let used = source.token().await;
    assert_same!(
        used.is_ok(),
        vendor.count() == 0,
        "the provider neither uses the token nor fetches another"
    );
    used.is_ok()
}

/// A forged token in a store: a granted token with changes.
#[derive(Debug)]
struct Written {
    granted: Arc<Token>,
    base_url: Option<Url>,
}

/// The forger: a provider of the same name that accepts every base URL.
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
        let Written { granted, base_url } = &self.written;
        let extra = granted.extras();
        let extra = extra.map(|(name, value)| (name.to_owned(), value.clone()));
        Token::new(granted.expose_secret(), cx.sent_at())
            .token_type(Some(granted.token_type()))
            .scope(granted.scope())
            .expires_in(granted.lifetime())
            .assumed_lifetime(Lifetime::UntilRejected)
            .base_url(base_url.clone())
            .extra(extra.collect())
            .build()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use biped_core::{
        Generation, IdentityKey, Lease, SecretRef, StoreError, StoredToken, TokenKey,
    };

    use super::*;
    use crate::{Reply, TestProvider};

    /// A store that other tasks come before, as where a runtime has several threads.
    #[derive(Debug)]
    struct Slow(MemoryStore);

    #[async_trait]
    impl TokenStore for Slow {
        async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
            self.0.get(key).await
        }

        async fn put(
            &self,
            key: &TokenKey,
            token: &StoredToken,
            lease: Option<&Lease>,
        ) -> Result<bool, StoreError> {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            self.0.put(key, token, lease).await
        }

        async fn forget(
            &self,
            key: &TokenKey,
            through: Generation,
            keep: Duration,
        ) -> Result<(), StoreError> {
            self.0.forget(key, through, keep).await
        }

        async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
            self.0.identity_key().await
        }
    }

    /// Otherwise no stored token would be used, and a provider that trusts every host would pass.
    #[tokio::test]
    async fn the_token_is_in_the_store_before_it_is_asked_for() {
        let make = |secret: &str| -> Arc<dyn Provider> {
            Arc::new(TestProvider::default().secret(SecretRef::inline(secret)))
        };
        let case = Case::new(make, TokenRequest::new())
            .grants("the-token", Reply::token("the-token", 60))
            .refuses_client(Reply::error(401, "invalid_client"));
        let granted = granted(&*case.provider(), &case).await.unwrap();
        let own = Written {
            granted: granted.into(),
            base_url: None,
        };
        let clock = Arc::new(ManualClock::new());
        let store = Slow(MemoryStore::with_clock(clock.clone()));
        assert!(is_used_from(Arc::new(store), &clock, own, &case).await);
    }
}
