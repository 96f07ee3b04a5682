//! Tokens for programs that send their requests themselves.

use crate::stage::Stage;

const CALLERS: &str = "[[serve.callers]]\nname = 'a'\ntoken = 'secret-a'\ntokens = true\n\
                       [[serve.callers]]\nname = 'b'\ntoken = 'secret-b'\n";
const A: &str = "Biped-Caller: secret-a\r\nBiped-Request: 1\r\n";

#[tokio::test]
async fn a_caller_that_may_have_them_gets_tokens() {
    let stage = Stage::with("tokens = true", CALLERS).await;
    let answer = stage.ask("GET /-/token/shop", A).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    let json = answer.json();
    assert_eq!(json["access_token"], "token-1");
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["provider"], "shop");
    assert!(json["expires_in"].as_u64().unwrap() <= 3600);
    let at = stage.vendor.address;
    assert_eq!(json["base_url"], format!("http://{at}/base"));
    let plain = format!("{A}Accept: text/plain\r\n");
    assert_eq!(
        stage.ask("GET /-/token/shop", &plain).await.text(),
        "token-1"
    );
    let header = stage.ask("GET /-/header/shop", A).await.json();
    assert_eq!(header["authorizationHeader"], "Bearer token-1");
}

#[tokio::test]
async fn the_token_alone_is_for_those_who_prefer_text() {
    let stage = Stage::with("tokens = true", CALLERS).await;
    for (accept, is_text) in [
        ("text/plain", true),
        ("TEXT/Plain; charset=utf-8", true),
        ("text/html, text/plain", true),
        ("application/json;q=0.5, text/plain;q=0.8", true),
        ("text/plain;q=0.5, */*;q=0.1", true),
        ("text/plain;q=0, application/json", false),
        ("text/plain; Q=0.000", false),
        ("text/plain;q=0.5, application/json", false),
        ("text/plainfoo", false),
        ("application/json", false),
        ("*/*", false),
        ("", false),
    ] {
        let headers = format!("{A}Accept: {accept}\r\n");
        let answer = stage.ask("GET /-/token/shop", &headers).await;
        assert_eq!(answer.text() == "token-1", is_text, "{accept}");
    }
    let twice = format!("{A}Accept: text/html\r\nAccept: text/plain\r\n");
    assert_eq!(
        stage.ask("GET /-/token/shop", &twice).await.text(),
        "token-1"
    );
}

#[tokio::test]
async fn no_answer_of_a_token_route_is_kept() {
    let stage = Stage::with("tokens = true", CALLERS).await;
    for (line, headers, status) in [
        ("GET /-/token/shop", "", 401),
        ("GET /-/header/shop", "Biped-Caller: secret-a\r\n", 403),
        ("GET /-/token/nope", A, 404),
        ("POST /-/header/shop", A, 405),
        ("POST /-/oauth/nope/token", "Content-Length: 0\r\n", 404),
        ("GET /-/oauth/shop/token", A, 405),
    ] {
        let answer = stage.ask(line, headers).await;
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{line}");
        assert_eq!(answer.header("pragma"), Some("no-cache"), "{line}");
    }
}

#[tokio::test]
async fn others_get_none() {
    let stage = Stage::with("tokens = true", CALLERS).await;
    for (headers, status, word) in [
        ("Biped-Request: 1\r\n", 401, "caller"),
        (
            "Biped-Caller: secret-b\r\nBiped-Request: 1\r\n",
            403,
            "caller",
        ),
        ("Biped-Caller: secret-a\r\n", 403, "not-allowed"),
        (
            &*format!("{A}X-Forwarded-For: 10.0.0.1\r\n"),
            403,
            "not-allowed",
        ),
        (&*format!("{A}Forwarded: for=x\r\n"), 403, "not-allowed"),
    ] {
        for route in ["token", "header"] {
            let answer = stage.ask(&format!("GET /-/{route}/shop"), headers).await;
            assert_eq!(answer.problem(), (status, word.into(), false), "{headers}");
            assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        }
    }
    assert_eq!(
        stage.ask("POST /-/token/shop", A).await.problem().1,
        "method"
    );
    let unknown = stage.ask("GET /-/token/nope", A).await;
    assert_eq!(unknown.problem().1, "unknown-provider");
    assert_eq!(unknown.json()["title"], "There is no such provider");
}

#[tokio::test]
async fn without_callers_tokens_are_for_sockets_only() {
    let request = "Biped-Request: 1\r\n";
    let off = Stage::new().await;
    let answer = off.ask("GET /-/token/shop", request).await;
    assert_eq!(answer.problem(), (404, "unknown-provider".into(), false));
    // It is the route that is not there.
    assert_eq!(answer.json()["title"], "There is no such route");
    let on = Stage::with("tokens = true", "").await;
    let answer = on.ask("GET /-/token/shop", request).await;
    assert_eq!(answer.problem(), (401, "caller".into(), false));
    let any = Stage::with("tokens = 'any'", "").await;
    assert_eq!(any.ask("GET /-/token/shop", request).await.status, 200);
    assert!(
        any.running
            .notes()
            .iter()
            .any(|note| note.contains("serve.tokens"))
    );
}

#[cfg(unix)]
#[tokio::test]
async fn on_a_socket_whoever_can_connect_gets_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("biped.sock");
    let stage = Stage::new().await;
    let toml = format!(
        "[serve]\ntokens = true\nlisten = ['unix:{}']\n{}",
        path.display(),
        crate::stage::provider(&stage.vendor)
    );
    let running = biped_serve::Server::new(crate::stage::biped(&toml))
        .start()
        .await
        .unwrap();
    assert_eq!(running.addresses(), [format!("unix:{}", path.display())]);
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut caller = crate::stage::Caller::new(stream);
    let answer = caller
        .ask("GET /-/token/shop", "Biped-Request: 1\r\n")
        .await;
    assert_eq!(answer.status, 200);
    drop(caller);
    running.stop(false).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn parameters_are_checked_as_on_calls() {
    let rules = format!("{CALLERS}[serve.providers.shop]\nscopes = ['read']");
    let stage = Stage::with("tokens = true", &rules).await;
    for (query, status) in [
        ("scope=read", 200),
        ("min_ttl=60", 200),
        ("scope=admin", 403),
        ("param.audience=x", 403),
        ("audience=x", 400),
        ("min_ttl=x", 400),
        ("scope=read&scope=read", 400),
    ] {
        let answer = stage.ask(&format!("GET /-/token/shop?{query}"), A).await;
        assert_eq!(answer.status, status, "{query}");
    }
}
