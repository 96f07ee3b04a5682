//! `biped token`.

use biped::provider::{Clock, SystemClock};
use biped_sandbox::{Effect, Fault};

use crate::world::{OneRequest, Ran, World, left_of};

#[test]
fn a_token_is_printed_alone_or_as_a_header_or_an_assignment() {
    let world = World::new();
    let plain = world.run("token shop").ok();
    assert!(plain.starts_with("sk-") && plain.ends_with('\n') && plain.lines().count() == 1);
    let header = world.run("token exports --format header").ok();
    assert!(header.starts_with("Authorization: Bearer eyJ"), "{header}");
    assert_eq!(header.lines().count(), 1);
    let assignment = world.run("token exports-us --format env").ok();
    assert!(
        assignment.starts_with("EXPORTS_US_ACCESS_TOKEN=eyJ"),
        "{assignment}"
    );
    assert_eq!(assignment.lines().count(), 1);
}

#[test]
fn the_json_object_has_these_fields() {
    let world = World::new();
    let started = SystemClock.now().mono;
    let token = world.run("token exports --format json").json();
    let mut keys: Vec<_> = token.as_object().unwrap().keys().collect();
    keys.sort();
    let expected = [
        "access_token",
        "base_url",
        "expires_at",
        "expires_in",
        "provider",
        "scope",
        "token_type",
    ];
    assert_eq!(keys, expected);
    assert_eq!(token["provider"], "exports");
    assert_eq!(token["token_type"], "bearer");
    assert_eq!(token["scope"], "data-export metrics");
    assert_eq!(token["base_url"], world.sandbox().clouds()[0]);
    let left = token["expires_in"].as_i64().unwrap();
    assert!(left_of(3600, started).contains(&left), "{left}");
    let expiry: jiff::Timestamp = token["expires_at"].as_str().unwrap().parse().unwrap();
    let left = expiry.as_second() - SystemClock.now().wall.unix_seconds();
    assert!(left_of(3600, started).contains(&left), "{left}");
}

#[test]
fn every_entry_of_the_sandbox_gives_a_token_with_its_own_base_url() {
    let world = World::new();
    let [first, second] = world.sandbox().clouds();
    let expected = [
        ("exports", first),
        ("exports-us", second),
        ("enrichment", first),
        ("speed-analysis", first),
        ("shop", world.sandbox().url()),
    ];
    for (name, url) in expected {
        let token = world.run(&format!("token {name} --format json")).json();
        assert_eq!(token["base_url"], url, "{name}");
    }
}

#[test]
fn a_scope_is_told_as_asked_where_the_answer_is_silent() {
    const ANSWER: &str = r#"{"access_token": "at-1", "expires_in": -5}"#;
    let answer: &'static str = Box::leak(
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        )
        .into(),
    );
    let world = World::empty();
    let vendor = OneRequest::answered(answer);
    world.write(
        "biped.toml",
        &format!(
            "[providers.cs]\nkind = 'contentsquare'\ntoken_endpoint = '{}/token'\n\
             client_id = 'a'\nclient_secret = 'b'\nscope = 'metrics data-export'\n",
            vendor.url
        ),
    );
    let token = world.run("token cs --format json").json();
    assert_eq!(token["access_token"], "at-1");
    assert_eq!(token["scope"], "data-export metrics");
    assert_eq!(token["token_type"], "Bearer");
    assert!(token["base_url"].is_null());
    assert!(
        token["expires_in"].as_i64().unwrap() > 0,
        "absent, not over"
    );
    vendor.request();
}

#[test]
fn a_parameter_that_takes_several_values_may_be_given_several_times() {
    let world = World::empty();
    let server = OneRequest::answered(
        "HTTP/1.1 200 OK\r\ncontent-length: 23\r\n\r\n{\"access_token\":\"at-1\"}",
    );
    world.write(
        "biped.toml",
        &format!(
            "[providers.crm]\nkind = 'oauth2'\ntoken_endpoint = '{}/token'\nclient_id = 'a'\n\
             resource = 'https://c.example'\n",
            server.url
        ),
    );
    let both = "--param resource=https://a.example --param resource=https://b.example";
    world
        .run(&format!("token crm {both} --param tier=1 --param tier=2"))
        .ok();
    let request = server.request();
    let body = request.split("\r\n\r\n").nth(1).unwrap();
    assert_eq!(
        body.split('&').skip(2).collect::<Vec<_>>(),
        [
            "resource=https%3A%2F%2Fa.example",
            "resource=https%3A%2F%2Fb.example",
            "tier=2"
        ]
    );
}

#[test]
fn a_vendor_without_scopes_gives_null() {
    let world = World::new();
    let token = world.run("token shop --format json").json();
    assert!(token["scope"].is_null());
    assert_eq!(token["token_type"], "Bearer");
}

#[test]
fn scope_and_parameters_take_the_place_of_the_configured_ones() {
    let world = World::new();
    let token = world
        .run("token exports --scope metrics --param project_id=43 --format json")
        .json();
    assert_eq!(token["scope"], "metrics");
    assert_eq!(token["base_url"], world.sandbox().clouds()[1]);
}

#[test]
fn a_parameter_of_the_wrong_type_is_a_usage_error_and_nothing_is_sent() {
    let world = World::new();
    for param in ["project_id=forty-two", "nope=1", "project_id"] {
        let error = world
            .run(&format!("token exports --param {param} --format json"))
            .error(2);
        assert_eq!(error["kind"], "configuration");
    }
    assert_eq!(world.token_requests(), 0);
}

