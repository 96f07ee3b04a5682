//! Who may call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use biped::{
    Biped, Error, SecretString,
    config::{SecretScheme, SecretSource, SourceContext},
    provider::async_trait,
};
use biped_serve::{Server, section};
use biped_testing::TimeLimit;
use tokio::net::TcpStream;

use crate::{
    stage::{Caller, Stage, address, provider, until},
    vendor::Vendor,
};

const CALLERS: &str = "[[serve.callers]]\nname = 'a'\ntoken = ['secret-a', 'secret-old']\n\
                       [[serve.callers]]\nname = 'b'\ntoken = 'secret-b'\nproviders = []\n";

#[tokio::test]
async fn a_configured_caller_proves_itself_in_any_usual_way() {
    let stage = Stage::with("", CALLERS).await;
    for headers in [
        "Authorization: Bearer secret-a\r\n",
        "Authorization: Bearer secret-old\r\n",
        "Authorization: bearer secret-a\r\n",
        // any:secret-a
        "Authorization: Basic YW55OnNlY3JldC1h\r\n",
        "Proxy-Authorization: Bearer secret-a\r\n",
        "Biped-Caller: secret-a\r\n",
        "Authorization: Bearer sdk-key\r\nBiped-Caller: secret-a\r\n",
    ] {
        assert_eq!(
            stage.ask("GET /shop/x", headers).await.status,
            200,
            "{headers}"
        );
    }
    for got in stage.vendor.got() {
        assert!(!got.head.contains("secret-"), "{}", got.head);
        assert!(!got.head.contains("YW55"), "{}", got.head);
    }
}

#[tokio::test]
async fn others_are_refused_before_anything_is_told() {
    let stage = Stage::with("", CALLERS).await;
    for headers in [
        "",
        "Authorization: Bearer wrong\r\n",
        "Biped-Caller: \r\n",
        "Authorization: Bearer secret-a2\r\n",
    ] {
        let answer = stage.ask("GET /nope/x", headers).await;
        assert_eq!(answer.problem(), (401, "caller".into(), false), "{headers}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"biped\"")
        );
        assert!(!answer.text().contains("shop"));
        for way in ["Authorization: Bearer", "Biped-Caller"] {
            assert!(answer.text().contains(way), "{way}: {}", answer.text());
        }
    }
    let other = stage.ask("GET /shop/x", "Biped-Caller: secret-b\r\n").await;
    assert_eq!(other.problem(), (403, "caller".into(), false));
    let details = other.header("proxy-status").unwrap();
    assert!(
        details.contains("may not") && !details.contains("unknown"),
        "{details}"
    );
    let unknown = stage.ask("GET /nope/x", "Biped-Caller: secret-b\r\n").await;
    assert!(!unknown.text().contains("shop"));
    let unknown = stage.ask("GET /nope/x", "Biped-Caller: secret-a\r\n").await;
    assert!(unknown.text().contains("shop"));
    assert!(stage.vendor.got().is_empty());
}

#[tokio::test]
async fn health_and_readiness_are_for_everybody() {
    let stage = Stage::with("", CALLERS).await;
    stage.running.warmed().await;
    assert_eq!(stage.get("/-/health").await.status, 200);
    assert_eq!(stage.get("/-/ready").await.status, 200);
    assert_eq!(stage.get("/-/status").await.status, 200);
    assert_eq!(stage.get("/-/token/shop").await.status, 401);
}

