//! Health, readiness and the probe listener.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use biped_serve::Server;
use biped_testing::TimeLimit;
use tokio::net::TcpStream;

use crate::{
    stage::{Caller, Stage, address, biped, provider, provider_at},
    vendor::{Act, Vendor, down, reply},
};

#[tokio::test]
async fn ready_once_the_first_fetches_have_ended_well_or_badly() {
    let stage = Stage::new().await;
    stage.running.warmed().await;
    let answer = stage.get("/-/ready").await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(json["ready"], true);
    assert_eq!(json["providers"]["shop"], "fresh");
    assert_eq!(stage.get("/-/health").await.text(), "ok\n");
    assert_eq!(stage.ask("POST /-/health", "").await.problem().1, "method");
}

#[tokio::test]
async fn a_vendor_that_is_down_delays_readiness_and_no_more() {
    let down = "[providers.down]\nkind = 'oauth2'\ntoken_endpoint = 'http://127.0.0.1:1/token'\n\
                api_base_url = 'http://127.0.0.1:1'\nclient_id = 'a'\nclient_secret = 'b'\n";
    for (limit, status) in [("1h", 503), ("300ms", 200)] {
        let stage = Stage::with(&format!("warm_timeout = '{limit}'"), down).await;
        stage.vendor.tokens(|_| Act::Stall(Vec::new()));
        assert_eq!(stage.get("/-/health").await.status, 200);
        if status == 200 {
            stage.running.warmed().await;
        }
        let answer = stage.get("/-/ready").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["ready"], status == 200);
        assert_eq!(answer.json()["providers"]["down"], "missing");
    }
}

#[tokio::test]
async fn started_while_all_vendors_are_down_it_is_ready_and_serves_once_they_are_back() {
    let _limit = TimeLimit::start();
    let silent = Vendor::start().await;
    silent.tokens(|_| Act::Stall(Vec::new()));
    let (socket, at) = down();
    let (refusing, hanging) = (provider_at(at), provider(&silent).replace("shop", "other"));
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\nwarm_timeout = '300ms'\n\
         [engine]\nmax_wait = '300ms'\n[http]\ntimeout = '1s'\nread_timeout = '1s'\n{refusing}{hanging}"
    );
    let running = Server::new(biped(&toml)).start().await.unwrap();
    let ask = async |path: &str| {
        let stream = TcpStream::connect(address(&running.addresses()[0])).await;
        let mut caller = Caller::new(stream.unwrap());
        caller.ask(&format!("GET {path}"), "").await
    };
    running.warmed().await;
    assert_eq!(ask("/-/ready").await.status, 200);
    for path in ["/shop/x", "/other/x"] {
        let answer = ask(path).await;
        assert_eq!(answer.problem(), (503, "no-token".into(), false), "{path}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert!(silent.got().is_empty());
    let back = Vendor::back(socket);
    silent.tokens(|_| crate::vendor::token("late", 3600));
    for (path, vendor) in [("/shop/x", &back), ("/other/x", &silent)] {
        loop {
            let answer = ask(path).await;
            if answer.status == 200 {
                break;
            }
            assert_eq!(answer.problem().1, "no-token", "{path}");
        }
        assert_eq!(vendor.only().path(), "/base/x");
    }
}

#[tokio::test]
async fn a_required_token_is_waited_for() {
    let limit = "warm_timeout = '100ms'";
    let stage = Stage::with(&format!("ready_requires = ['shop']\n{limit}"), "").await;
    let is_down = Arc::new(AtomicBool::new(true));
    let down = is_down.clone();
    stage.vendor.tokens(move |_| {
        if down.load(Ordering::SeqCst) {
            return Act::Reply(reply("503 Service Unavailable", "", ""));
        }
        crate::vendor::token("late", 3600)
    });
    // Another sidecar, which waits for nothing else, tells that the time is over.
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n{limit}\n{}",
        provider(&stage.vendor)
    );
    let other = biped_serve::Server::new(biped(&toml));
    other.start().await.unwrap().warmed().await;
    assert_eq!(stage.get("/-/ready").await.status, 503);
    is_down.store(false, Ordering::SeqCst);
    stage.running.warmed().await;
    let answer = stage.get("/-/ready").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["providers"]["shop"], "fresh");
}

