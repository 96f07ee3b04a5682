//! `biped call`.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use biped_sandbox::{Effect, Fault, RetryAfter};
use serde_json::Value;

use crate::world::{OneRequest, Ran, World, error_of};

const OK: &str = "HTTP/1.1 200 OK\r\nx-two: a\r\nx-two: b\r\ncontent-length: 2\r\n\r\nhi";

#[test]
fn the_body_is_on_stdout_byte_for_byte() {
    let world = World::new();
    let output = world
        .command(["call", "exports", "GET", "/v1/download?bytes=100000"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let expected: Vec<u8> = (0..100_000_u32)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect();
    assert!(output.stdout == expected);
    assert!(output.stderr.is_empty());
}

#[test]
fn each_api_of_the_sandbox_can_be_called() {
    let world = World::new();
    let calls: [&[&str]; 5] = [
        &["exports", "GET", "/v1/exports"],
        &["exports-us", "get", "v1/exports"],
        &[
            "speed-analysis",
            "GET",
            "/v1/speed-analysis/monitoring list",
        ],
        &[
            "enrichment",
            "POST",
            "/v1/enrichment/integrations/123/data",
            "-d",
            "{}",
        ],
        &["shop", "GET", "/v1/orders"],
    ];
    for call in calls {
        let body = world.run_words(["call"].iter().chain(call)).ok();
        assert!(serde_json::from_str::<Value>(&body).is_ok(), "{call:?}");
    }
    let calls = world.sandbox().stats().counts.api_calls;
    assert_eq!((calls.total, calls.accepted), (5, 5));
}

/// A provider whose API is at `url`, below `path`.
fn with_api(world: &World, url: &str, path: &str) {
    let base_url = world.sandbox().url();
    world.write(
        "biped.toml",
        &format!(
            "[providers.shop]\nkind = 'envelope'\nbase_url = '{base_url}'\n\
             api_base_url = '{url}{path}'\nclient_id = '{}'\nclient_secret = '''{}'''\n",
            biped_sandbox::SHOP.client_id,
            biped_sandbox::SHOP.client_secret,
        ),
    );
}

fn sent(path: &str, arguments: &[&str]) -> (Ran, String) {
    let world = World::empty();
    let api = OneRequest::answered(OK);
    with_api(&world, &api.url, path);
    let ran = world.run_words(["call", "shop"].iter().chain(arguments));
    (ran, api.request())
}

#[test]
fn a_path_is_appended_with_one_slash_and_the_base_keeps_its_own() {
    for (base, path, line) in [
        ("", "/v1/exports", "GET /v1/exports HTTP/1.1"),
        ("/", "v1/exports", "GET /v1/exports HTTP/1.1"),
        ("/eu", "v1/exports", "GET /eu/v1/exports HTTP/1.1"),
        (
            "/eu/",
            "/v1/exports?a=b%20c",
            "GET /eu/v1/exports?a=b%20c HTTP/1.1",
        ),
        (
            "/eu",
            "/monitoring list",
            "GET /eu/monitoring%20list HTTP/1.1",
        ),
        (
            "/eu",
            "//evil.example/x",
            "GET /eu//evil.example/x HTTP/1.1",
        ),
    ] {
        let (ran, request) = sent(base, &["GET", path]);
        assert_eq!(ran.ok(), "hi");
        assert_eq!(request.lines().next(), Some(line));
    }
}

#[test]
fn a_redirect_that_would_lose_the_body_is_shown_and_not_followed() {
    let world = World::empty();
    let api = OneRequest::answered(
        "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 5\r\n\r\nmoved",
    );
    with_api(&world, &api.url, "");
    let ran = world.run_words(["call", "shop", "POST", "/v1/orders", "-d", "{}"]);
    assert_eq!(ran.stdout, "moved");
    assert_eq!(ran.status, 5);
    assert!(ran.stderr.contains("redirect"), "{}", ran.stderr);
    assert!(api.request().starts_with("POST /v1/orders "));
}

#[test]
fn a_fragment_is_a_usage_error_and_not_dropped() {
    let world = World::empty();
    with_api(&world, "http://127.0.0.1:1", "");
    let ran = world.run_words(["call", "shop", "GET", "/a#b"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("%23"), "{}", ran.stderr);
}

#[test]
fn a_request_that_may_have_a_body_says_that_it_has_none() {
    for (arguments, length) in [
        (&["POST", "/"][..], Some("content-length: 0")),
        (&["PUT", "/", "-d", ""], Some("content-length: 0")),
        (&["PATCH", "/", "-d", "abc"], Some("content-length: 3")),
        (&["GET", "/"], None),
        (&["DELETE", "/"], None),
    ] {
        let (ran, request) = sent("", arguments);
        ran.ok();
        let told: Vec<_> = request
            .lines()
            .filter(|line| line.starts_with("content-length"))
            .collect();
        assert_eq!(told, Vec::from_iter(length), "{arguments:?}");
    }
}

#[test]
fn headers_that_say_where_a_request_goes_or_ends_are_not_the_users() {
    let world = World::new();
    for header in [
        "Content-Length: 1",
        "transfer-encoding: chunked",
        "Host: evil.example",
    ] {
        let call = ["call", "shop", "POST", "/v1/orders", "-d", "abc"];
        let told = world.run_words(call.into_iter().chain(["-H", header]));
        assert!(told.failed(2).contains("--header"), "{header}");
    }
    assert_eq!(world.token_requests(), 0);
}

#[test]
fn a_url_of_the_same_origin_is_called_as_it_is() {
    let world = World::empty();
    let api = OneRequest::answered(OK);
    with_api(&world, &api.url, "/eu");
    let url = format!("{}/other", api.url);
    world.run_words(["call", "shop", "GET", &url]).ok();
    assert!(api.request().starts_with("GET /other HTTP/1.1\r\n"));
}

#[test]
fn a_url_of_another_origin_is_a_usage_error_and_no_call() {
    let world = World::new();
    let other = format!("{}/v1/exports", world.sandbox().clouds()[1]);
    for url in [
        &*other,
        "https://evil.example/",
        "http://u:p@127.0.0.1:1/",
        "https://",
    ] {
        let ran = world.run_words(["call", "exports", "GET", url, "--format", "json"]);
        assert_eq!(ran.error(2)["kind"], "configuration", "{url}");
    }
    assert_eq!(world.sandbox().stats().counts.api_calls.total, 0);
}

#[test]
fn method_headers_and_body_are_sent_as_given() {
    let (ran, request) = sent(
        "",
        &[
            "put",
            "/x",
            "-H",
            "X-One: 1",
            "-H",
            "x-one:2",
            "-d",
            "name=value",
        ],
    );
    ran.ok();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("PUT /x HTTP/1.1"));
    assert!(
        head.contains("\r\nx-one: 1\r\n") && head.contains("\r\nx-one: 2\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nauthorization: Bearer sk-"), "{head}");
    assert!(!head.contains("content-type"), "{head}");
    assert_eq!(body, "name=value");
}

#[test]
fn json_is_labelled_unless_a_header_says_otherwise() {
    let (_, request) = sent("", &["POST", "/x", "-d", "[1]"]);
    assert!(
        request.contains("\r\ncontent-type: application/json\r\n"),
        "{request}"
    );
    let (_, request) = sent("", &["POST", "/x", "-d", "[1]", "-H", "Content-Type: a/b"]);
    assert!(request.contains("\r\ncontent-type: a/b\r\n"), "{request}");
    assert!(!request.contains("application/json"), "{request}");
}

#[test]
fn a_body_comes_from_a_file_or_from_stdin() {
    let world = World::empty();
    world.write("body.txt", "from a file\n");
    let api = OneRequest::answered(OK);
    with_api(&world, &api.url, "");
    world.run("call shop POST /x -d @body.txt").ok();
    assert!(api.request().ends_with("\r\n\r\nfrom a file\n"));

    let api = OneRequest::answered(OK);
    with_api(&world, &api.url, "");
    world
        .feed("call shop POST /x --data @-", b"from stdin")
        .ok();
    assert!(api.request().ends_with("\r\n\r\nfrom stdin"));
}

#[cfg(unix)]
#[test]
fn no_command_waits_at_a_pipe_that_it_is_to_read() {
    let world = World::new();
    let pipe = world.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let dialect = "[providers.own]\nkind = \"dialect\"\nfile = \"pipe\"\n";
    world.write("own.toml", dialect);
    for line in [
        "call shop POST /x -d @pipe",
        "--config pipe list",
        "--config own.toml list",
        "vendors check pipe",
        "sandbox --write pipe --port 0",
    ] {
        let told = world.run(line).failed(2);
        assert!(told.contains("pipe, not a regular file"), "{line}: {told}");
    }
    assert_eq!(world.token_requests(), 0);
}

#[cfg(unix)]
#[test]
fn a_body_from_a_pipe_is_to_come_by_stdin() {
    let world = World::new();
    let mut command = world.command(["call", "shop", "POST", "/x", "-d", "@/dev/stdin"]);
    command.stdin(Stdio::piped());
    let told = Ran::of(command.output().unwrap()).failed(2);
    assert!(told.contains("@-"), "{told}");
}

#[test]
fn the_time_for_a_call_starts_when_its_body_is_there() {
    let world = World::new();
    let mut slow = Command::new("sleep")
        .arg("5.5")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut command = world.command(["call", "shop", "GET", "/v1/orders", "-d", "@-"]);
    command
        .args(["--timeout", "5"])
        .stdin(slow.stdout.take().unwrap());
    let ran = Ran::of(command.output().unwrap());
    slow.wait().unwrap();
    ran.ok();
}

#[test]
fn a_body_header_or_method_that_is_none_sends_nothing() {
    let world = World::new();
    for arguments in [
        &["POST", "/x", "-d", "@nowhere"][..],
        &["POST", "/x", "-H", "no header"],
        &["PO ST", "/x"],
    ] {
        let words = ["call", "shop", "--format", "json"].iter().chain(arguments);
        assert_eq!(world.run_words(words).error(2)["kind"], "configuration");
    }
    assert_eq!(world.token_requests(), 0);
}

#[test]
fn the_status_line_and_the_headers_come_first_with_i() {
    let world = World::empty();
    let api = OneRequest::answered(OK);
    with_api(&world, &api.url, "");
    let printed = world.run("call shop GET /x -i").ok();
    let (head, body) = printed.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        head,
        "HTTP/1.1 200 OK\r\nx-two: a\r\nx-two: b\r\ncontent-length: 2"
    );
    assert_eq!(body, "hi");
}

#[test]
fn an_error_of_the_api_is_status_5_with_its_body_on_stdout() {
    let world = World::new();
    let ran = world.run("call exports GET /v1/nowhere --format json");
    assert_eq!(ran.status, 5);
    let body: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(body["errorCode"], "NOT_FOUND");
    let error = error_of(&ran.stderr);
    assert_eq!(error["kind"], "api");
    assert_eq!(error["provider"], "exports");
    assert_eq!(error["status"], 404);

    let ran = world.run("call exports get /v1/nowhere?key=pl4nted");
    assert_eq!(ran.status, 5);
    let request = format!("404 to GET {}/v1/nowhere\n", world.sandbox().clouds()[0]);
    assert!(ran.stderr.ends_with(&request), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn on_a_terminal_an_error_begins_a_line_and_nothing_is_added_to_a_body_elsewhere() {
    use std::io::{Read as _, Write as _};
    const NO_LINE: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope";
    const LINE: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nnope\n";
    let world = World::empty();
    for answer in [NO_LINE, LINE] {
        let api = OneRequest::answered(answer);
        with_api(&world, &api.url, "");
        let (mut person, command_side) = crate::trust::terminal();
        let mut command = world.command(["--color", "never", "call", "shop", "GET", "/x"]);
        command
            .stdout(command_side.try_clone().unwrap())
            .stderr(command_side.try_clone().unwrap());
        assert_eq!(command.status().unwrap().code(), Some(5));
        (&command_side).write_all(b"\x04").unwrap();
        let mut shown = Vec::new();
        let mut byte = [0];
        while person.read(&mut byte).unwrap() == 1 && byte != [4] {
            shown.extend(byte);
        }
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.starts_with("nope\r\nerror: shop: "), "{shown:?}");
    }

    let api = OneRequest::answered(NO_LINE);
    with_api(&world, &api.url, "");
    let ran = world.run("call shop GET /x");
    assert_eq!((ran.status, &*ran.stdout), (5, "nope"));
    assert!(ran.stderr.starts_with("error: "), "{ran:?}");
}

#[test]
fn the_patience_that_an_api_asks_for_is_told() {
    let world = World::new();
    let fault = Fault::new(Effect::Status(429))
        .path("/v1/orders")
        .retry_after(RetryAfter::Seconds(7));
    world.sandbox().fail_next(fault);
    let ran = world.run("call shop GET /v1/orders --format json");
    assert_eq!(ran.status, 5);
    assert_eq!(error_of(&ran.stderr)["retry_after"], 7);
    assert_eq!(
        world.sandbox().stats().counts.api_calls.total,
        1,
        "asked once"
    );
}

#[test]
fn a_rejected_token_is_replaced_once() {
    let world = World::new();
    world
        .sandbox()
        .fail_next(Fault::new(Effect::Revoke).path("/v1/orders"));
    world.run("call shop GET /v1/orders").ok();
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn a_reader_that_goes_away_ends_the_call_quietly() {
    let world = World::new();
    let mut child = world
        .command(["call", "exports", "GET", "/v1/download?bytes=1000000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn an_api_that_stalls_or_breaks_off_is_status_4() {
    let world = World::new();
    for effect in [Effect::Stall, Effect::Reset] {
        world
            .sandbox()
            .fail_next(Fault::new(effect).path("/v1/orders"));
        let ran = world.run("call shop GET /v1/orders --timeout 1 --format json");
        assert_eq!(ran.status, 4, "{ran:?}");
        let error = error_of(&ran.stderr);
        assert_eq!(error["kind"], "unreachable");
        assert_eq!(error["provider"], "shop");
    }
}

#[test]
fn an_api_that_can_not_be_reached_is_told_with_what_to_check() {
    let world = World::empty();
    with_api(&world, "http://127.0.0.1:1", "");
    let told = world.run("call shop GET /v1/orders").failed(4);
    let expected =
        "shop: 127.0.0.1:1 refuses the connection; check the URL, its port and the proxy";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_path_without_a_base_url_is_a_usage_error() {
    let world = World::empty();
    let endpoint = format!("{}/v1/auth/token", world.sandbox().url());
    world.write(
        "biped.toml",
        &format!(
            "[providers.shop]\nkind = 'envelope'\ntoken_endpoint = '{endpoint}'\n\
             client_id = '{}'\nclient_secret = '''{}'''\n",
            biped_sandbox::SHOP.client_id,
            biped_sandbox::SHOP.client_secret,
        ),
    );
    assert!(
        world
            .run("call shop GET /v1/orders")
            .failed(2)
            .contains("api_base_url")
    );
}

#[test]
fn a_call_without_a_method_is_told_that_it_is_missing() {
    let world = World::new();
    for call in ["call shop /v1/orders", "call GET /v1/orders"] {
        let told = world.run(call).failed(2);
        assert!(
            told.contains("a method such as GET or POST before the path"),
            "{told}"
        );
    }
}

#[test]
fn an_answer_that_goes_on_is_printed_as_it_comes() {
    let world = World::empty();
    let endpoint = format!("{}/v1/auth/token", world.sandbox().url());
    let api = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    world.write(
        "biped.toml",
        &format!(
            "[providers.shop]\nkind = 'envelope'\ntoken_endpoint = '{endpoint}'\n\
             client_id = '{}'\nclient_secret = '''{}'''\napi_base_url = 'http://{}'\n",
            biped_sandbox::SHOP.client_id,
            biped_sandbox::SHOP.client_secret,
            api.local_addr().unwrap(),
        ),
    );
    let mut command = world.command(["call", "shop", "GET", "/v1/events"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let (mut connection, _) = api.accept().unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    connection
        .write_all(format!("{head}first").as_bytes())
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut first = [0; 5];
    out.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first");
    // Only now does the server go on.
    connection.write_all(b" and last").unwrap();
    drop(connection);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, " and last");
    assert!(child.wait().unwrap().success());
}
