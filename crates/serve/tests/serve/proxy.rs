//! What passes through the sidecar, and what does not.

use std::time::Duration;

use biped::provider::{Clock as _, SystemClock};

use crate::{
    stage::{Answer, Stage},
    vendor::{Act, Got, reply},
};

#[tokio::test]
async fn a_call_goes_to_the_api_with_a_token_and_its_answer_comes_back() {
    let stage = Stage::new().await;
    let answer = stage
        .ask(
            "GET /shop/v1/orders?limit=10",
            "User-Agent: test\r\nIf-None-Match: \"1\"\r\n",
        )
        .await;
    assert_eq!((answer.status, &*answer.text()), (200, "hello"));
    // Nothing happened that the caller should know.
    assert_eq!(answer.header("proxy-status"), None);
    assert_eq!(answer.header("biped-replayed"), None);
    let got = stage.vendor.only();
    assert_eq!(got.line(), "GET /base/v1/orders?limit=10 HTTP/1.1");
    assert_eq!(got.header("authorization"), Some("Bearer token-1"));
    assert_eq!(got.header("host"), Some(&*stage.vendor.address.to_string()));
    assert_eq!(got.header("user-agent"), Some("test"));
    assert_eq!(got.header("if-none-match"), Some("\"1\""));
}

#[tokio::test]
async fn path_and_query_arrive_as_they_were_sent() {
    let stage = Stage::new().await;
    for path in [
        "/v1/-._~!$&'()*+,;=:@/%2F%41%c3%a9//x",
        "/a?b='%27[]&c=a/../b?:@!$()*+,;=~",
        "//double/",
        "/group%2Fproject",
        "",
        "?q",
        "/",
    ] {
        let answer = stage.get(&format!("/shop{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let got = stage.vendor.got();
    let got: Vec<_> = got.iter().map(Got::path).collect();
    assert_eq!(
        got,
        [
            "/base/v1/-._~!$&'()*+,;=:@/%2F%41%c3%a9//x",
            "/base/a?b='%27[]&c=a/../b?:@!$()*+,;=~",
            "/base//double/",
            "/base/group%2Fproject",
            "/base",
            "/base?q",
            "/base/",
        ]
    );
}

#[tokio::test]
async fn what_belongs_to_the_caller_does_not_reach_the_api() {
    let stage = Stage::new().await;
    let headers = "Authorization: Bearer own\r\nCookie: a=b\r\nReferer: http://localhost/\r\n\
                   X-Forwarded-For: 10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nForwarded: for=a\r\n\
                   Biped-Something: x\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nProxy-Connection: keep-alive\r\n\
                   Sec-Fetch-Site: none\r\nIdempotency-Key: 7\r\n";
    assert_eq!(stage.ask("GET /shop/x", headers).await.status, 200);
    let got = stage.vendor.only();
    let mut names: Vec<_> = got
        .head
        .lines()
        .skip(1)
        .map(|line| line.split(':').next().unwrap().to_ascii_lowercase())
        .collect();
    names.sort();
    assert_eq!(names, ["authorization", "host", "idempotency-key"]);
    assert_eq!(got.header("authorization"), Some("Bearer token-1"));
}

#[tokio::test]
async fn an_answer_loses_what_would_bind_the_caller_and_leads_through_the_sidecar() {
    let stage = Stage::new().await;
    let at = stage.vendor.address;
    stage.vendor.api(move |_| {
        let headers = format!(
            "Set-Cookie: a=b\r\nAlt-Svc: h3\r\nAccess-Control-Allow-Origin: *\r\nETag: \"1\"\r\n\
             Location: http://{at}/base/next?page=2\r\n\
             Link: <http://{at}/base/o?page=2>; rel=\"next\", <https://cdn.example/x>; rel=\"a\"\r\n\
             Content-Location: /other/x\r\nProxy-Status: evil\r\n"
        );
        Act::Reply(reply("302 Found", &headers, "moved"))
    });
    let answer = stage.get("/shop/v1").await;
    assert_eq!((answer.status, &*answer.text()), (302, "moved"));
    for gone in [
        "set-cookie",
        "alt-svc",
        "access-control-allow-origin",
        "proxy-status",
    ] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.header("location"), Some("/shop/next?page=2"));
    assert_eq!(
        answer.header("link"),
        Some("</shop/o?page=2>; rel=\"next\", <https://cdn.example/x>; rel=\"a\"")
    );
    let elsewhere = format!("http://{at}/other/x");
    assert_eq!(answer.header("content-location"), Some(&*elsewhere));
    // The redirect was not followed.
    assert_eq!(stage.vendor.got().len(), 1);
}

#[tokio::test]
async fn the_apis_own_errors_keep_status_and_body() {
    let stage = Stage::new().await;
    for status in [
        "403 Forbidden",
        "404 Not Found",
        "429 Too Many Requests",
        "500 Oops",
    ] {
        stage
            .vendor
            .api(move |_| Act::Reply(reply(status, "", "as it is")));
        let answer = stage.get("/shop/x").await;
        assert_eq!(answer.status.to_string(), status[..3]);
        assert_eq!(answer.text(), "as it is");
        assert_eq!(answer.header("proxy-status"), None);
    }
    assert_eq!(stage.vendor.fetches(), 1);
}

#[tokio::test]
async fn head_range_and_empty_answers_are_untouched() {
    let stage = Stage::new().await;
    stage.vendor.api(|got| {
        let text = match got.path() {
            "/base/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
            "/base/none" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/base/same" => "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n",
            _ => "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-2/9\r\nContent-Length: 2\r\n\r\nab",
        };
        Act::Reply(text.into())
    });
    let mut caller = stage.caller().await;
    caller
        .write("HEAD /shop/head HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let head = caller.head().await.unwrap();
    assert!(
        head.to_ascii_lowercase().contains("content-length: 1234"),
        "{head}"
    );
    assert_eq!(caller.ask("GET /shop/none", "").await.status, 204);
    let same = caller.ask("GET /shop/same", "").await;
    assert_eq!((same.status, same.header("etag")), (304, Some("\"1\"")));
    let part = caller.ask("GET /shop/part", "Range: bytes=1-2\r\n").await;
    assert_eq!((part.status, &*part.text()), (206, "ab"));
    assert_eq!(part.header("content-range"), Some("bytes 1-2/9"));
    assert_eq!(stage.vendor.got()[3].header("range"), Some("bytes=1-2"));
}

#[tokio::test]
async fn bodies_stream_both_ways_whatever_their_form() {
    let stage = Stage::new().await;
    stage.vendor.api(|got| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend(format!("{:x}\r\n", got.body.len()).bytes());
        bytes.extend(&got.body);
        bytes.extend(b"\r\n0\r\n\r\n");
        Act::Reply(bytes)
    });
    let large = "x".repeat(300_000);
    let length = large.len();
    let answer = stage
        .ask(
            "POST /shop/a",
            &format!("Content-Length: {length}\r\n\r\n{large}"),
        )
        .await;
    // The empty line that ends the head is part of what follows the body here.
    assert_eq!((answer.status, answer.body.len()), (200, length));
    let mut caller = stage.caller().await;
    caller
        .write("POST /shop/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    caller.write("2\r\nde\r\n0\r\n\r\n").await;
    assert_eq!(caller.answer().await.text(), "abcde");
}

#[tokio::test]
async fn a_complete_url_of_the_api_may_be_named_and_no_other() {
    let stage = Stage::new().await;
    let at = stage.vendor.address;
    let ask = async |url: String| -> Answer {
        stage
            .ask("GET /shop", &format!("Biped-Url: {url}\r\n"))
            .await
    };
    let right = ask(format!("http://{at}/base/next?page=%32&a='b")).await;
    assert_eq!(right.status, 200);
    assert_eq!(stage.vendor.only().path(), "/base/next?page=%32&a='b");
    for wrong in [
        "http://evil.example/base".to_owned(),
        format!("https://{at}/base"),
        format!("http://me@{at}/base"),
        format!("http://me:pw@{at}/base"),
        format!("http://{at}@evil.example/"),
        "/base/next".to_owned(),
        format!("http://{at}#@evil.example"),
    ] {
        let answer = ask(wrong.clone()).await;
        assert_eq!(
            answer.problem(),
            (403, "other-origin".into(), false),
            "{wrong}"
        );
    }
    assert_eq!(
        ask(format!("http://{at}/base/../x")).await.problem().1,
        "bad-path"
    );
    assert_eq!(stage.vendor.got().len(), 1);
}

#[tokio::test]
async fn rules_say_what_may_be_called() {
    let rules = "[serve.providers.shop]\nallow = ['GET /v1/**', 'POST /v1/orders']\n\
                 deny = ['* /v1/admin/**']";
    let stage = Stage::with("", rules).await;
    assert_eq!(stage.get("/shop/v1/a/b").await.status, 200);
    assert_eq!(stage.ask("POST /shop/v1/orders", "").await.status, 200);
    for wrong in [
        "GET /shop/v2",
        "DELETE /shop/v1/a",
        "GET /shop/v1/admin/x",
        "GET /shop/v1/x%2Fadmin",
        "GET /shop/%761/a",
        "GET /shop",
    ] {
        let answer = stage.ask(wrong, "Expect: 100-continue\r\n").await;
        assert_eq!(
            answer.problem(),
            (403, "not-allowed".into(), false),
            "{wrong}"
        );
    }
    let elsewhere = format!("Biped-Url: http://{}/other\r\n", stage.vendor.address);
    assert_eq!(stage.ask("GET /shop", &elsewhere).await.problem().0, 403);
    assert_eq!(stage.vendor.got().len(), 2);
}

#[tokio::test]
async fn parameters_and_scopes_are_the_listed_ones_only() {
    let rules = "[serve.providers.shop]\nscopes = ['read', 'write']";
    let stage = Stage::with("warm = []", rules).await;
    stage.vendor.tokens(|got| {
        let body = String::from_utf8(got.body.clone()).unwrap();
        let scope = body.split('&').find_map(|pair| pair.strip_prefix("scope="));
        crate::vendor::token(&format!("for-{}", scope.unwrap_or("none")), 3600)
    });
    let ask = async |path: &str, headers: &str| stage.ask(&format!("GET {path}"), headers).await;
    assert_eq!(ask("/shop/x", "Biped-Scope: read\r\n").await.status, 200);
    assert_eq!(ask("/shop;scope=write/x", "").await.status, 200);
    let got = stage.vendor.got();
    assert_eq!(got[0].header("authorization"), Some("Bearer for-read"));
    assert_eq!(got[1].header("authorization"), Some("Bearer for-write"));
    for (path, headers, status) in [
        ("/shop/x", "Biped-Scope: admin\r\n", 403),
        ("/shop;audience=x/x", "", 403),
        ("/shop/x", "Biped-Param: audience=x\r\n", 403),
        ("/shop/x", "Biped-Tenant: acme\r\n", 403),
        ("/shop;scope=read/x", "Biped-Scope: read\r\n", 400),
        ("/shop/x", "Biped-Param: novalue\r\n", 400),
        ("/shop/x", "Biped-Param: a=%zz\r\n", 400),
        ("/shop;scope=%zz/x", "", 400),
        ("/shop/x", "Biped-Min-TTL: soon\r\n", 400),
        ("/shop/x", "Biped-Timeout: -1\r\n", 400),
    ] {
        let (got, word, sent) = ask(path, headers).await.problem();
        assert_eq!(
            (got, &*word, sent),
            (status, "parameter", false),
            "{path} {headers}"
        );
    }
    assert_eq!(stage.vendor.got().len(), 2);
}

#[tokio::test]
async fn a_location_keeps_the_parameters_of_its_request() {
    let stage = Stage::with("", "[serve.providers.shop]\nscopes = ['read']").await;
    stage
        .vendor
        .api(|_| Act::Reply(reply("201 Created", "Location: next\r\n", "")));
    let answer = stage.get("/shop;scope=read/v1/x").await;
    assert_eq!(answer.header("location"), Some("/shop;scope=read/v1/next"));
}

#[tokio::test]
async fn a_listener_of_one_provider_has_no_prefix() {
    let stage = Stage::with("", "[serve.providers.shop]\nlisten = ['127.0.0.1:0']").await;
    let shown = stage.running.addresses().remove(1);
    let address = crate::stage::address(shown.strip_prefix("shop ").unwrap());
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut caller = crate::stage::Caller::new(stream);
    assert_eq!(caller.ask("GET /-/health", "").await.text(), "hello");
    assert_eq!(stage.vendor.only().path(), "/base/-/health");
}

#[tokio::test]
async fn a_new_key_is_counted_and_too_many_are_refused() {
    let rules = "[serve.providers.shop]\nscopes = ['a', 'b', 'c']";
    let stage = Stage::with("new_keys_per_minute = 1", rules).await;
    let mut refused = 0;
    for scope in ["a", "b", "c"] {
        let answer = stage.get(&format!("/shop;scope={scope}/x")).await;
        if answer.status == 429 {
            assert_eq!(answer.problem().1, "too-many-keys");
            assert!(answer.header("retry-after").is_some());
            refused += 1;
        }
    }
    // A minute may begin in between.
    assert!(refused >= 1, "{refused}");
}

#[tokio::test]
async fn the_caller_waits_for_a_token_and_is_told() {
    let stage = Stage::with("warm = []", "").await;
    stage.vendor.tokens(|_| {
        // So long a token takes at least.
        let begun = SystemClock.now().mono;
        while SystemClock.now().mono - begun < Duration::from_millis(5) {}
        crate::vendor::token("token-1", 3600)
    });
    let first = stage.get("/shop/x").await;
    assert_eq!(first.status, 200);
    let waited: u64 = first.header("biped-waited").unwrap().parse().unwrap();
    assert!(waited >= 5, "{waited}");
    assert_eq!(stage.get("/shop/x").await.header("biped-waited"), None);
}
