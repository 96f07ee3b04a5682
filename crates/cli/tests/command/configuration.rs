//! `biped init`, `biped config`, and where the configuration comes from.

use serde_json::{Value, json};

use crate::world::{Ran, World};

#[test]
fn the_starter_can_be_used_at_once_and_is_never_overwritten() {
    let world = World::empty();
    let ran = world.run("init");
    assert_eq!((ran.status, &*ran.stdout), (0, ""));
    let starter = std::fs::read_to_string(world.path("biped.toml")).unwrap();
    assert!(starter.starts_with('#'));
    world.run("list").ok();

    world.write("biped.toml", "# mine");
    world.run("init").failed(2);
    assert_eq!(
        std::fs::read_to_string(world.path("biped.toml")).unwrap(),
        "# mine"
    );
    world.run("--config other.toml init").ok();
    assert_eq!(
        std::fs::read_to_string(world.path("other.toml")).unwrap(),
        starter
    );
    world.run("--config no/such/directory.toml init").failed(2);
}

/// Serves these documents, by their paths; everything else is absent. Returns the requests' heads when it
/// has responded `count` times.
fn serving(
    count: usize,
    documents: impl Fn(&str) -> Vec<(&'static str, String)>,
) -> (String, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let documents = documents(&url);
    let server = std::thread::spawn(move || {
        let mut seen = Vec::new();
        for _ in 0..count {
            let (mut connection, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                connection.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let found = documents
                .iter()
                .find(|(path, _)| head.starts_with(&format!("GET {path} ")));
            let (status, body) = match found {
                Some((_, body)) => ("200 OK", body.as_str()),
                None => ("404 Not Found", ""),
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            connection.write_all(answer.as_bytes()).unwrap();
            seen.push(head);
        }
        seen
    });
    (url, server)
}

#[test]
fn a_provider_is_printed_for_an_api_that_says_whom_it_trusts() {
    let world = World::empty();
    let (url, server) = serving(2, |url| {
        let api = json!({
            "resource": format!("{url}/v2"),
            "authorization_servers": [format!("{url}/login")],
            "scopes_supported": ["contacts.read"],
        });
        let issuer = json!({
            "issuer": format!("{url}/login"),
            "token_endpoint": format!("{url}/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        });
        vec![
            ("/.well-known/oauth-protected-resource/v2", api.to_string()),
            (
                "/.well-known/oauth-authorization-server/login",
                issuer.to_string(),
            ),
        ]
    });
    let entry = world.run(&format!("init --api {url}/v2")).ok();
    for line in [
        "[providers.api]".to_owned(),
        format!("api = \"{url}/v2\""),
        "client_secret = \"env:API_CLIENT_SECRET\"".into(),
    ] {
        assert!(entry.lines().any(|known| known == line), "{line}: {entry}");
    }
    assert!(entry.contains(&format!("issuer = \"{url}/login\"")));
    assert!(entry.contains("contacts.read"));
    assert!(!world.path("biped.toml").exists());
    for head in server.join().unwrap() {
        assert!(!head.to_lowercase().contains("authorization:"), "{head}");
    }
    world.write("biped.toml", &entry);
    world.run("config show").ok();
}

#[test]
fn no_provider_is_printed_for_an_api_that_names_nobody() {
    let world = World::empty();
    // Both well-known URLs, and the API itself.
    let (url, server) = serving(3, |_| Vec::new());
    world.run(&format!("init --api {url}/v2")).failed(2);
    assert_eq!(server.join().unwrap().len(), 3);
    world.run("init --api http://api.example").failed(2);
}

#[test]
fn the_file_is_here_or_in_the_configuration_directory_or_where_it_is_said_to_be() {
    let world = World::empty();
    world.run("list").failed(2);

    let config = world.sandbox().config_toml();
    std::fs::create_dir_all(world.path("xdg/biped")).unwrap();
    world.write("xdg/biped/biped.toml", &config);
    let mut command = world.command(["list", "--format", "json"]);
    let output = command
        .env("XDG_CONFIG_HOME", world.path("xdg"))
        .output()
        .unwrap();
    let list: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list.len(), 5);

    world.write(
        "biped.toml",
        &config.replace("[providers.shop]", "[providers.here]"),
    );
    let mut command = world.command(["list"]);
    let output = command
        .env("XDG_CONFIG_HOME", world.path("xdg"))
        .output()
        .unwrap();
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("\nhere ")
    );

    world.write(
        "named.toml",
        &config.replace("[providers.shop]", "[providers.named]"),
    );
    assert!(
        world
            .run("list --config named.toml")
            .ok()
            .contains("\nnamed ")
    );
    let missing = world.run("list --config missing.toml").failed(2);
    assert!(missing.contains("; check the path"), "{missing}");
}

#[test]
fn variables_go_ahead_of_the_file() {
    let world = World::with("shop-backend", "somebody-else");
    let mut command = world.command(["token", "shop"]);
    command.env("BIPED_PROVIDERS__SHOP__CLIENT_ID", "shop-backend");
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}

#[test]
fn all_problems_are_told_together() {
    let world = World::new();
    world.write(
        "biped.toml",
        "[providers.a]\nkind = 'envelope'\nbase_url = 5\n[providers.b]\nkind = 'nope'\n",
    );
    let text = world.run("list").failed(2);
    assert!(
        text.contains("biped.toml:3") && text.contains("biped.toml:5"),
        "{text}"
    );
    assert!(text.starts_with("error: 4 problems:\n"), "{text}");
    let error = world.run("list --format json").error(2);
    assert!(error["message"].as_str().unwrap().contains("biped.toml:5"));
}

#[test]
fn the_configuration_is_shown_with_where_it_is_from_and_without_secrets() {
    let world = World::new();
    let mut command = world.command(["config", "show"]);
    command.env("BIPED_PROVIDERS__SHOP__GRANT_TYPE", "client_credentials");
    let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(
        shown.contains("providers.exports.project_id = 42  # "),
        "{shown}"
    );
    assert!(
        shown.contains("# BIPED_PROVIDERS__SHOP__GRANT_TYPE"),
        "{shown}"
    );
    assert!(
        !shown.contains("4+%2Bq") && !shown.contains("0ISL0DEC"),
        "{shown}"
    );

    let settings = world.run("config show --format json").json();
    let settings = settings.as_array().unwrap();
    let secret = settings
        .iter()
        .find(|of| of["key"] == "providers.shop.client_secret")
        .unwrap();
    assert_eq!(secret["value"], "[redacted]");
    assert!(
        secret["origin"]
            .as_str()
            .unwrap()
            .starts_with("biped.toml:")
    );
}

#[test]
fn what_the_command_decides_itself_is_shown_too() {
    let world = World::new();
    let shown = world.run("config show").ok();
    assert!(
        shown.contains("store.kind = \"file\"  # default\n"),
        "{shown}"
    );
    let shown = world.run("config show --store memory").ok();
    assert!(
        shown.contains("store.kind = \"memory\"  # --store\n"),
        "{shown}"
    );
    let empty = World::empty();
    let mut nothing = empty.command(["config", "show"]);
    Ran::of(
        nothing
            .env_remove("BIPED_ENGINE__STORE_WAIT")
            .output()
            .unwrap(),
    )
    .failed(2);
}

#[test]
fn a_configuration_that_is_wrong_can_be_shown() {
    let world = World::new();
    world.write(
        "biped.toml",
        "[providers.a]\nkind = 'envelope'\nbase_url = 5\n",
    );
    assert!(world.run("config show").ok().contains("providers.a.kind"));
    world.write("biped.toml", "[providers.a");
    world.run("config show").failed(2);
}

#[test]
fn the_schema_knows_the_kinds() {
    let world = World::empty();
    let schema = world.run("config schema").json();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert!(schema["$defs"]["kind-contentsquare"].is_object());
}

#[test]
fn the_schema_knows_the_tables_of_the_sidecar() {
    let schema = World::empty().run("config schema").json();
    let serve = &schema["properties"]["serve"]["properties"];
    for (of, key) in [
        (&serve["providers"]["additionalProperties"], "allow"),
        (&serve["callers"]["items"], "token"),
        (&serve["files"]["items"], "path"),
        (&serve["tls"], "certificate"),
    ] {
        assert!(of["properties"][key].is_object(), "{key}: {of}");
        assert_eq!(of["additionalProperties"], false, "{key}");
    }
    assert_eq!(
        serve["files"]["items"]["required"],
        json!(["provider", "path"])
    );
}

#[test]
fn a_variable_that_sets_nothing_is_warned_of() {
    let world = World::with(
        "client_id = \"shop-backend\"",
        "client_id = \"env:BIPED_SHOP_ID\"",
    );
    let run = |line: &str| {
        let mut command = world.command(line.split(' '));
        command.envs([
            ("BIPED_HTTP_TIMEOUT", "20s"),
            ("BIPED_SHOP__CLIENT_SECRET", "pl4nted"),
            ("BIPED_SHOP_ID", "shop-backend"),
            ("BIPED_SERVE__LISTEN", "127.0.0.1:1"),
            ("BIPED_PROVIDERS__SHOP__SCOPE", "a"),
            ("BIPED_CONFIG", "biped.toml"),
        ]);
        Ran::of(command.output().unwrap())
    };
    for line in ["token shop", "list", "config show"] {
        let ran = run(line);
        assert_eq!(ran.status, 0, "{ran:?}");
        let warnings: Vec<_> = ran.stderr.lines().collect();
        assert_eq!(warnings.len(), 2, "{warnings:#?}");
        assert!(
            warnings[0].starts_with("warning: BIPED_HTTP_TIMEOUT: "),
            "{warnings:#?}"
        );
        assert!(warnings[0].contains("BIPED_HTTP__TIMEOUT"), "{warnings:#?}");
        assert!(
            warnings[1].starts_with("warning: BIPED_SHOP__CLIENT_SECRET: "),
            "{warnings:#?}"
        );
        assert!(!ran.stderr.contains("pl4nted"));
    }
    assert_eq!(run("token shop --format json").stderr, "");
}

#[test]
fn every_command_uses_the_file_that_the_variable_names() {
    let world = World::new();
    world.write_untrusted("biped.toml", "[providers.other]\nkind = 'nonsense'\n");
    world.write_untrusted("named.toml", &world.sandbox().config_toml());
    for line in [
        "token shop",
        "call shop GET /v1/orders",
        "exec shop -- true",
        "list",
        "inspect exports",
        "check shop",
        "config show",
        "forget shop",
        "trust",
        "trust --revoke",
    ] {
        let mut command = world.command(line.split(' '));
        let ran = Ran::of(command.env("BIPED_CONFIG", "named.toml").output().unwrap());
        assert_eq!(ran.status, 0, "{line}: {ran:?}");
        assert!(!format!("{ran:?}").contains("other"), "{line}: {ran:?}");
    }
    let mut command = world.command(["init"]);
    let ran = Ran::of(command.env("BIPED_CONFIG", "new.toml").output().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(world.path("new.toml").exists());
}

#[test]
fn a_variable_that_a_reference_names_is_not_called_unused() {
    let world = World::with(
        "client_secret = \"k&1=4+%2Bq Zt;8/w?~\"",
        "client_secret = \"env:BIPED_CREDS#/secret\"",
    );
    let mut command = world.command(["token", "shop"]);
    let creds = json!({ "secret": biped_sandbox::SHOP.client_secret });
    command.env("BIPED_CREDS", creds.to_string());
    let ran = Ran::of(command.output().unwrap());
    assert_eq!((ran.status, &*ran.stderr), (0, ""), "{ran:?}");
    let mut command = world.command(["list"]);
    command.env("BIPED_OTHER", "x");
    let ran = Ran::of(command.output().unwrap());
    assert!(ran.stderr.contains("BIPED_OTHER"), "{ran:?}");
}