#[tokio::test]
async fn a_callers_token_may_change_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("caller");
    std::fs::write(&file, "first").unwrap();
    let caller = format!(
        "[[serve.callers]]\nname = 'a'\ntoken = 'file:{}'\n",
        file.display()
    );
    let stage = Stage::with("", &caller).await;
    assert_eq!(
        stage
            .ask("GET /shop/x", "Biped-Caller: first\r\n")
            .await
            .status,
        200
    );
    std::fs::write(&file, "second").unwrap();
    until("the new token is taken", async || {
        let second = "Biped-Caller: second\r\n";
        stage.ask("GET /shop/x", second).await.status == 200
    })
    .await;
    assert_eq!(
        stage
            .ask("GET /shop/x", "Biped-Caller: first\r\n")
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn a_token_that_was_replaced_is_refused_even_if_another_place_cant_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name| directory.path().join(name);
    std::fs::write(file("now"), "first").unwrap();
    std::fs::write(file("next"), "kept").unwrap();
    let places = ["now", "next"].map(|name| format!("'file:{}'", file(name).display()));
    let caller = format!(
        "[[serve.callers]]\nname = 'a'\ntoken = [{}]\n",
        places.join(", ")
    );
    let stage = Stage::with("", &caller).await;
    let status = async |token: &str| {
        let headers = format!("Biped-Caller: {token}\r\n");
        stage.ask("GET /shop/x", &headers).await.status
    };
    assert_eq!(status("first").await, 200);
    std::fs::remove_file(file("next")).unwrap();
    std::fs::write(file("now"), "second").unwrap();
    until("the new token is taken", async || {
        status("second").await == 200
    })
    .await;
    assert_eq!(status("first").await, 401);
    // What can't be read just now is still known.
    assert_eq!(status("kept").await, 200);
}

/// A place that can be read once, and then hangs.
#[derive(Debug, Default)]
struct Hanging(AtomicUsize);

#[async_trait]
impl SecretSource for Hanging {
    fn reference(&self) -> String {
        "slow:place".into()
    }

    fn recheck_interval(&self) -> Duration {
        Duration::ZERO
    }

    async fn read(&self, _: &SourceContext<'_>) -> Result<SecretString, Error> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Ok("secret".into()),
            _ => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn a_caller_whose_token_is_known_waits_for_no_place_that_hangs() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let place = Arc::new(Hanging::default());
    let given = place.clone();
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n[[serve.callers]]\nname = 'a'\ntoken = 'slow:place'\n{}",
        provider(&vendor)
    );
    let scheme = SecretScheme::new("slow", move |_: &str| Ok(given.clone() as _));
    let biped = Biped::builder()
        .section(section())
        .without_environment()
        .secret_scheme(scheme)
        .toml(toml);
    let running = Server::new(biped.build().unwrap()).start().await.unwrap();
    let ask = async || {
        let stream = TcpStream::connect(address(&running.addresses()[0])).await;
        let mut caller = Caller::new(stream.unwrap());
        caller
            .ask("GET /shop/x", "Biped-Caller: secret\r\n")
            .await
            .status
    };
    assert_eq!(ask().await, 200);
    until("the place hangs", async || {
        place.0.load(Ordering::SeqCst) > 1
    })
    .await;
    assert_eq!(ask().await, 200);
}

#[tokio::test]
async fn a_header_may_be_required_on_calls_as_well() {
    let stage = Stage::with("require_header = true", "").await;
    assert_eq!(stage.get("/shop/x").await.problem().1, "not-allowed");
    assert_eq!(
        stage
            .ask("GET /shop/x", "Biped-Request: 1\r\n")
            .await
            .status,
        200
    );
}

#[cfg(unix)]
#[tokio::test]
async fn on_a_socket_the_user_is_the_caller() {
    use std::os::unix::fs::MetadataExt;

    let directory = tempfile::tempdir().unwrap();
    let uid = std::fs::metadata(directory.path()).unwrap().uid();
    for (configured, status) in [(uid, 200), (uid + 1, 401)] {
        let path = directory.path().join(format!("{configured}.sock"));
        let callers = format!("[[serve.callers]]\nname = 'me'\nuid = {configured}\n");
        let mut stage = Stage::new().await;
        let toml = format!(
            "[serve]\nlisten = ['unix:{}']\n{}{callers}",
            path.display(),
            crate::stage::provider(&stage.vendor)
        );
        let server = biped_serve::Server::new(crate::stage::biped(&toml));
        stage.running = server.start().await.unwrap();
        let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let mut caller = crate::stage::Caller::new(stream);
        assert_eq!(caller.ask("GET /shop/x", "").await.status, status);
        let mode = std::fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}
