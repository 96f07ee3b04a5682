//! Whose token it is: who knows a client_id and no secret gets nothing of its owner's.

use std::{fs, net::TcpListener, path::Path};

use biped_sandbox::SHOP;
use serde_json::Value;

use crate::world::{Ran, World, error_of};

/// A world in which `other` is the shop, but for its secret.
fn beside_a_right_one(store: &str, secret: &str) -> World {
    let world = World::empty();
    let config = world.sandbox().config_toml();
    let other = format!(
        "\n[providers.other]\nkind = 'envelope'\nbase_url = '{}'\nclient_id = 'shop-backend'\n\
         client_secret = '{secret}'\n",
        world.sandbox().url()
    );
    world.write("biped.toml", &format!("{store}{config}{other}"));
    world
}

fn finding<'a>(found: &'a [Value], name: &str) -> &'a Value {
    let mut found = found.iter();
    found.find(|finding| finding["provider"] == name).unwrap()
}

#[test]
fn a_check_refuses_a_wrong_secret_beside_the_right_one() {
    let world = beside_a_right_one("", "wrong");
    for _ in 0..2 {
        let ran = world.run("check shop other --format json");
        assert_eq!(ran.status, 3, "{ran:?}");
        let found: Vec<Value> = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(finding(&found, "shop")["ok"], true);
        assert_eq!(finding(&found, "other")["error"]["kind"], "refused");
    }
}

#[test]
fn a_wrong_secret_finds_no_stored_token_and_stops_nobody() {
    for store in [
        "",
        "[store]\nkind = 'file'\nseal = 'abababababababababababababababababababababababababababababababab'\n",
    ] {
        let world = beside_a_right_one(store, "wrong");
        let token = world.run("token shop").ok();
        let error = world.run("token other --format json").error(3);
        assert_eq!(error["kind"], "refused");
        let listed = world.run("list --format json").json();
        let listed = listed.as_array().unwrap();
        assert_eq!(finding(listed, "shop")["state"], "fresh");
        assert_eq!(finding(listed, "other")["state"], "missing");
        assert_eq!(world.run("token shop").ok(), token);
        assert_eq!(world.token_requests(), 2);
    }
}

#[test]
fn the_place_of_a_secret_does_not_count_where_its_value_can_be_read() {
    let world = beside_a_right_one("", "file:secret");
    let secret = SHOP.client_secret;
    fs::write(world.path("secret"), secret).unwrap();
    let token = world.run("token shop").ok();
    assert_eq!(world.run("token other").ok(), token);
    assert_eq!(world.token_requests(), 1);
}

#[test]
fn where_a_secret_cannot_be_read_the_state_is_unknown_and_the_command_goes_on() {
    let world = beside_a_right_one("", "file:nowhere");
    world.run("token shop").ok();
    let listed = world.run("list --format json").json();
    let listed = listed.as_array().unwrap();
    assert_eq!(finding(listed, "shop")["state"], "fresh");
    assert_eq!(finding(listed, "other")["state"], "unknown");
    let ran = world.run("forget other --format json");
    assert_eq!(error_of(&ran.stderr)["kind"], "store", "{ran:?}");
}

#[test]
fn a_list_runs_no_command_to_tell_whose_a_token_is() {
    let world = beside_a_right_one("", "cmd:touch ran");
    let listed = world.run("list --format json").json();
    assert_eq!(
        finding(listed.as_array().unwrap(), "other")["state"],
        "missing"
    );
    assert!(!world.path("ran").exists());
}

#[test]
fn a_shared_store_without_a_seal_is_told_of_in_one_line_and_gets_no_inline_secrets_token() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let store = format!("[store]\nkind = 'redis'\nurl = 'redis://{gone}'\n");
    let world = beside_a_right_one(&store, "wrong");
    for line in ["token shop", "check shop exports", "list"] {
        let ran = world.run(line);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{line}: {ran:?}");
        for word in ["warning", "seal", "client_id"] {
            assert!(ran.stderr.contains(word), "{ran:?}");
        }
    }
    assert_eq!(world.run("token shop --store file").stderr, "");
}

#[test]
fn a_secret_that_was_put_right_finds_what_it_fetched_before() {
    let world = beside_a_right_one("", "file:secret");
    let right = SHOP.client_secret;
    let token = |secret: &str| -> Ran {
        fs::write(world.path("secret"), secret).unwrap();
        world.run("token other")
    };
    let first = token(right).ok();
    token("wrong").failed(3);
    assert_eq!(token(right).ok(), first);
    assert_eq!(world.token_requests(), 2);
    assert!(Path::new(&world.path(".local/state/biped/identity.key")).exists());
}
