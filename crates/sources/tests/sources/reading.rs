//! Tokens in files: read anew each time, and not sent once they have expired.

use std::{fs, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{Error, ErrorKind, ExposeSecret, FetchContext, SecretRef, Timestamp};
use biped_sources::{Asking, Claims, ExternalToken};
use biped_testing::{ManualClock, ScriptedHttp};
use serde_json::json;

fn jwt(expiry: Timestamp) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "iss": "https://cluster", "sub": "pod", "aud": ["a", "b"], "exp": expiry.unix_seconds(),
    });
    format!("{}.{}.c2ln", part(json!({ "alg": "none" })), part(claims))
}

async fn read(token: &ExternalToken, clock: &ManualClock) -> Result<String, Error> {
    let http = ScriptedHttp::new();
    let cx = FetchContext::new(&http, clock);
    let given = token.read(&Asking::new(&cx)).await?;
    // The fetch hides it.
    let shown = cx
        .redactor()
        .redacted(given.text.expose_secret())
        .into_owned();
    assert!(!shown.contains(given.text.expose_secret()));
    Ok(given.text.expose_secret().to_owned())
}

#[tokio::test]
async fn an_assertion_is_sent_up_to_a_minute_after_it_expired() {
    let clock = ManualClock::new();
    let now = biped_core::Clock::now(&clock).wall;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t");
    let token = ExternalToken::from(SecretRef::file(&path));
    for (text, sent) in [
        (jwt(now.after(Duration::from_secs(600))), true),
        (jwt(now.before(Duration::from_secs(59))), true),
        (jwt(now.before(Duration::from_secs(61))), false),
        ("no JWT".into(), true),
        ("with\u{7}bell".into(), false),
        ("x".repeat(64 * 1024), true),
        ("x".repeat(64 * 1024 + 1), false),
        (String::new(), false),
    ] {
        fs::write(&path, &text).unwrap();
        match read(&token, &clock).await {
            Ok(read) => assert!(sent && read == text),
            Err(error) => {
                assert!(!sent, "{error}");
                assert_eq!(error.kind(), ErrorKind::Secret);
                assert!(error.is_transient());
                let source = format!("file:{}", path.display());
                assert_eq!(error.token_source(), Some(&*source));
            }
        }
    }
}

#[tokio::test]
async fn the_error_says_where_the_assertion_is_and_when_it_expired() {
    let clock = ManualClock::new();
    let now = biped_core::Clock::now(&clock).wall;
    let token = ExternalToken::from(SecretRef::inline(jwt(now.before(Duration::from_secs(250)))));
    let error = read(&token, &clock).await.unwrap_err();
    assert_eq!(
        error.message(),
        "the assertion in the configuration expired 4 min ago"
    );
}

#[test]
fn claims_are_read_of_a_jwt_and_of_nothing_else() {
    let expiry = Timestamp::from_unix_seconds(1_800_000_000);
    let claims = Claims::of(&jwt(expiry)).unwrap();
    assert_eq!(claims.issuer.as_deref(), Some("https://cluster"));
    assert_eq!(claims.subject.as_deref(), Some("pod"));
    assert_eq!(claims.audience, ["a", "b"]);
    assert_eq!(claims.expires_at, Some(expiry));
    assert_eq!(Claims::of("a.b.c"), None);
    assert_eq!(Claims::of("opaque"), None);
}
