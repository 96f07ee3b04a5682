//! A token that the API rejects.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    stage::{Stage, address, biped},
    vendor::{Act, Got, ok, reply},
};

fn unauthorized() -> Act {
    Act::Reply(reply(
        "401 Unauthorized",
        "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n",
        "no",
    ))
}

/// Accepts every token but the first.
fn revoked(got: &Got) -> Act {
    match got.header("authorization") {
        Some("Bearer token-1") => unauthorized(),
        _ => ok(&String::from_utf8_lossy(&got.body)),
    }
}

#[tokio::test]
async fn a_rejected_call_is_sent_once_more_with_a_new_token() {
    let stage = Stage::new().await;
    stage.vendor.api(revoked);
    let answer = stage.get("/shop/x").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("biped-replayed"), Some("1"));
    assert_eq!(answer.header("biped-rejected"), None);
    let tokens: Vec<_> = stage.vendor.got();
    let tokens: Vec<_> = tokens
        .iter()
        .map(|got| got.header("authorization").unwrap())
        .collect();
    assert_eq!(tokens, ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(stage.vendor.fetches(), 2);
}

#[tokio::test]
async fn a_short_body_in_two_packets_is_sent_again() {
    let stage = Stage::new().await;
    stage.vendor.api(revoked);
    let mut caller = stage.caller().await;
    caller
        .write(
            "POST /shop/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\
             Expect: 100-continue\r\n\r\n",
        )
        .await;
    // The sidecar waits for the body when it says this.
    assert!(caller.head().await.unwrap().starts_with("HTTP/1.1 100"));
    caller.write("1234567").await;
    let answer = caller.answer().await;
    assert_eq!((answer.status, &*answer.text()), (200, "1234567"));
    assert_eq!(answer.header("biped-replayed"), Some("1"));
    assert!(stage.vendor.got().iter().all(|got| got.body == b"1234567"));
}

#[tokio::test]
async fn a_chunked_body_that_is_there_when_the_head_is_sent_is_sent_again() {
    for pieces in ["", "3\r\nabc\r\n", "3\r\nabc\r\n3\r\ndef\r\n1\r\ng\r\n"] {
        let stage = Stage::new().await;
        stage.vendor.api(revoked);
        let mut caller = stage.caller().await;
        let head = "POST /shop/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        caller.write(format!("{head}{pieces}0\r\n\r\n")).await;
        let answer = caller.answer().await;
        assert_eq!(answer.status, 200, "{pieces}");
        assert_eq!(answer.header("biped-replayed"), Some("1"));
        assert_eq!(stage.vendor.got()[0].body, answer.body);
    }
}

#[tokio::test]
async fn a_token_that_is_expired_by_a_body_with_status_200_is_replaced() {
    let vendor = crate::vendor::Vendor::start().await;
    let at = vendor.address;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("odd.toml");
    let dialect = format!(
        "url = 'http://{at}/token'\nauth = 'basic'\n[[expired]]\nstatus = [200]\nat = '/code'\n\
         any_of = [40101]\n"
    );
    std::fs::write(&file, dialect).unwrap();
    let odd = format!(
        "[providers.odd]\nkind = 'dialect'\nfile = '{}'\napi_base_url = 'http://{at}/base'\n\
         client_id = 'me'\nclient_secret = 'vendor-secret'\n",
        file.display()
    );
    let mut stage = Stage::new().await;
    stage.vendor = vendor;
    let toml = format!("[serve]\nlisten = ['127.0.0.1:0']\n{odd}");
    stage.running = biped_serve::Server::new(biped(&toml))
        .start()
        .await
        .unwrap();
    stage.address = address(&stage.running.addresses()[0]);
    let json = "Content-Type: application/json\r\n";
    stage.vendor.api(move |got| {
        let body = match got.header("authorization") {
            Some("Bearer token-1") => "{\"code\":40101}",
            _ => "{\"code\":0}",
        };
        Act::Reply(reply("200 OK", json, body))
    });
    let answer = stage.get("/odd/x").await;
    assert_eq!((answer.status, &*answer.text()), (200, "{\"code\":0}"));
    assert_eq!(answer.header("biped-replayed"), Some("1"));
    assert_eq!(stage.vendor.got().len(), 2);
    assert_eq!(stage.vendor.fetches(), 2);
}

