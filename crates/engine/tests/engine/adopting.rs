//! A manager that takes over another's tokens.

use std::{sync::Arc, time::Duration};

use biped_core::{Error, FetchContext, Provider, ProviderId, Token, TokenRequest, async_trait};
use biped_engine::TokenState;
use biped_testing::{Reply, TestProvider};

use crate::stage::{Stage, seconds, text};

#[tokio::test]
async fn a_manager_takes_over_the_tokens_of_the_providers_that_it_knows() {
    let _limit = biped_testing::TimeLimit::start();
    let old = Stage::new();
    old.http.push(Reply::token("a", 3600));
    old.http.push(Reply::token("b", 3600));
    assert_eq!(text(&old.source()).await, "a");
    assert_eq!(text(&old.tenant(7)).await, "b");
    let new = Stage::sharing_clock(&old.clock);
    // A client that is unknown takes nothing.
    new.manager.adopt(&old.manager);
    assert!(new.manager.statuses().is_empty());
    let source = new.source();
    new.manager.adopt(&old.manager);
    assert_eq!(text(&source).await, "a");
    assert_eq!(text(&new.tenant(7)).await, "b");
    assert_eq!(new.http.count(), 0);
}

#[tokio::test]
async fn a_newer_token_and_an_expired_one_change_nothing() {
    let _limit = biped_testing::TimeLimit::start();
    let old = Stage::new();
    old.http.push(Reply::token("old", 3600));
    assert_eq!(text(&old.source()).await, "old");
    let new = Stage::sharing_clock(&old.clock);
    new.http.push(Reply::token("new", 7200));
    let source = new.source();
    assert_eq!(text(&source).await, "new");
    new.manager.adopt(&old.manager);
    assert_eq!(text(&source).await, "new");
    old.advance(3600.0);
    let late = Stage::sharing_clock(&old.clock);
    late.http.push(Reply::token("late", 3600));
    let source = late.source();
    late.manager.adopt(&old.manager);
    assert_eq!(source.status().state, TokenState::Missing);
    assert_eq!(text(&source).await, "late");
}

/// A vendor that ends a token that lay unused for an hour.
#[derive(Debug, Default)]
struct Impatient(TestProvider);

#[async_trait]
impl Provider for Impatient {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }
    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        self.0.fetch(request, cx).await
    }
    fn idle_limit(&self) -> Option<Duration> {
        Some(seconds(3600.0))
    }
}

#[tokio::test]
async fn how_long_a_token_lay_unused_is_taken_over() {
    let _limit = biped_testing::TimeLimit::start();
    let source = |stage: &Stage| {
        let provider = Arc::new(Impatient::default());
        stage.manager.source(provider, TokenRequest::new())
    };
    let old = Stage::new();
    old.http.push(Reply::token("old", 24 * 3600));
    assert_eq!(text(&source(&old)).await, "old");
    old.advance(50.0 * 60.0);
    let new = Stage::sharing_clock(&old.clock);
    let adopting = source(&new);
    new.manager.adopt(&old.manager);
    new.advance(20.0 * 60.0);
    new.http.push(Reply::token("new", 24 * 3600));
    assert_eq!(text(&adopting).await, "new");
}
