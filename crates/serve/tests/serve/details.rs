//! Details of the contract, each by itself.

use biped_serve::Server;
use tokio::net::TcpStream;

use crate::{
    stage::{Caller, Stage, UNUSED, biped, provider, until},
    vendor::Act,
};

#[tokio::test]
async fn the_configuration_says_whose_tokens_are_fetched_at_the_start() {
    for (warm, fetches) in [("'all'", 2), ("['shop']", 1), ("[]", 0)] {
        let stage = Stage::new().await;
        stage.running.warmed().await;
        let before = stage.vendor.fetches();
        let shop = provider(&stage.vendor).replace("'me'", "'other'");
        let other = provider(&stage.vendor).replace("shop", "second");
        let toml = format!("[serve]\nlisten = ['127.0.0.1:0']\nwarm = {warm}\n{shop}{other}");
        let running = Server::new(biped(&toml)).start().await.unwrap();
        running.warmed().await;
        assert_eq!(stage.vendor.fetches() - before, fetches, "{warm}");
    }
}

#[tokio::test]
async fn a_complete_address_of_the_listener_is_read_as_its_path() {
    let stage = Stage::new().await;
    let mut caller = stage.caller().await;
    let at = stage.address;
    caller
        .write(format!(
            "GET http://{at}/shop/x?q HTTP/1.1\r\nHost: {at}\r\n\r\n"
        ))
        .await;
    assert_eq!(caller.answer().await.status, 200);
    assert_eq!(stage.vendor.only().path(), "/base/x?q");
}

#[tokio::test]
async fn an_address_beside_the_base_path_matches_no_rule() {
    let rules = "[serve.providers.shop]\nallow = ['* /**']";
    let (open, ruled) = (Stage::new().await, Stage::with("", rules).await);
    for (stage, beside) in [(&open, 200), (&ruled, 403)] {
        let at = stage.vendor.address;
        for (path, status) in [("/base/x", 200), ("/other", beside), ("/base2/x", beside)] {
            let header = format!("Biped-Url: http://{at}{path}\r\n");
            let answer = stage.ask("GET /shop", &header).await;
            assert_eq!(answer.status, status, "{path}");
        }
    }
}

#[tokio::test]
async fn the_start_says_who_may_call() {
    let open = Stage::new().await;
    assert!(
        open.running
            .notes()
            .iter()
            .any(|note| note.contains("every process"))
    );
    let callers = "[[serve.callers]]\nname = 'a'\ntoken = 'secret-a'\n";
    let closed = Stage::with("", callers).await;
    assert!(closed.running.notes().is_empty());
}

#[tokio::test]
async fn the_start_says_which_callers_can_never_come() {
    let callers = "[[serve.callers]]\nname = 'me'\nuid = 0\n";
    let stage = Stage::with("", callers).await;
    let notes = stage.running.notes();
    assert!(
        notes.iter().any(|note| note.contains("a Unix socket only")),
        "{notes:?}"
    );
}

