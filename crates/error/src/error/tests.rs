use std::{error::Error as _, io};

use super::*;

/// What anyhow shows with `{:#}`.
fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let all = cause::chain(error).map(ToString::to_string);
    all.collect::<Vec<_>>().join(": ")
}

/// An error of a library: what it was doing, and why that failed.
#[derive(Debug)]
struct Doing(&'static str, io::Error);

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Doing {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.1)
    }
}

fn refused() -> io::Error {
    io::Error::other("the peer refused")
}

#[test]
fn debug_is_for_people_and_tells_each_cause_once() {
    let error = Error::unreachable("no connection")
        .with_remedy("check the proxy")
        .with_provider("shop")
        .with_source(Doing("connecting", refused()));
    let shown =
        "shop: no connection; check the proxy\n  because: connecting\n  because: the peer refused";
    assert_eq!(format!("{error:?}"), shown);
    assert_eq!(format!("{error:#?}"), shown);
    let error = Error::secret("no secret").with_source(io::Error::other("a\nforged: line"));
    assert_eq!(
        format!("{error:?}"),
        "no secret\n  because: a\\nforged: line"
    );
    assert_eq!(format!("{:?}", Error::secret("no secret")), "no secret");
}

#[test]
fn a_chain_says_nothing_twice() {
    for (error, shown) in [
        (
            Error::from(StoreError::new("the disk is full")),
            "the disk is full",
        ),
        (
            Error::unreachable("TLS failed: the peer refused")
                .with_source(Doing("connecting", refused())),
            "TLS failed: the peer refused: connecting",
        ),
        (
            Error::unreachable("connecting failed").with_source(Doing("connecting", refused())),
            "connecting failed: the peer refused",
        ),
        (
            Error::unreachable("no answer").with_source(Doing("the peer refused", refused())),
            "no answer: the peer refused",
        ),
        (
            Error::unreachable("no answer").with_source(Doing("connecting", refused())),
            "no answer: connecting: the peer refused",
        ),
    ] {
        assert_eq!(in_one_line(&error), shown);
    }
}

#[test]
fn a_cause_that_says_something_new_keeps_its_type() {
    let error = Error::unreachable("connecting failed").with_source(Doing("connecting", refused()));
    assert!(error.source().unwrap().is::<io::Error>());
    // A text that is changed later is compared again.
    let error = error.with_message("no answer");
    assert!(error.source().unwrap().is::<Doing>());
}

#[test]
fn as_the_cause_of_its_own_text_an_error_tells_only_its_kind() {
    let error = Error::refused(VendorError::new(401)).with_source(refused());
    let cause = error.as_cause();
    assert_eq!(
        in_one_line(&cause),
        "kind of error: refused: the peer refused"
    );
    assert_eq!(cause.vendor(), error.vendor());
    assert_eq!(cause.as_told().to_string(), error.to_string());
    assert_eq!(error.as_told().to_string(), error.to_string());
    assert_eq!(format!("{cause:?}"), format!("{error:?}"));
}

#[test]
fn what_a_process_plans_is_told_until_it_ends() {
    let second = Duration::from_secs(1);
    let error = Error::unavailable(VendorError::new(503)).with_retry_after(Some(30 * second));
    assert!(
        error
            .to_string()
            .ends_with("(the vendor asks to wait 30 s)")
    );
    let planned = error.with_next_attempt(Some(20 * second));
    assert!(planned.to_string().ends_with("(next attempt in 20 s)"));
    assert_eq!(planned.retry_after(), Some(20 * second));
    let ended = planned.without_plan();
    assert!(
        ended
            .to_string()
            .ends_with("(the vendor asks to wait 20 s)")
    );

    let own = Error::secret("none").with_next_attempt(Some(second));
    assert_eq!(own.retry_after(), Some(second));
    assert_eq!(own.without_plan().retry_after(), None);
    let fetching = Error::unreachable("no token").still_fetching();
    assert!(fetching.is_still_fetching() && !Error::unreachable("no token").is_still_fetching());
    assert!(fetching.to_string().contains("continues"));
    assert_eq!(fetching.without_plan().to_string(), "no token");
}

#[test]
fn a_cause_that_was_told_shows_no_secret_after_redaction() {
    let secrets = biped_redact::Redactor::new(["pl4nted-s3cret"]);
    let source = || Doing("connecting as pl4nted-s3cret", refused());
    let error = Error::unreachable("failed: connecting as pl4nted-s3cret").with_source(source());
    for error in [error.as_cause(), error] {
        let error = error.redacting(&secrets);
        let shown = format!("{error:?} {}", in_one_line(&error));
        assert!(!shown.contains("pl4nted"), "{shown}");
    }
}

#[test]
fn a_refusal_that_is_of_the_client_says_so_whoever_tells() {
    let error = Error::refused(VendorError::new(200)).refusing_client(true);
    assert_eq!(error.message(), REFUSED_CLIENT);
    assert!(
        error.to_string().contains("; check the credentials"),
        "{error}"
    );
    let own = Error::refused(VendorError::new(200)).with_message("the key is unknown");
    assert_eq!(own.refusing_client(true).message(), "the key is unknown");
}

#[test]
fn the_remedy_of_several_lines_is_a_line_of_its_own() {
    let one = Error::configuration("a is not set").with_remedy("set it");
    assert_eq!(one.to_string(), "a is not set; set it");
    let several = Error::configuration_lines(["a is not set", "b is not set"]);
    let several = several.with_remedy("set them");
    assert_eq!(several.to_string(), "a is not set\nb is not set\nset them");
}
