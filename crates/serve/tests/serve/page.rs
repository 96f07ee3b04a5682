//! The page, the status, and the events that keep it live.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    stage::{Caller, Stage},
    vendor::{Act, reply},
};

#[tokio::test]
async fn the_status_has_the_keys_of_the_contract() {
    let stage = Stage::new().await;
    stage.running.warmed().await;
    assert_eq!(stage.get("/shop/x").await.status, 200);
    let status = stage.get("/-/status").await.json();
    let provider = &status["providers"][0];
    for key in [
        "name",
        "kind",
        "state",
        "token_endpoint",
        "base_url",
        "expires_at",
        "refresh_at",
        "remaining",
        "fetches",
        "rejections",
        "last_error",
        "next_attempt",
    ] {
        assert!(provider.get(key).is_some(), "{key}: {provider}");
    }
    assert_eq!(provider["fetches"], 1);
    assert_eq!(provider["rejections"], 0);
    assert_eq!(provider["requests"]["2xx"], 1);
    assert!(provider["refresh_at"].as_str() < provider["expires_at"].as_str());
    assert!(provider["refresh_at"].is_string());
}

#[tokio::test]
async fn a_failure_is_in_the_status_in_the_vendors_words() {
    let stage = Stage::new().await;
    stage.vendor.tokens(|_| {
        let body = "{\"error\":\"invalid_client\",\"error_description\":\"<b>no</b>\"}";
        let json = "Content-Type: application/json\r\n";
        Act::Reply(reply("401 Unauthorized", json, body))
    });
    stage.running.warmed().await;
    assert_eq!(stage.get("/shop/x").await.status, 502);
    let provider = stage.get("/-/status").await.json()["providers"][0].clone();
    assert_eq!(provider["state"], "quarantined");
    let error = &provider["last_error"];
    assert_eq!(error["kind"], "refused");
    assert_eq!(error["status"], 401);
    assert_eq!(error["code"], "invalid_client");
    assert!(provider["next_attempt"].is_u64());
    // The vendor's words are text on the page, and no element of it.
    let page = stage.get("/-/").await.text();
    assert!(page.contains("&lt;b&gt;no&lt;/b&gt;") && !page.contains("<b>no"));
}

#[tokio::test]
async fn the_page_is_right_without_its_script_and_runs_no_other() {
    let stage = Stage::new().await;
    stage.running.warmed().await;
    let answer = stage.get("/-/").await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let page = answer.text();
    let between = |start: &str, end: &str| {
        let (_, rest) = page.split_once(start).unwrap();
        rest.split_once(end).unwrap().0.to_owned()
    };
    let hash = |text: String| BASE64_STANDARD.encode(Sha256::digest(text));
    let style = hash(between("<style>", "</style>"));
    let script = hash(between("<script>", "</script>"));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    assert_eq!(answer.header("content-security-policy"), Some(&*policy));
    assert!(
        page.contains("<th scope=\"row\">shop</th><td>oauth2</td><td>fresh</td>"),
        "{page}"
    );
    assert!(page.contains("aria-live=\"polite\""));
    for secret in ["token-1", "vendor-secret"] {
        assert!(!page.contains(secret));
    }
    let refused = stage.ask("POST /-/", "").await;
    assert_eq!(refused.problem().1, "method");
}

#[tokio::test]
async fn without_the_page_none_of_its_routes_is_there() {
    let stage = Stage::with("page = false", "").await;
    for path in ["/-/", "/-/status", "/-/events"] {
        assert_eq!(stage.get(path).await.status, 404, "{path}");
    }
    assert!(!stage.get("/").await.text().contains("/-/"));
}

#[tokio::test]
async fn the_root_tells_where_the_page_is() {
    let stage = Stage::with("", "").await;
    let root = stage.get("/").await;
    assert_eq!(root.problem().0, 404);
    let detail = root.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("/shop") && detail.ends_with("at /-/"),
        "{detail}"
    );
    assert!(!stage.get("/other").await.text().contains("/-/"));
}

#[tokio::test]
async fn an_origin_of_the_configuration_may_read_the_page_and_call_nothing() {
    let stage = Stage::with("origins = ['https://ops.example']", "").await;
    let origin = "Origin: https://ops.example\r\n";
    assert_eq!(stage.ask("GET /-/status", origin).await.status, 200);
    assert_eq!(stage.ask("GET /shop/x", origin).await.status, 403);
    let other = "Origin: https://other.example\r\n";
    assert_eq!(stage.ask("GET /-/status", other).await.status, 403);
}

async fn event(caller: &mut Caller<tokio::net::TcpStream>) -> Option<Value> {
    loop {
        let piece = caller.piece().await?;
        if let Some(data) = piece.strip_prefix("data: ") {
            assert!(data.ends_with("\n\n"));
            return Some(serde_json::from_str(data.trim()).unwrap());
        }
    }
}

#[tokio::test]
async fn events_tell_how_things_stand_and_what_changes_until_the_end() {
    let stage = Stage::new().await;
    stage.running.warmed().await;
    let mut caller = stage.caller().await;
    caller
        .write("GET /-/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let head = caller.head().await.unwrap();
    assert!(
        head.to_lowercase()
            .contains("content-type: text/event-stream"),
        "{head}"
    );
    let first = event(&mut caller).await.unwrap();
    assert_eq!(first["providers"][0]["state"], "fresh");
    assert_eq!(first["providers"][0]["requests"]["2xx"], 0);
    assert_eq!(stage.get("/shop/x").await.status, 200);
    loop {
        let next = event(&mut caller).await.unwrap();
        if next["providers"][0]["requests"]["2xx"] == 1 {
            break;
        }
    }
    stage.running.stop(false).await;
    while event(&mut caller).await.is_some() {}
}

#[tokio::test]
async fn the_configuration_and_why_a_newer_one_was_not_taken_are_told() {
    use crate::{stage::provider, vendor::Vendor};

    let _limit = biped_testing::TimeLimit::start();
    let vendor = Vendor::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("biped.toml");
    let text = format!("[serve]\nlisten = ['127.0.0.1:0']\n{}", provider(&vendor));
    std::fs::write(&path, &text).unwrap();
    let read = {
        let path = path.clone();
        move || {
            let builder = biped::Biped::builder().section(biped_serve::section());
            builder.without_environment().file(&path).build()
        }
    };
    let server = biped_serve::Server::new(read().unwrap());
    let server = server.reloading(Some(path.clone()), read, |serve| serve, |_| {});
    let running = server.start().await.unwrap();
    let status = async || {
        let at = crate::stage::address(&running.addresses()[0]);
        let stream = tokio::net::TcpStream::connect(at).await.unwrap();
        let answer = Caller::new(stream).ask("GET /-/status", "").await;
        answer.json()["configuration"].clone()
    };
    let first = status().await;
    let hash: String = Sha256::digest(&text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(first["path"], path.display().to_string());
    assert_eq!(first["sha256"], hash);
    assert!(first["read_at"].is_string() && first["error"].is_null());
    std::fs::write(&path, "[serve]\nnope = 1\n").unwrap();
    running.reload().await.unwrap_err();
    let second = status().await;
    assert_eq!(second["sha256"], hash);
    assert!(second["error"].as_str().unwrap().contains("nope"));
    std::fs::write(&path, format!("{text}\n")).unwrap();
    running.reload().await.unwrap();
    assert!(status().await["error"].is_null());
}
