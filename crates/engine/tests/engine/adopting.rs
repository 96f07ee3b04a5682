//! A manager that takes over another's tokens.

use biped_engine::TokenState;
use biped_testing::Reply;

use crate::stage::{Stage, text};

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
