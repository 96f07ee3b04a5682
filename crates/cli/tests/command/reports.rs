//! `biped list`, `inspect`, `check` and `forget`.

use serde_json::{Value, json};

use crate::world::{World, error_of};

#[test]
fn the_list_needs_neither_network_nor_secrets_but_to_tell_whose_token_is_stored() {
    let world = World::with(
        "client_id = \"shop-backend\"",
        "client_id = \"env:NOT_SET\"",
    );
    let text = world.run("list").ok();
    for name in [
        "exports",
        "exports-us",
        "enrichment",
        "speed-analysis",
        "shop",
    ] {
        assert!(
            text.lines()
                .any(|line| line.split_whitespace().next() == Some(name)),
            "{text}"
        );
    }
    let list = world.run("list --format json").json();
    let shop = list
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["provider"] == "shop")
        .unwrap();
    assert_eq!(
        shop,
        &json!({
            "provider": "shop",
            "kind": "envelope",
            "token_endpoint": format!("{}/v1/auth/token", world.sandbox().url()),
            "request": "",
            "state": "unknown",
            "expires_at": null,
            "expires_in": null,
            "credential": null,
        })
    );
    assert_eq!(world.token_requests(), 0);
}

#[test]
fn an_inspection_tells_scopes_and_projects() {
    let world = World::new();
    let account = world.run("inspect exports --format json").json();
    assert_eq!(account["provider"], "exports");
    assert_eq!(
        account["projects"][1],
        json!({ "id": 43, "name": "UX ANALYTICS US" })
    );
    assert!(
        account["scopes"]
            .as_array()
            .unwrap()
            .contains(&json!("data-export"))
    );
    let text = world.run("inspect enrichment").ok();
    assert!(
        text.contains("42 UX ANALYTICS") && !text.contains("43"),
        "{text}"
    );
    assert_eq!(world.token_requests(), 0);
}

#[test]
fn a_vendor_without_inspection_is_no_error() {
    let world = World::new();
    let ran = world.run("inspect shop");
    assert_eq!((ran.status, &*ran.stdout), (0, ""));
    assert!(ran.stderr.contains("shop"), "{}", ran.stderr);
    let nothing = world.run("inspect shop --format json").json();
    assert_eq!(nothing["provider"], "shop");
    assert!(nothing["scopes"].is_null() && nothing["projects"].is_null());
}

#[test]
fn a_check_tries_every_provider() {
    let world = World::new();
    let found = world.run("check --format json").json();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 5);
    assert!(
        found.iter().all(|finding| finding["ok"] == true),
        "{found:?}"
    );
    assert_eq!(world.token_requests(), 5);
}

#[test]
fn a_check_says_what_is_wrong_and_ends_with_the_worst() {
    let world = World::with("k&1=4+%2Bq", "wrong");
    let config = std::fs::read_to_string(world.path("biped.toml")).unwrap();
    world.write(
        "biped.toml",
        &format!(
            "{config}\n[providers.gone]\nkind = 'envelope'\nbase_url = 'http://127.0.0.1:1'\n\
             client_id = 'a'\nclient_secret = 'b'\n"
        ),
    );
    let ran = world.run("check exports shop");
    assert_eq!(ran.status, 3);
    assert!(ran.stdout.contains("401021"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");

    let ran = world.run("check --format json");
    assert_eq!(ran.status, 4);
    let found: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
    let shop = found
        .iter()
        .find(|finding| finding["provider"] == "shop")
        .unwrap();
    assert_eq!(shop["ok"], false);
    assert_eq!(shop["error"]["code"], "401021");
    assert!(shop["meaning"].is_string());
    assert!(shop["remedy"].as_str().unwrap().contains("client_secret"));
    assert_eq!(error_of(&ran.stderr)["provider"], "gone");
}

#[test]
fn the_end_of_the_credentials_year_is_warned_of() {
    let year_over = "kind = \"contentsquare\"\nclient_secret_created = 2020-01-01";
    let world = World::with("kind = \"contentsquare\"", year_over);
    let ran = world.run("token exports");
    assert_eq!(ran.status, 0);
    assert!(ran.stderr.contains("expired"), "{}", ran.stderr);
    assert_eq!(world.run("token exports --format json").stderr, "");
    let found = world.run("check exports --format json").json();
    assert_eq!(found[0]["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(found[0]["ok"], true);
}

#[test]
fn what_is_forgotten_is_told() {
    let world = World::new();
    let ran = world.run("forget shop");
    assert_eq!((ran.status, &*ran.stdout), (0, ""));
    assert!(ran.stderr.contains("shop"));
    assert_eq!(world.token_requests(), 0);
}

/// What a terminal of this width gets of a command's stdout.
#[cfg(unix)]
fn on_terminal(world: &World, line: &str, width: u16) -> String {
    use std::io::{Read as _, Write as _};
    let (mut person, command_side) = crate::trust::terminal();
    let mut size = rustix::termios::tcgetwinsize(&person).unwrap();
    (size.ws_col, size.ws_row) = (width, 24);
    rustix::termios::tcsetwinsize(&person, size).unwrap();
    let mut command = world.command(line.split(' '));
    command.stdout(command_side.try_clone().unwrap());
    assert!(command.status().unwrap().success());
    (&command_side).write_all(b"\x04").unwrap();
    let mut shown = Vec::new();
    let mut byte = [0];
    while person.read(&mut byte).unwrap() == 1 && byte != [4] {
        shown.extend(byte);
    }
    String::from_utf8(shown).unwrap()
}

#[cfg(unix)]
#[test]
fn no_width_of_a_terminal_hides_what_a_list_tells() {
    let world = World::new();
    world.run("token shop").ok();
    let url = format!("{}/v1/auth/token", world.sandbox().url());
    for width in [20, 40, 60, 80, 120, 200] {
        let shown = on_terminal(&world, "list --color never", width);
        let word = |word: &str| shown.split_whitespace().filter(|it| *it == word).count();
        assert_eq!((word("fresh"), word("missing")), (1, 4), "{width}: {shown}");
        assert_eq!(
            (word("exports-us"), word("min")),
            (1, 1),
            "{width}: {shown}"
        );
        assert!(shown.contains(&url), "{width}: {shown}");
        let fits = |line: &str| line.chars().count() <= width.into();
        let one_word = |line: &str| line.split_whitespace().count() == 1;
        assert!(
            shown.lines().all(|line| fits(line) || one_word(line)),
            "{width}: {shown}"
        );
        let found = on_terminal(&world, "vendors paypal --color never", width);
        assert!(
            found.contains("PayPal") && found.contains("oauth2/token"),
            "{found}"
        );
        if width >= 40 {
            let checked = on_terminal(&world, "check exports --store memory --color never", width);
            assert!(
                checked
                    .lines()
                    .all(|line| fits(line) || line.contains("http")),
                "{checked}"
            );
        }
    }
    // Scripts get a line for each provider, however wide.
    assert_eq!(world.run("list").ok().lines().count(), 6);
}
