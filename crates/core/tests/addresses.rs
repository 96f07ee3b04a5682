//! Which addresses a provider may send a request to.
#![allow(clippy::unwrap_used)]

use biped_core::{ErrorKind, FetchContext, check_secure};
use biped_testing::{ManualClock, ScriptedHttp};
use bytes::Bytes;
use url::Url;

#[tokio::test]
async fn a_secret_is_sent_only_where_it_may_be() {
    let _limit = biped_testing::TimeLimit::start();
    for (address, may_be_asked) in [
        ("https://login.example/token", true),
        ("https://login.example:8443", true),
        ("https://id:secret@login.example/token", false),
        ("http://login.example/token", false),
        ("http://127.0.0.1:7600/token", true),
        ("http://127.0.0.1/token", true),
        ("http://127.9.9.9:1/", true),
        ("http://0177.0.0.1:1/", true),
        ("http://128.0.0.1:1/", false),
        ("http://10.0.0.1:127/", false),
        ("http://127.0.0.1:1@evil.example/", false),
        ("http://127.0.0.1.evil.example:1/", false),
        ("http://localhost:7600/token", true),
        ("http://[::1]:7600/token", true),
        ("ftp://127.0.0.1:21/token", false),
        ("/token", false),
    ] {
        let http = ScriptedHttp::new();
        let clock = ManualClock::new();
        let request = http::Request::post(address).body(Bytes::new()).unwrap();
        let sent = FetchContext::new(&http, &clock).send(request).await;
        let refused = sent.is_err_and(|error| error.kind() == ErrorKind::Configuration);
        assert_eq!(!refused, may_be_asked, "{address}");
        assert_eq!(!http.requests().is_empty(), may_be_asked, "{address}");
        let whole = Url::parse(address).is_ok_and(|url| check_secure(&url).is_ok());
        assert_eq!(whole, may_be_asked, "{address}");
    }
}
