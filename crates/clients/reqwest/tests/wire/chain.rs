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

/// The error type of an application, whose cause is what it got.
#[derive(Debug)]
struct Failed(reqwest_middleware::Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the report can't be made")
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test]
async fn bipeds_own_error_is_found_in_an_error_of_the_application() {
    let server = MockServer::start().await;
    let client: ApiClient = Vendor {
        refuses: true,
        ..Vendor::new()
    }
    .client(&server.uri());
    let failed = Failed(client.get("/").send().await.unwrap_err());
    let own = token_error(&failed).unwrap();
    assert_eq!(own.kind(), ErrorKind::Refused);
    assert_eq!(token_error(own).unwrap().kind(), ErrorKind::Refused);
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(failed);
    assert!(token_error(&*boxed).is_some());
    assert!(token_error(&std::io::Error::other(boxed)).is_some());
    assert!(token_error(&std::fmt::Error).is_none());
}
