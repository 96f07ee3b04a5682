//! Tokens that outlive a command: the file store, which is the default, and the others.

use std::{fs, process::Stdio, time::Duration};

use biped_sandbox::{Effect, Fault};
use serde_json::Value;

use crate::world::{Ran, World, error_of};

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
fn only_what_connects_needs_the_platforms_certificates() {
    let world = World::new();
    let first = world.run("token shop").ok();
    let without = |line: &str| {
        let mut command = world.command(line.split(' '));
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            command.env(name, world.path("none"));
        }
        Ran::of(command.output().unwrap())
    };
    assert_eq!(without("token shop").ok(), first);
    assert_eq!(without("list").status, 0);
    // A command that does says what is missing, and so does the sidecar before its first call.
    for line in ["token shop --fresh", "serve --listen 127.0.0.1:0"] {
        let stderr = without(line).failed(2);
        assert!(stderr.contains("certificates"), "{line}: {stderr}");
    }
    assert_eq!(world.token_requests(), 1);
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
    let gone = "127.0.0.1:1";
    let config = world.sandbox().config_toml();
    let seal = "ab".repeat(32);
    let store =
        format!("[store]\nkind = 'redis'\nurl = 'redis://me:hunter2@{gone}'\nseal = '{seal}'\n");
    world.write("biped.toml", &(store + &config));
    let ran = world.run("token shop");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("sk-"), "{ran:?}");
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    for word in ["warning", "shop", gone, "refused"] {
        assert!(ran.stderr.contains(word), "{ran:?}");
    }
    let verbose = world.run("token shop -v");
    assert!(verbose.stderr.contains(gone), "{verbose:?}");
    // What is for programs has errors on stderr, and nothing else.
    let json = world.run("token shop --format json");
    assert_eq!((json.status, &*json.stderr), (0, ""), "{json:?}");

    world.run("token shop --store file").ok();
    world.run("token shop --store file").ok();
    assert_eq!(world.token_requests(), 4);
}

#[cfg(unix)]
#[test]
fn the_usual_place_is_made_private_again_and_one_that_was_named_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let open_to_all = |name: &str| {
        let directory = world.path(name);
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        directory
    };
    let usual = open_to_all(".local/state/biped");
    let ran = world.run("token shop");
    assert_eq!((ran.status, &*ran.stderr), (0, ""), "{ran:?}");
    let mode = usual.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o700);
    assert_eq!(tokens_in(&usual), 1);
    world.run("token shop").ok();
    assert_eq!(world.token_requests(), 1);

    let named = open_to_all("named");
    let config = world.sandbox().config_toml();
    let store = "[store]\nkind = 'file'\npath = 'named'\n";
    world.write("biped.toml", &format!("{store}{config}"));
    let ran = world.run("token shop");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("0777"), "{ran:?}");
    assert!(fs::read_dir(named).unwrap().next().is_none());
}

