//! What a refused client is told about its credentials.

use std::fs;

use biped_sandbox::{Effect, Fault, RetryAfter};

use crate::world::{OneRequest, Ran, World, error_of};

/// A shop whose secret is what is written in TOML, at a line that is known.
fn shop(secret: &str) -> World {
    let world = World::empty();
    let url = world.sandbox().url();
    world.write(
        "biped.toml",
        &format!(
            "[providers.shop]\nkind = 'envelope'\nbase_url = '{url}'\nclient_id = 'shop-backend'\n\
             client_secret = {secret}\n"
        ),
    );
    world
}

/// What `token` and `check` say on their way to status 3, each on its own.
#[track_caller]
fn told(world: &World, variables: &[(&str, &str)]) -> [String; 2] {
    ["token shop", "check shop"].map(|line| {
        let mut command = world.command(line.split(' '));
        let ran = Ran::of(command.envs(variables.iter().copied()).output().unwrap());
        assert_eq!(ran.status, 3, "{ran:?}");
        ran.stdout + &ran.stderr
    })
}

#[test]
fn a_refused_client_names_the_places_of_its_credentials() {
    let world = shop("'wr0ng'");
    fs::write(world.path("secret"), "wr0ng").unwrap();
    for (secret, place) in [
        ("'wr0ng'", "providers.shop.client_secret, biped.toml:5"),
        (
            "'env:S'",
            "env:S in providers.shop.client_secret, biped.toml:5",
        ),
        (
            "'file:secret'",
            "secret in providers.shop.client_secret, biped.toml:5",
        ),
        (
            "{ cmd = ['echo', 'wr0ng'] }",
            "cmd:echo in providers.shop.client_secret, biped.toml:5",
        ),
        (
            "['env:S', 'wr0ng']",
            "member 2 of providers.shop.client_secret, biped.toml:5",
        ),
    ] {
        let world = shop(secret);
        fs::write(world.path("secret"), "wr0ng").unwrap();
        for text in told(&world, &[("S", "wr0ng-as-well")]) {
            assert!(text.contains(place), "{place}: {text}");
            assert!(
                text.contains("providers.shop.client_id, biped.toml:4"),
                "{text}"
            );
            assert!(!text.contains("wr0ng"), "{text}");
        }
    }
    let variable = "BIPED_PROVIDERS__SHOP__CLIENT_SECRET";
    for text in told(&world, &[(variable, "wr0ng")]) {
        assert!(text.contains(variable), "{text}");
    }
}

#[test]
fn what_is_odd_about_a_refused_secret_is_told_before_anything_else_is_suspected() {
    let variable = "BIPED_PROVIDERS__SHOP__CLIENT_SECRET";
    for (secret, variables, odd) in [
        (
            "'$SHOP_S3CRET'",
            &[][..],
            "looks like the name of a variable",
        ),
        ("'${SHOP_S3CRET}'", &[], "looks like the name of a variable"),
        ("'ENV:SHOP_S3CRET'", &[], "looks like a reference"),
        ("'`pass s3cret`'", &[], "looks like a command"),
        (
            "'x'",
            &[(variable, "cmd:pass S3CRET")],
            "looks like a reference",
        ),
        ("\"s3cret\\n\"", &[], "ends with a newline"),
        ("'env:S'", &[("S", "s3cret ")], "ends with a blank"),
        (
            "'env:S'",
            &[("S", "\u{200b}s3cret")],
            "starts with an invisible character",
        ),
        (
            "['x', 'env:S']",
            &[("S", "\ts3cret")],
            "starts with a blank",
        ),
    ] {
        let world = shop(secret);
        let [token, check] = told(&world, variables);
        for text in [&token, &check] {
            assert!(text.contains(odd), "{odd}: {text}");
            assert!(!text.to_lowercase().contains("s3cret"), "{text}");
            assert!(!text.contains("check client_id"), "{text}");
        }
        let place = match variables {
            [(name, _)] if *name == variable => variable,
            _ => "biped.toml:5",
        };
        let found = token.find(odd).unwrap();
        assert!(token[..found].contains(place), "{token}");
        assert!(found < token.find("401021").unwrap(), "{token}");
    }
}

