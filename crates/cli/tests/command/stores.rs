//! Tokens that outlive a command: the file store, which is the default, and the others.

use std::{fs, net::TcpListener, process::Stdio};

use serde_json::Value;

use crate::world::{Ran, World};

fn state(world: &World, name: &str) -> String {
    let list = world.run("list --format json").json();
    let rows = list.as_array().unwrap().clone();
    let row = rows.into_iter().find(|row| row["provider"] == name);
    row.unwrap()["state"].as_str().unwrap().to_owned()
}

#[test]
fn the_second_token_within_a_lifetime_sends_nothing() {
    let world = World::new();
    let first = world.run("token shop").ok();
    assert_eq!(world.token_requests(), 1);
    assert_eq!(world.run("token shop").ok(), first);
    world.run("call shop GET /v1/orders").ok();
    world.run("exec shop -- true").ok();
    assert_eq!(world.token_requests(), 1);
}

#[test]
fn two_commands_at_once_send_one_request() {
    let world = World::new();
    for (round, name) in (1..).zip(["shop", "exports", "enrichment"]) {
        let start = || {
            let mut command = world.command(["token", name]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let running = [start(), start(), start()];
        let tokens = running.map(|child| Ran::of(child.wait_with_output().unwrap()).ok());
        assert!(tokens.iter().all(|token| *token == tokens[0]));
        assert_eq!(world.token_requests(), round);
    }
}

#[test]
fn the_list_shows_what_is_stored_and_forget_removes_it() {
    let world = World::new();
    assert_eq!(state(&world, "shop"), "missing");
    let first = world.run("token shop").ok();
    assert_eq!(state(&world, "shop"), "fresh");
    assert_eq!(state(&world, "exports"), "missing");
    world.run("forget shop").ok();
    assert_eq!(state(&world, "shop"), "missing");
    assert_ne!(world.run("token shop").ok(), first);
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn a_fresh_token_takes_the_place_of_the_stored_one() {
    let world = World::new();
    let first = world.run("token shop").ok();
    let second = world.run("token shop --fresh").ok();
    assert_ne!(first, second);
    assert_eq!(world.run("token shop").ok(), second);
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn a_rejected_token_is_not_served_to_the_next_command() {
    let world = World::new();
    let first = world.run("token shop").ok();
    world
        .sandbox()
        .revoke_tokens(&biped_sandbox::KeyFilter::all());
    world.run("call shop GET /v1/orders").ok();
    assert_eq!(world.token_requests(), 2);
    assert_ne!(world.run("token shop").ok(), first);
    assert_eq!(world.token_requests(), 2);
}

#[test]
fn a_secret_that_was_put_right_works_at_once() {
    let world = World::with("k&1=4+%2Bq", "wrong");
    world.run("token shop").failed(3);
    world.write("biped.toml", &world.sandbox().config_toml());
    world.run("token shop").ok();
}

#[test]
fn memory_keeps_nothing_beyond_the_command() {
    let world = World::new();
    world.run("token shop --store memory").ok();
    world.run("token shop --store memory").ok();
    assert_eq!(world.token_requests(), 2);
    assert_eq!(state(&world, "shop"), "missing");
}

#[test]
fn tokens_are_in_the_state_directory_or_where_the_configuration_says() {
    let world = World::new();
    world.run("token shop").ok();
    let state = world.path(".local/state/biped");
    assert_eq!(tokens_in(&state), 1);

    let config = world.sandbox().config_toml();
    let seal = "seal = ['env:BIPED_SEAL_KEY']";
    world.write(
        "biped.toml",
        &format!("[store]\nkind = 'file'\npath = 'mine'\n{seal}\n{config}"),
    );
    let mut command = world.command(["token", "shop"]);
    command.env("BIPED_SEAL_KEY", "ab".repeat(32));
    let token = Ran::of(command.output().unwrap()).ok();
    assert_eq!(tokens_in(&world.path("mine")), 1);
    for file in fs::read_dir(world.path("mine")).unwrap() {
        let content = fs::read(file.unwrap().path()).unwrap();
        let pieces = content.windows(8);
        assert!(
            pieces
                .into_iter()
                .all(|piece| !token.as_bytes().starts_with(piece))
        );
    }
    assert_eq!(world.token_requests(), 2);
    world.run("token shop").failed(2);
}

#[test]
fn a_store_that_cannot_be_used_costs_a_warning_and_no_token() {
    let world = World::new();
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = world.sandbox().config_toml();
    let store = format!("[store]\nkind = 'redis'\nurl = 'redis://me:hunter2@{gone}'\n");
    world.write("biped.toml", &(store + &config));
    let ran = world.run("token shop");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("sk-"), "{ran:?}");
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    let verbose = world.run("token shop -v");
    assert!(verbose.stderr.contains(&gone.to_string()), "{verbose:?}");

    world.run("token shop --store file").ok();
    world.run("token shop --store file").ok();
    assert_eq!(world.token_requests(), 3);
}

#[test]
fn a_redis_without_its_url_is_a_configuration_error() {
    let world = World::new();
    let error: Value = world.run("token shop --store redis --format json").error(2);
    assert_eq!(error["kind"], "configuration");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("--store: store.url"), "{error}");
}

fn tokens_in(directory: &std::path::Path) -> usize {
    let files = fs::read_dir(directory).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".token")).count()
}
