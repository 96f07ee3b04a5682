//! What `[about]` and the examples of a file can say, and which slips in them are told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use biped_dialect::{Backing, Dialect, Scopes, check_text};

const WHOLE: &str = r#"
url = "https://v.example/token"

[about]
title = "Vendor"
variant = "JWT"
aliases = ["Product", "Old name"]
checked = 2026-11-28
live = false
credentials = "Console › API; an administrator"
scopes = { "users.read" = "read users", "users.write" = "change users" }
api = "https://api.v.example"
verify = { method = "HEAD", path = "/v1/{tenant}/me", status = 204 }
limits = { requests = 5, per = "1m" }
same_token = true
one_token = true
unverified = ["refusal", "lifetime"]
tags = ["test"]
notes = "A note."

[[about.source]]
url = "https://client.example/code"
says = ["request"]

[[about.source]]
url = "https://docs.v.example/auth"
says = ["request", "answer", "api", "scopes"]
own = true
"#;

fn problems(text: &str) -> Vec<String> {
    let Err(error) = Dialect::from_toml(text, "f") else {
        return Vec::new();
    };
    let all = error.problems().iter();
    all.map(|problem| format!("{}: {}", problem.key, problem.message))
        .collect()
}

#[test]
fn everything_that_a_file_says_of_its_vendor_is_read() {
    let dialect = Dialect::from_toml(WHOLE, "f").unwrap();
    let about = dialect.about().unwrap();
    assert_eq!(about.variant(), Some("JWT"));
    assert_eq!(about.aliases().collect::<Vec<_>>(), ["Product", "Old name"]);
    assert_eq!(about.credentials(), Some("Console › API; an administrator"));
    let Some(Scopes::Listed(scopes)) = about.scopes() else {
        panic!("{:?}", about.scopes());
    };
    assert_eq!(scopes[1], ("users.write".into(), "change users".into()));
    let verify = about.verify().unwrap();
    assert_eq!(verify.method(), "HEAD");
    assert_eq!(verify.path(), "/v1/{tenant}/me");
    assert_eq!(verify.status(), 204);
    let limits = about.limits().unwrap();
    assert_eq!(limits.requests(), 5);
    assert_eq!(limits.period(), Duration::from_secs(60));
    assert!(about.repeats_token() && about.allows_one_token());
    assert_eq!(
        about.unverified().collect::<Vec<_>>(),
        ["refusal", "lifetime"]
    );
    let sources = about.sources();
    assert!(!sources[0].is_own() && sources[1].is_own());
    assert_eq!(sources[1].says().collect::<Vec<_>>().len(), 4);
    // The vendor's own source comes first.
    assert_eq!(about.docs(), "https://docs.v.example/auth");
}

#[test]
fn what_backs_a_vendor_follows_from_its_sources() {
    let backing = |from: &str, to: &str| {
        assert!(WHOLE.contains(from), "{from}");
        let dialect = Dialect::from_toml(&WHOLE.replace(from, to), "f").unwrap();
        dialect.about().unwrap().backing()
    };
    assert_eq!(backing("", ""), Backing::Own);
    assert_eq!(backing("live = false", "live = true"), Backing::Live);
    assert_eq!(backing("own = true", "own = false"), Backing::Others);
    let own = "says = [\"request\", \"answer\", \"api\", \"scopes\"]";
    // One fact by the vendor itself is not both of them.
    let less = own.replace("\"answer\", ", "");
    assert_eq!(backing(own, &less), Backing::Others);
    for fact in ["request", "answer"] {
        let unverified = format!("\"{fact}\"");
        assert_eq!(backing("\"refusal\"", &unverified), Backing::Unverified);
    }
}

#[test]
fn scopes_may_be_one_sentence_and_a_request_to_try_has_defaults() {
    let text = WHOLE
        .replace(
            "scopes = { \"users.read\" = \"read users\", \"users.write\" = \"change users\" }",
            "scopes = \"none needed\"",
        )
        .replace("method = \"HEAD\", ", "")
        .replace(", status = 204", "");
    let dialect = Dialect::from_toml(&text, "f").unwrap();
    let about = dialect.about().unwrap();
    assert_eq!(
        about.scopes(),
        Some(&Scopes::Described("none needed".into()))
    );
    let verify = about.verify().unwrap();
    assert_eq!(verify.method(), "GET");
    assert_eq!(verify.status(), 200);
}