#[tokio::test]
async fn probes_and_callers_do_not_take_each_others_connections() {
    let stage = Stage::with("probe_listen = ['127.0.0.1:0']\nmax_connections = 2", "").await;
    let probe = address(&stage.running.probe_addresses()[0]);
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(probe).await.unwrap());
    }
    assert_eq!(stage.get("/shop/x").await.status, 200);
    drop(silent);
    let mut callers = Vec::new();
    for _ in 0..2 {
        let mut caller = stage.caller().await;
        assert_eq!(caller.ask("GET /shop/x", "").await.status, 200);
        callers.push(caller);
    }
    let mut caller = Caller::new(TcpStream::connect(probe).await.unwrap());
    assert_eq!(caller.ask("GET /-/health", "").await.status, 200);
}

#[tokio::test]
async fn the_probe_listener_answers_any_host_and_nothing_else() {
    let stage = Stage::with("probe_listen = ['127.0.0.1:0']", "").await;
    stage.running.warmed().await;
    let [probe] = &stage.running.probe_addresses()[..] else {
        panic!("one probe listener");
    };
    for (path, status) in [
        ("/-/health", 200),
        ("/-/ready", 200),
        ("/shop/x", 404),
        ("/-/status", 404),
        ("/-/token/shop", 404),
    ] {
        let stream = TcpStream::connect(address(probe)).await.unwrap();
        let mut caller = Caller::new(stream);
        caller
            .write(format!(
                "GET {path} HTTP/1.1\r\nHost: 10.1.2.3:7418\r\n\r\n"
            ))
            .await;
        assert_eq!(caller.answer().await.status, status, "{path}");
    }
    assert!(stage.vendor.got().is_empty());
}

#[tokio::test]
async fn the_status_names_no_secret() {
    let stage = Stage::new().await;
    stage.running.warmed().await;
    let answer = stage.get("/-/status").await;
    let json = answer.json();
    assert_eq!(json["version"], 1);
    assert_eq!(json["providers"][0]["name"], "shop");
    assert_eq!(json["providers"][0]["state"], "fresh");
    for secret in ["token-1", "vendor-secret"] {
        assert!(!answer.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn an_address_for_other_machines_is_refused() {
    let toml = format!("{}[serve]\nlisten = ['0.0.0.0:0']\n", crate::stage::UNUSED);
    let server = biped_serve::Server::new(crate::stage::biped(&toml));
    let error = server.start().await.unwrap_err();
    assert!(error.message().contains("0.0.0.0"), "{error}");
    assert_eq!(error.kind(), biped::ErrorKind::Configuration);
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_path_is_checked_and_a_stale_socket_is_replaced() {
    use std::os::unix::fs::symlink;

    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("file"), "x").unwrap();
    symlink(at("elsewhere"), at("link")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at("stale")).unwrap());
    let live = std::os::unix::net::UnixListener::bind(at("live")).unwrap();
    let start = async |name: &str| {
        let unused = crate::stage::UNUSED;
        let toml = format!(
            "{unused}[serve]\nlisten = ['unix:{}']\n",
            at(name).display()
        );
        biped_serve::Server::new(crate::stage::biped(&toml))
            .start()
            .await
    };
    for wrong in ["file", "link", "live"] {
        let error = start(wrong).await.unwrap_err();
        assert_eq!(error.kind(), biped::ErrorKind::Configuration, "{wrong}");
    }
    start("stale").await.unwrap();
    drop(live);
}

#[test]
fn settings_that_can_not_be_used_are_all_told() {
    let build = |toml: &str| {
        let builder = biped::Biped::builder().section(biped_serve::section());
        builder.without_environment().toml(toml).build()
    };
    let error = build(
        "[serve]\nreplay = 'some'\nmax_body = '1 KB'\ntokens = 'some'\nnope = 1\nforward = true\n\
         [[serve.callers]]\nname = 'a'\n[serve.providers.x]\nallow = ['GET']\n",
    );
    let text = error.unwrap_err().to_string();
    for key in [
        "replay", "max_body", "tokens", "nope", "forward", "callers", "allow",
    ] {
        assert!(
            text.contains(&format!("serve.{key}")) || text.contains(&format!(".{key}")),
            "{key}: {text}"
        );
    }
}