#[tokio::test]
async fn a_long_body_is_not_kept_and_the_next_call_has_a_new_token() {
    let stage = Stage::new().await;
    stage.vendor.api(revoked);
    let body = "x".repeat(1 << 20);
    let mut caller = stage.caller().await;
    caller
        .write(format!(
            "POST /shop/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    let answer = caller.answer().await;
    assert_eq!((answer.status, &*answer.text()), (401, "no"));
    assert_eq!(answer.header("biped-rejected"), Some("renewing"));
    assert_eq!(answer.header("biped-replayed"), None);
    assert!(answer.header("www-authenticate").is_some());
    assert_eq!(caller.ask("GET /shop/x", "").await.status, 200);
}

#[tokio::test]
async fn the_configuration_says_what_is_sent_again() {
    let stage = Stage::with("replay = 'safe'", "").await;
    stage.vendor.api(revoked);
    let answer = stage.ask("POST /shop/x", "Content-Length: 0\r\n").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("biped-rejected"), Some("renewing"));
    let stage = Stage::with("replay = 'off'", "").await;
    stage.vendor.api(revoked);
    assert_eq!(stage.get("/shop/x").await.status, 401);
    let stage = Stage::with("replay = 'safe'", "").await;
    stage.vendor.api(revoked);
    assert_eq!(stage.get("/shop/x").await.status, 200);
}

#[tokio::test]
async fn an_api_that_rejects_everything_costs_two_fetches_and_answers_itself() {
    let stage = Stage::new().await;
    stage.vendor.api(|_| unauthorized());
    assert_eq!(stage.get("/shop/x").await.status, 401);
    let warm = 1;
    for _ in 0..100 {
        let answer = stage.get("/shop/x").await;
        assert_eq!((answer.status, &*answer.text()), (401, "no"));
        assert_eq!(answer.header("proxy-status"), None);
        assert_eq!(answer.header("biped-rejected"), Some("cooling_down"));
    }
    let fetches = stage.vendor.fetches() - warm;
    assert!(fetches <= 2, "{fetches}");
}

#[tokio::test]
async fn a_rejection_after_the_replay_says_both() {
    let stage = Stage::new().await;
    stage.vendor.api(|_| unauthorized());
    let answer = stage.get("/shop/x").await;
    assert_eq!(answer.header("biped-replayed"), Some("1"));
    assert_eq!(answer.header("biped-rejected"), Some("cooling_down"));
}

#[tokio::test]
async fn what_is_not_the_tokens_fault_costs_no_token() {
    let stage = Stage::new().await;
    stage.vendor.api(|_| {
        let headers = "WWW-Authenticate: Bearer error=\"insufficient_scope\"\r\n";
        Act::Reply(reply("401 Unauthorized", headers, "scope"))
    });
    let answer = stage.get("/shop/x").await;
    assert_eq!((answer.status, &*answer.text()), (401, "scope"));
    assert_eq!(answer.header("biped-rejected"), None);
    stage
        .vendor
        .api(|_| Act::Reply(reply("403 Forbidden", "", "no")));
    assert_eq!(stage.get("/shop/x").await.status, 403);
    assert_eq!(stage.vendor.fetches(), 1);
    assert_eq!(stage.vendor.got().len(), 2);
}

#[tokio::test]
async fn where_no_new_token_can_be_had_the_answer_says_that_nothing_was_accepted() {
    let stage = Stage::new().await;
    stage.vendor.api(|_| unauthorized());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    stage
        .vendor
        .tokens(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
            0 => crate::vendor::token("token-1", 3600),
            _ => {
                let json = "Content-Type: application/json\r\n";
                let body = "{\"error\":\"invalid_client\",\"error_description\":\"rotated\"}";
                Act::Reply(reply("401 Unauthorized", json, body))
            }
        });
    let answer = stage.get("/shop/x").await;
    assert_eq!(answer.problem(), (502, "refused".into(), false));
    let status = answer.header("proxy-status").unwrap();
    assert!(status.contains("received-status=401"), "{status}");
    assert_eq!(answer.json()["vendor"]["message"], "rotated");
}