#[test]
fn twenty_commands_at_once_send_one_request() {
    let world = World::new();
    let start = |_| {
        let mut command = world.command(["token", "shop"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let running: Vec<_> = (0..20).map(start).collect();
    let tokens: Vec<_> = running
        .into_iter()
        .map(|child| Ran::of(child.wait_with_output().unwrap()).ok())
        .collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(world.token_requests(), 1);
}

#[test]
fn a_command_that_is_killed_in_the_middle_of_its_fetch_leaves_nothing_in_the_way() {
    let world = World::new();
    let slow = Fault::new(Effect::None).latency(Duration::from_secs(60));
    world.sandbox().fail_next(slow);
    let mut command = world.command(["token", "shop"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut killed = command.spawn().unwrap();
    while world.token_requests() == 0 {
        std::thread::yield_now();
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    world.run("token shop").ok();
    assert_eq!(world.token_requests(), 2);
    let left: Vec<_> = fs::read_dir(world.path(".local/state/biped"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "trust")
        .collect();
    assert_eq!(left.len(), 3, "the token, the key and the lock: {left:?}");
}

#[test]
fn a_seal_key_is_rotated_without_a_request_and_without_the_old_one_costs_one_and_a_warning() {
    let world = World::new();
    let (old, new) = ("ab".repeat(32), "cd".repeat(32));
    let token = |seal: &str| {
        let config = world.sandbox().config_toml();
        let store = format!("[store]\nkind = 'file'\nseal = {seal}\n");
        world.write("biped.toml", &(store + &config));
        let mut command = world.command(["token", "shop"]);
        command.env("OLD", &old).env("NEW", &new);
        Ran::of(command.output().unwrap())
    };
    let first = token("'env:OLD'").ok();
    for seal in ["['env:OLD', 'env:NEW']", "['env:NEW', 'env:OLD']"] {
        let ran = token(seal);
        assert_eq!((&ran.stdout, &*ran.stderr), (&first, ""), "{ran:?}");
    }
    assert_eq!(world.token_requests(), 1);

    let ran = token("'env:NEW'");
    assert_ne!(ran.stdout, first);
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    for word in ["warning", "key"] {
        assert!(ran.stderr.contains(word), "{ran:?}");
    }
    let second = ran.ok();
    assert_eq!(token("['env:NEW', 'env:OLD']").ok(), second);
    assert_eq!(world.token_requests(), 2);
}

#[cfg(unix)]
#[test]
fn what_is_no_stored_token_is_set_aside_with_a_warning() {
    let world = World::new();
    world.run("token shop").ok();
    let state = world.path(".local/state/biped");
    let files = fs::read_dir(&state).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let stored = paths.find(|path| path.extension().is_some_and(|it| it == "token"));
    fs::write(stored.unwrap(), "no token").unwrap();
    let ran = world.run("token shop");
    assert!(ran.stderr.contains("set aside"), "{ran:?}");
    let second = ran.ok();
    assert_eq!(world.run("token shop").ok(), second);
    assert_eq!(world.token_requests(), 2);
    // What is trusted has a directory of its own beside the tokens.
    let kept = fs::read_dir(&state)
        .unwrap()
        .any(|file| fs::read(file.unwrap().path()).is_ok_and(|it| it == b"no token"));
    assert!(kept);
}

#[test]
fn a_redis_without_its_url_is_a_configuration_error() {
    let world = World::new();
    let error: Value = world.run("token shop --store redis --format json").error(2);
    assert_eq!(error["kind"], "configuration");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("--store: store.url"), "{error}");
}

#[test]
fn what_needs_the_store_ends_with_status_4_where_it_fails_and_the_list_shows_the_rest() {
    let world = World::new();
    let config = world.sandbox().config_toml();
    let seal = "ab".repeat(32);
    let store = format!(
        "[store]\nkind = 'redis'\nurl = 'redis://me:hunter2@127.0.0.1:1'\nseal = '{seal}'\n"
    );
    world.write("biped.toml", &(store + &config));
    let list = world.run("list --format json");
    assert_eq!(list.status, 4, "{list:?}");
    let error = error_of(&list.stderr);
    assert_eq!(error["kind"], "store", "{error}");
    assert!(!list.stderr.contains("hunter2"), "{list:?}");
    let rows: Value = serde_json::from_str(&list.stdout).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() > 1, "{rows:?}");
    assert!(rows.iter().all(|row| row["state"] == "unknown"), "{rows:?}");

    let list = world.run("list");
    assert_eq!(list.status, 4, "{list:?}");
    assert_eq!(list.stderr.lines().count(), 1, "told once: {list:?}");
    assert_eq!(list.stdout.lines().count(), rows.len() + 1, "{list:?}");
    let error = world.run("forget shop --format json").error(4);
    assert_eq!(error["kind"], "store", "{error}");
}

fn tokens_in(directory: &std::path::Path) -> usize {
    let files = fs::read_dir(directory).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".token")).count()
}
