//! Which token of another provider ends a refusal.

use std::{sync::Arc, time::Duration};

use biped_core::{Clock as _, Generation, Input, Provider, TokenRequest};
use biped_testing::{ManualClock, Reply, ScriptedHttp, TestProvider, TimeLimit};

use crate::TokenManager;

#[tokio::test]
async fn a_token_numbered_before_one_that_serves_again_is_another() {
    let _limit = TimeLimit::start();
    let (http, clock) = (Arc::new(ScriptedHttp::new()), Arc::new(ManualClock::new()));
    let provider: Arc<dyn Provider> = Arc::new(TestProvider::default());
    let manager = TokenManager::builder(http.clone())
        .clock(clock.clone())
        .named_provider("other", provider.clone())
        .build();
    let request = TokenRequest::new();
    let input = Input::new("other", provider.id().clone(), request.clone());
    let lend = || manager.0.lenders.lend(&input, false);

    http.push(Reply::token("first", 3600));
    let first = lend().await.unwrap().lender;
    assert!(!first.has_another());
    clock.advance(Duration::from_secs(2));
    assert!(first.reject());
    assert!(!first.has_another(), "there is none at all");
    // No replacement comes, so the rejected token serves again, numbered by the time of its rejection.
    http.push(Reply::status(503).with_header("Retry-After", "600"));
    let again = lend().await.unwrap().lender;

    // Another process began to fetch before that, and its token is numbered by that time.
    let key = manager.0.key(&provider, request);
    let now = clock.now();
    let earlier = Generation(0).next(now.wall.before(Duration::from_secs(1)));
    let token = {
        let mut state = key.state();
        let last = key.last_resort(&state, Default::default(), &now);
        let token = last.expect("it serves again");
        assert!(token.generation() > earlier);
        let token = Arc::new(token.returned(earlier));
        assert!(state.succeeded(&token, &now, None), "it is not forgotten");
        key.slot.publish(&mut state, token.clone());
        token
    };
    assert_eq!(token.generation(), earlier);
    assert!(again.has_another());
}