#[tokio::test]
async fn a_connection_more_than_allowed_waits_for_its_turn() {
    let stage = Stage::with("max_connections = 1", "").await;
    let mut first = stage.caller().await;
    assert_eq!(first.ask("GET /shop/x", "").await.status, 200);
    let mut second = stage.caller().await;
    let head = "GET /shop/y HTTP/1.1\r\nHost: localhost\r\n\r\n";
    second.write(head).await;
    // The first is served all the while.
    assert_eq!(first.ask("GET /shop/z", "").await.status, 200);
    let paths = || -> Vec<String> {
        let got = stage.vendor.got();
        got.iter().map(|got| got.path().to_owned()).collect()
    };
    assert_eq!(paths(), ["/base/x", "/base/z"]);
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[test]
fn what_this_release_lacks_is_said_where_it_is_asked_for() {
    for keys in [
        "forward = true",
        "compat = ['entra-sidecar']",
        "[serve.providers.shop]\nwebsocket = true",
    ] {
        let toml = format!("[serve]\n{keys}\n");
        let builder = biped::Biped::builder().section(biped_serve::section());
        let error = builder
            .without_environment()
            .toml(&toml)
            .build()
            .unwrap_err();
        assert!(error.to_string().contains("reserved"), "{keys}: {error}");
    }
}

#[tokio::test]
async fn a_name_of_no_provider_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("biped.toml");
    let provider = crate::stage::provider_at(([127, 0, 0, 1], 9).into());
    let toml = [
        "[serve]",
        "only = [",
        "  'shop',",
        "  'shpo',",
        "]",
        "warm = ['shpo']",
        "ready_requires = ['shpo']",
        "[serve.providers.shpo]",
        "via = true",
        "[[serve.callers]]",
        "name = 'a'",
        "token = 'secret'",
        "providers = ['shpo']",
        "[[serve.files]]",
        "provider = 'shpo'",
        "path = '/nowhere/x'",
        &provider,
    ];
    std::fs::write(&file, toml.join("\n")).unwrap();
    let builder = biped::Biped::builder().section(biped_serve::section());
    let biped = builder.without_environment().file(&file).build().unwrap();
    let error = Server::new(biped).start().await.err().unwrap();
    let at = file.display();
    let told: Vec<_> = error.message().lines().collect();
    let expected = [
        (4, "only"),
        (6, "warm"),
        (7, "ready_requires"),
        (8, "providers.shpo"),
        (13, "callers.providers"),
        (15, "files.provider"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (line, (number, key)) in told.iter().zip(expected) {
        let start = format!("{at}:{number}: serve.{key}: ");
        assert!(line.starts_with(&start), "{line}");
        assert!(line.contains("did you mean shop?"), "{line}");
    }
}

#[tokio::test]
async fn an_upload_that_stands_still_before_it_is_sent_reached_nobody() {
    let stage = Stage::with("idle_timeout = '100ms'", "").await;
    let mut caller = stage.caller().await;
    let head = "POST /shop/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf";
    caller.write(head).await;
    let answer = caller.answer().await;
    assert_eq!(answer.problem().1, "incomplete-body");
    assert!(!answer.problem().2, "nothing was sent");
    assert!(stage.vendor.got().is_empty());
}

#[tokio::test]
async fn an_upload_that_stands_still_on_its_way_is_given_up_and_the_api_is_let_go() {
    let serve = "idle_timeout = '200ms'\nmax_in_flight = 1";
    for (length, body) in [
        ("Content-Length: 100000", "half"),
        ("Transfer-Encoding: chunked", "4\r\nhalf\r\n"),
    ] {
        let stage = Stage::with(serve, "").await;
        stage.running.warmed().await;
        let before = stage.vendor.closed();
        let mut caller = stage.caller().await;
        let head = format!("POST /shop/x HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n{body}");
        caller.write(head).await;
        let answer = caller.answer().await;
        let (_, word, is_sent) = answer.problem();
        assert_eq!((&*word, is_sent), ("incomplete-body", true));
        assert_eq!(answer.header("connection"), Some("close"));
        until("the API's connection ends", async || {
            stage.vendor.closed() > before
        })
        .await;
        // The API never saw the whole of it.
        assert!(stage.vendor.got().is_empty());
        assert_eq!(stage.get("/shop/x").await.status, 200);
    }
}

#[tokio::test]
async fn a_stalled_api_does_not_keep_others_waiting() {
    let stage = Stage::with("response_timeout = '60s'", "").await;
    stage.vendor.api(|got| match got.path() {
        "/base/stall" => Act::Stall(Vec::new()),
        _ => crate::vendor::ok("hello"),
    });
    let mut stalled = Vec::new();
    for _ in 0..50 {
        let mut caller = stage.caller().await;
        let head = "GET /shop/stall HTTP/1.1\r\nHost: localhost\r\n\r\n";
        caller.write(head).await;
        stalled.push(caller);
    }
    until("the API has all calls", async || {
        stage.vendor.got().len() >= 50
    })
    .await;
    assert_eq!(stage.get("/shop/x").await.status, 200);
}

/// Gives a file to another user; only root may.
#[cfg(unix)]
fn give_away(path: &std::path::Path) {
    std::os::unix::fs::chown(path, Some(54_321), None).unwrap();
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "needs root: tests/live/run root"]
async fn a_socket_or_a_directory_of_another_user_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (theirs, ours) = (
        directory.path().join("theirs"),
        directory.path().join("ours"),
    );
    std::fs::create_dir(&theirs).unwrap();
    std::fs::create_dir(&ours).unwrap();
    let stale = ours.join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    give_away(&theirs);
    give_away(&stale);
    for (path, word) in [
        (theirs.join("s.sock"), "directory"),
        (stale.clone(), "belongs"),
    ] {
        let toml = format!("{UNUSED}[serve]\nlisten = ['unix:{}']\n", path.display());
        let error = Server::new(biped(&toml)).start().await.unwrap_err();
        assert_eq!(error.kind(), biped::ErrorKind::Configuration);
        assert!(error.to_string().contains(word), "{error}");
        assert!(error.to_string().contains("another user"), "{error}");
    }
    assert!(stale.exists(), "what is another user's is not removed");
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_that_another_process_put_in_its_place_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.sock");
    let toml = format!("{UNUSED}[serve]\nlisten = ['unix:{}']\n", path.display());
    let running = Server::new(biped(&toml)).start().await.unwrap();
    std::fs::rename(&path, directory.path().join("old.sock")).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    running.stop(false).await;
    assert!(path.exists());
}

#[cfg(unix)]
#[tokio::test]
#[ignore = "needs root: tests/live/run root"]
async fn a_token_file_of_another_user_is_replaced_by_ones_own() {
    use std::os::unix::fs::MetadataExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "forged").unwrap();
    give_away(&path);
    let rest = format!(
        "[[serve.files]]\nprovider = 'shop'\npath = '{}'\n",
        path.display()
    );
    let stage = Stage::with("", &rest).await;
    stage.running.warmed().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "token-1");
    let file = std::fs::metadata(&path).unwrap();
    assert_eq!(
        file.uid(),
        std::fs::metadata(directory.path()).unwrap().uid()
    );
    assert_eq!(file.mode() & 0o777, 0o600);
}

#[tokio::test]
async fn lingering_ends_once_nobody_has_been_connected_for_a_second() {
    // The time limit of a test is shorter.
    let stage = Stage::with("linger = '1h'\nstop_timeout = '2h'", "").await;
    assert_eq!(stage.get("/shop/x").await.status, 200);
    stage.running.stop(true).await;
}

#[tokio::test]
async fn a_connection_that_sends_nothing_costs_others_nothing() {
    let stage = Stage::new().await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(stage.address).await.unwrap());
    }
    assert_eq!(stage.get("/shop/x").await.status, 200);
    let mut last = Caller::new(idle.pop().unwrap());
    assert_eq!(last.ask("GET /shop/x", "").await.status, 200);
}