#[test]
fn a_command_promises_no_wait_of_its_own_and_tells_the_vendors() {
    let world = shop("'wr0ng'");
    for line in [
        "token shop",
        "token shop -v",
        "check shop",
        "call shop GET /x",
    ] {
        let ran = world.run(line);
        let told = ran.stdout + &ran.stderr;
        assert!(
            !told.contains("next attempt") && !told.contains("retry_in"),
            "{told}"
        );
    }
    for line in ["token shop", "check shop"] {
        let ran = world.run(&format!("{line} --format json"));
        assert!(error_of(&ran.stderr)["retry_after"].is_null(), "{ran:?}");
    }
    let asks_to_wait = || {
        let fault = Fault::new(Effect::Status(429)).retry_after(RetryAfter::Seconds(30));
        world.sandbox().fail_next(fault.times(9));
    };
    asks_to_wait();
    let told = world.run("token shop").failed(4);
    assert!(told.contains("asks to wait 30 s"), "{told}");
    world.sandbox().clear_faults();
    asks_to_wait();
    assert_eq!(
        world.run("token shop --format json").error(4)["retry_after"],
        30
    );
    world.sandbox().clear_faults();

    // What waits longer than it is allowed to does not go on after the command.
    let text = fs::read_to_string(world.path("biped.toml")).unwrap();
    world.write(
        "biped.toml",
        &format!("{text}[engine]\nmax_wait = '100ms'\n"),
    );
    world
        .sandbox()
        .fail_next(Fault::new(Effect::Stall).times(9));
    let told = world.run("token shop --timeout 3").failed(4);
    assert!(!told.contains("background"), "{told}");
}

#[test]
fn nothing_was_sent_is_said_only_where_it_is_true() {
    // The metadata was asked for, and names another issuer: the vendor knows of it.
    const METADATA: &str =
        "{\"issuer\":\"https://other.example\",\"token_endpoint\":\"http://127.0.0.1:1/t\"}";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{METADATA}",
        METADATA.len()
    );
    let server = OneRequest::answered(answer.leak());
    let world = World::empty();
    world.write(
        "biped.toml",
        &format!(
            "[providers.shop]\nkind = 'oauth2'\nissuer = '{}'\nclient_id = 'a'\n\
             client_secret = 'b'\n",
            server.url
        ),
    );
    let ran = world.run("check shop");
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(!ran.stdout.contains("nothing was sent"), "{}", ran.stdout);
    assert!(server.request().starts_with("GET /.well-known/"));

    let world = shop("'env:NOT_SET'");
    let ran = world.run("check shop");
    assert_eq!(ran.status, 2);
    assert!(ran.stdout.contains("nothing was sent"), "{}", ran.stdout);
    assert_eq!(world.token_requests(), 0);
}

#[test]
fn a_refusal_tells_that_the_clocks_differ() {
    const REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
        content-type: application/json\r\ncontent-length: 26\r\nconnection: close\r\n\r\n\
        {\"error\":\"invalid_client\"}";
    for (line, is_json) in [
        ("token shop", false),
        ("check shop", false),
        ("check shop --format json", true),
    ] {
        let server = OneRequest::answered(REFUSAL);
        let world = World::empty();
        let url = &server.url;
        world.write(
            "biped.toml",
            &format!(
                "[providers.shop]\nkind = 'oauth2'\ntoken_endpoint = '{url}/token'\n\
                 client_id = 'a'\nclient_secret = 'b'\n"
            ),
        );
        let ran = world.run(line);
        assert_eq!(ran.status, 3, "{ran:?}");
        let text = ran.stdout.clone() + &ran.stderr;
        // Lines are wrapped at words.
        let text: Vec<_> = text.split_whitespace().collect();
        let text = text.join(" ");
        assert!(text.contains("s ahead of the vendor's"), "{ran:?}");
        if is_json {
            assert!(text.contains("warnings"), "{ran:?}");
        }
    }
}

#[test]
fn a_blank_is_sent_as_it_is() {
    const REFUSAL: &str =
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let server = OneRequest::answered(REFUSAL);
    let world = World::empty();
    world.write(
        "biped.toml",
        &format!(
            "[providers.shop]\nkind = 'envelope'\nbase_url = '{}'\nclient_id = 'a'\n\
             client_secret = ' b c '\n",
            server.url
        ),
    );
    world.run("token shop").failed(3);
    let request = server.request();
    assert!(request.contains("client_secret=+b+c+"), "{request}");
}
