//! What an error of a call says, and that Biped's own is found in it.

use biped_core::{Error, ErrorKind};
use biped_reqwest::{ApiClient, token_error};
use wiremock::MockServer;

use crate::vendor::Vendor;

/// The texts of an error and of its causes, as `anyhow` shows them with `{:#}`.
fn chain(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect()
}

#[track_caller]
fn says_nothing_twice(error: &(dyn std::error::Error + 'static)) {
    let chain = chain(error);
    for (at, text) in chain.iter().enumerate() {
        let before = &chain[..at];
        assert!(
            !before.iter().any(|told| told.contains(text.as_str())),
            "{chain:#?}"
        );
    }
}

#[tokio::test]
async fn an_error_of_the_middleware_tells_everything_once_and_contains_bipeds_own() {
    let server = MockServer::start().await;
    let client: ApiClient = Vendor {
        refuses: true,
        ..Vendor::new()
    }
    .client(&server.uri());
    let error = client.get("/").send().await.unwrap_err();
    let own = token_error(&error).unwrap();
    assert_eq!(own.kind(), ErrorKind::Refused);
    assert_eq!(error.to_string(), own.to_string());
    says_nothing_twice(&error);

    // Wherever an application looks for it.
    let causes = std::iter::successors(std::error::Error::source(&error), |error| error.source());
    let found = causes
        .filter_map(|cause| cause.downcast_ref::<Error>())
        .next();
    assert_eq!(found.unwrap().kind(), ErrorKind::Refused);
    let reqwest_middleware::Error::Middleware(inner) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        inner.downcast_ref::<Error>().unwrap().kind(),
        ErrorKind::Refused
    );
    let shown = format!("{inner:#}");
    let own = inner.downcast_ref::<Error>().unwrap();
    assert_eq!(shown.matches(own.message()).count(), 1, "{shown}");
}