#[test]
fn what_passes_is_tried_again_within_the_command() {
    let world = World::new();
    world.sandbox().fail_next(Fault::new(Effect::Status(503)));
    world.run("token shop").ok();
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn a_resource_that_is_no_uri_is_sent_with_a_warning() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
        content-length: 38\r\nconnection: close\r\n\r\n\
        {\"access_token\":\"t-1\",\"expires_in\":60}";
    for line in ["token crm", "token crm -v", "check crm"] {
        let server = OneRequest::answered(ANSWER);
        let world = World::empty();
        let url = &server.url;
        world.write(
            "biped.toml",
            &format!(
                "[providers.crm]\nkind = 'oauth2'\ntoken_endpoint = '{url}/token'\n\
                 client_id = 'a'\nclient_secret = 'b'\nresource = 'guid-7'\n"
            ),
        );
        let ran = world.run(line);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(
            (ran.stdout.clone() + &ran.stderr).contains("not a URI"),
            "{line}: {ran:?}"
        );
        assert!(server.request().contains("resource=guid-7"));
    }
}

#[test]
fn an_exec_credential_is_what_kubectl_takes() {
    let world = World::new();
    let run = |info: Option<&str>| {
        let mut command = world.command("token exports --format exec-credential".split(' '));
        command.env_remove("KUBERNETES_EXEC_INFO");
        if let Some(info) = info {
            command.env("KUBERNETES_EXEC_INFO", info);
        }
        Ran::of(command.output().unwrap())
    };
    let token = world.run("token exports --format json").json();
    let object = |version: &str| {
        format!(
            "{{\"apiVersion\":\"client.authentication.k8s.io/{version}\",\"kind\":\"ExecCredential\",\
             \"status\":{{\"expirationTimestamp\":{},\"token\":{}}}}}\n",
            token["expires_at"], token["access_token"]
        )
    };
    assert_eq!(run(None).ok(), object("v1"));
    for version in ["v1", "v1beta1"] {
        let info = format!(
            r#"{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/{version}","spec":{{"interactive":false}}}}"#
        );
        assert_eq!(run(Some(&info)).ok(), object(version));
    }
    for info in [
        r#"{"apiVersion":"client.authentication.k8s.io/v1alpha1"}"#,
        "planted",
    ] {
        let told = run(Some(info)).failed(2);
        assert!(told.contains("KUBERNETES_EXEC_INFO"), "{told}");
        assert!(!told.contains("planted"), "{told}");
    }
}

#[test]
fn a_configuration_of_curl_holds_the_header() {
    let world = World::new();
    let token = world.run("token exports").ok();
    let config = world.run("token exports --format curl").ok();
    let expected = format!("header = \"Authorization: Bearer {}\"\n", token.trim_end());
    assert_eq!(config, expected);
}

#[cfg(unix)]
#[test]
fn what_is_not_a_regular_file_is_not_written_and_nothing_is_fetched() {
    use std::{fs, os::unix::fs::symlink, process::Command};
    let world = World::new();
    let made = Command::new("mkfifo").arg(world.path("pipe")).status();
    assert!(made.unwrap().success());
    fs::create_dir(world.path("directory")).unwrap();
    for (target, link) in [
        ("pipe", "to-pipe"),
        ("/dev/null", "to-device"),
        ("/proc/self/fd/1", "to-stdout"),
    ] {
        symlink(target, world.path(link)).unwrap();
    }
    let kind = |name: &str| {
        let found = fs::symlink_metadata(world.path(name)).unwrap();
        found.file_type()
    };
    for name in ["pipe", "directory", "to-pipe", "to-device", "to-stdout"] {
        let before = kind(name);
        for line in ["token shop", "token shop --follow", "sandbox"] {
            let told = world.run(&format!("{line} --write {name}")).failed(2);
            assert!(told.contains("not a regular file"), "{line} {name}: {told}");
        }
        assert_eq!(kind(name), before, "{name}");
    }
    // Where stdout is a regular file.
    let stdout = fs::File::create(world.path("stdout")).unwrap();
    let mut command = world.command("token shop --write to-stdout".split(' '));
    let ran = command.stdout(stdout).output().unwrap();
    let told = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2), "{told}");
    assert!(told.contains("not a regular file"), "{told}");
    assert!(kind("to-stdout").is_symlink());
    assert_eq!(world.token_requests(), 0);

    fs::write(world.path("regular"), "old").unwrap();
    symlink("regular", world.path("to-regular")).unwrap();
    for name in ["regular", "to-regular", "new"] {
        world.run(&format!("token shop --write {name}")).ok();
        let token = fs::read_to_string(world.path(name)).unwrap();
        assert!(token.starts_with("sk-"), "{name}: {token}");
    }
}

#[test]
fn a_parameter_without_a_name_is_a_usage_error_that_says_what_to_write() {
    let world = World::empty();
    world.write(
        "biped.toml",
        "[providers.crm]\nkind = 'oauth2'\ntoken_endpoint = 'http://127.0.0.1:1/token'\n\
         client_id = 'a'\nclient_secret = 'b'\n",
    );
    for line in [
        "token crm",
        "call crm GET http://127.0.0.1:1/",
        "forget crm",
    ] {
        let told = world.run(&format!("{line} --param =planted")).failed(2);
        assert!(
            told.contains("--param") && told.contains("NAME=VALUE"),
            "{told}"
        );
        assert!(!told.contains("planted"), "{told}");
    }
}
