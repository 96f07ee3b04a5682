//! A token endpoint whose answers break below or beside HTTP: callers get a token or a clear error,
//! and whoever has a token notices nothing.

use std::time::Duration;

use biped::{ErrorKind, TokenState};
use biped_sandbox::{Effect, Fault};

use crate::{LIFETIME, Stage, TOKEN_PATH, until};

/// What becomes of each, without a token: retried until it works, taken as it is, or an error.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Retried,
    Taken,
    Unusable,
}

const BROKEN: [(Effect, Outcome); 6] = [
    (Effect::Reset, Outcome::Retried),
    (Effect::Stall, Outcome::Retried),
    (Effect::Empty, Outcome::Retried),
    (Effect::WrongContentType, Outcome::Taken),
    (Effect::Html, Outcome::Unusable),
    (Effect::Endless, Outcome::Unusable),
];

/// A stalled answer is given up in real time, so soon; all others come, however late.
async fn patient_unless(effect: Effect) -> Stage {
    let patience = if effect == Effect::Stall { "2s" } else { "10m" };
    Stage::built(|sandbox, builder| {
        builder
            .toml(sandbox.config_toml())
            .value("http.timeout", patience)
    })
    .await
}

#[tokio::test]
async fn a_broken_answer_is_retried_or_told_and_never_ends_service() {
    for (effect, outcome) in BROKEN {
        let stage = patient_unless(effect).await;
        stage.sandbox.fail_next(Fault::new(effect).path(TOKEN_PATH));
        let told = stage.driven(stage.exports()).await;
        if outcome == Outcome::Unusable {
            let error = told.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{effect:?}");
            assert_eq!(error.provider(), Some("exports"));
            stage.clock.advance(Duration::from_secs(2));
            assert_eq!(stage.exports().await.unwrap(), 200, "{effect:?}");
        } else {
            assert_eq!(told.unwrap(), 200, "{effect:?}");
        }
        let requests = stage.token_requests();
        match (effect, outcome) {
            // The answer after it may be late as well.
            (Effect::Stall, _) => assert!(requests >= 2, "{effect:?}"),
            (_, Outcome::Taken) => assert_eq!(requests, 1, "{effect:?}"),
            _ => assert_eq!(requests, 2, "{effect:?}"),
        }
    }
}

#[tokio::test]
async fn a_broken_refresh_leaves_the_token_in_place() {
    for (effect, outcome) in BROKEN {
        let stage = patient_unless(effect).await;
        assert_eq!(stage.exports().await.unwrap(), 200);
        let fault = Fault::new(effect).path(TOKEN_PATH).until_cleared();
        stage.sandbox.fail_next(fault);
        stage.clock.advance(LIFETIME.mul_f64(0.86));
        assert_eq!(stage.exports().await.unwrap(), 200, "{effect:?}");
        let source = stage.biped.token_source("exports").unwrap();
        if outcome == Outcome::Taken {
            let renewed = || source.status().state == TokenState::Fresh;
            until("the token was renewed", renewed).await;
            continue;
        }
        let failed = || source.status().last_error.is_some();
        until("the refresh failed", failed).await;
        assert_eq!(source.status().state, TokenState::Usable, "{effect:?}");
        assert_eq!(stage.exports().await.unwrap(), 200, "{effect:?}");

        stage.sandbox.clear_faults();
        stage.clock.advance(Duration::from_secs(70));
        assert_eq!(stage.exports().await.unwrap(), 200);
        let renewed = || source.status().state == TokenState::Fresh;
        until("the token was renewed", renewed).await;
    }
}