#[test]
fn slips_in_the_description_are_told() {
    for (from, to, expected) in [
        ("\"lifetime\"]", "\"lifetme\"]", "did you mean lifetime?"),
        ("\"scopes\"]", "\"everything\"]", "expected one of"),
        (
            "https://client.example/code",
            "the wiki",
            "about.source.url",
        ),
        (
            "url = \"https://client.example/code\"",
            "",
            "about.source.url",
        ),
        ("path = \"/v1", "path = \"v1", "about.verify.path"),
        ("status = 204", "status = 4", "about.verify.status"),
        ("requests = 5, ", "", "about.limits.requests"),
        ("per = \"1m\"", "per = \"soon\"", "about.limits.per"),
        (
            "variant = \"JWT\"",
            "varient = \"JWT\"",
            "did you mean variant?",
        ),
    ] {
        assert!(WHOLE.contains(from), "{from}");
        let found = problems(&WHOLE.replace(from, to));
        assert_eq!(found.len(), 1, "{from}: {found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn an_older_file_means_the_same() {
    let text =
        "url = \"https://v.example/token\"\n[about]\ntitle = \"V\"\ndocs = \"https://d.example\"\n";
    let dialect = Dialect::from_toml(text, "f").unwrap();
    let about = dialect.about().unwrap();
    assert_eq!(about.docs(), "https://d.example");
    assert!(about.sources().is_empty() && about.scopes().is_none());
    let neither = problems("url = \"https://v.example/token\"\nabout = { title = \"V\" }");
    assert_eq!(neither.len(), 1);
    assert!(neither[0].starts_with("about.docs"), "{neither:?}");
}

#[test]
fn an_example_may_be_an_assumption_and_a_refusal_unverified() {
    let example = r#"
[[example]]
assumed = true
given = { client_id = "a", client_secret = "b" }
request = { url = "https://v.example/token", form = "grant_type=client_credentials&client_id=a&client_secret=b" }
response = { json = { access_token = "t" } }
expect = { token = "t" }
"#;
    let report = check_text(&format!("{WHOLE}{example}"), "f");
    assert!(report.is_good(), "{:?}", report.problems());
    assert!(report.dialect().unwrap().examples()[0].is_assumed());
    assert!(report.advice().is_empty(), "{:?}", report.advice());
    let verified = WHOLE.replace("\"refusal\", ", "");
    let report = check_text(&format!("{verified}{example}"), "f");
    assert_eq!(report.advice().len(), 1);
}

const SIGNED: &str = r#"
auth = "jwt"

[jwt]
alg = "ES256"
key = "{key}"
use = "token"
kid = "k-1"
header = { tenant = "acme" }
claims = { iss = "me" }

[about]
title = "Signed here"
docs = "https://v.example"
params = { key = { says = "the key", secret = true } }

[[example]]
given = { key = "generate:p256" }

[example.expect]
token = "{jwt}"
lifetime = 240
jwt.header = { typ = "JWT", alg = "ES256", kid = "k-1", tenant = "acme" }
jwt.claims = { iss = "me", iat = 1795305540, exp = 1795305840, jti = "00000000-0000-4000-8000-000000000000" }
"#;

#[test]
fn the_example_of_a_token_that_is_signed_here_has_no_request() {
    let report = check_text(SIGNED, "f");
    assert!(report.problems().is_empty(), "{:?}", report.problems());
    assert!(
        report.differences().is_empty(),
        "{:?}",
        report.differences()
    );
    let wrong = check_text(
        &SIGNED.replace("iss = \"me\", iat", "iss = \"you\", iat"),
        "f",
    );
    assert_eq!(wrong.differences().len(), 1);
    assert_eq!(wrong.differences()[0].what, "expect.jwt.claims");
}

#[test]
fn what_can_not_be_beside_a_token_that_is_signed_here_is_told() {
    let with = |more: &str| problems(&format!("{more}\n{}", SIGNED.trim_start()));
    for more in [
        "method = \"GET\"",
        "encoding = \"json\"",
        "headers = { A = \"b\" }",
        "fields = { a = \"b\" }",
        "response = { token = \"/t\" }",
    ] {
        let found = with(more);
        assert!(
            found.iter().any(|it| it.contains("sends no request")),
            "{more}: {found:?}"
        );
    }
    for (from, to, expected) in [
        (
            "tenant = \"acme\" }\nclaims",
            "alg = \"none\" }\nclaims",
            "jwt.header.alg",
        ),
        (
            "kid = \"k-1\"",
            "certificate = \"{key}\"",
            "jwt.certificate",
        ),
        ("use = \"token\"", "use = \"tokn\"", "jwt.use"),
    ] {
        let found = problems(&SIGNED.replace(from, to));
        assert!(found.iter().any(|it| it.contains(expected)), "{found:?}");
    }
    let url = "url = \"https://v.example/token\"\n";
    let issued = format!(
        "{url}response = {{ expires = {{ at = \"/e\", as = \"unix\", issued = \"/i\" }} }}"
    );
    let found = problems(&issued);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("response.expires.issued"), "{found:?}");
}
