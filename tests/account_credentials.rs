//! Contentsquare's own rules: a project with account-level credentials, scopes that don't mix, and
//! credentials that end after a year.

use biped::{Biped, ErrorKind, Timestamp, contentsquare::CREDENTIALS_LIFETIME};
use biped_sandbox::ACCOUNT;
use biped_testing::ManualClock;

use crate::{Stage, account_entry, events::Events};

fn secret() -> String {
    format!("client_secret = \"{}\"", ACCOUNT.client_secret)
}

#[tokio::test]
async fn without_a_project_the_error_names_the_remedy() {
    let stage = Stage::configured(|sandbox| {
        let lines = format!("{}\nscope = \"data-export\"", secret());
        account_entry(sandbox, "analytics", &lines)
    })
    .await;
    let error = stage.get("analytics", "/v1/exports").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let code = error.vendor().unwrap().code.as_deref();
    assert_eq!(code, Some("PROJECT_REQUIRED"));
    let remedy = error.remedy().unwrap();
    for word in ["project_id", "42", "43", "UX ANALYTICS US"] {
        assert!(remedy.contains(word), "{word} in {remedy}");
    }

    // And the remedy works, for each of them.
    let client = stage.biped.client("analytics").unwrap();
    for project in [42, 43] {
        let call = client.param("project_id", project).get("/v1/exports");
        assert_eq!(call.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn enrichment_with_another_scope_is_found_before_anything_is_sent() {
    let stage = Stage::new().await;
    let mixed = |sandbox| {
        let lines = "scope = [\"data-export\", \"enrichment\"]\nintegration_id = 123";
        account_entry(sandbox, "mixed", &format!("{}\n{lines}", secret()))
    };
    let built = Biped::builder().without_environment();
    let error = built.toml(mixed(&stage.sandbox)).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let told = error.to_string();
    for word in [
        "the configuration text:6:",
        "providers.mixed.scope",
        "enrichment",
    ] {
        assert!(told.contains(word), "{word} in {told}");
    }

    // Asked for by the application, it is no different.
    let client = stage.biped.client("exports").unwrap();
    for wrong in ["data-export enrichment", "enrichment"] {
        let sent = client.with_scopes(wrong).get("/v1/exports").send().await;
        let error = biped::token_error(&sent.unwrap_err()).unwrap().clone();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{wrong}");
    }
    let counts = stage.counts();
    assert_eq!(
        (counts.token_requests.total, counts.api_calls.total),
        (0, 0)
    );
}

#[test]
fn the_end_of_the_credentials_year_is_warned_of() {
    let config = "[providers.analytics]\nkind = \"contentsquare\"\nclient_id = \"id\"\n\
                  client_secret = \"secret\"\nclient_secret_created = 2026-03-01\n";
    let created = Timestamp::from_unix_seconds(1_772_323_200);
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    for (days_left, warns) in [(31, false), (30, true), (1, true)] {
        let now = created.after(CREDENTIALS_LIFETIME - day * days_left);
        let events = Events::new();
        let biped = events.during(|| {
            let builder = Biped::builder().without_environment().toml(config);
            let clock = std::sync::Arc::new(ManualClock::at(now));
            builder.clock(clock).build().unwrap()
        });
        let provider = biped.provider("analytics").unwrap().provider();
        assert_eq!(provider.warning(now).is_some(), warns, "{days_left} days");
        let logged = events.text();
        assert_eq!(logged.contains("WARN"), warns, "{days_left} days: {logged}");
        assert_eq!(logged.contains("analytics"), warns, "{logged}");
    }
}
