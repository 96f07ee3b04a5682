//! The book's commands, against the sandbox as it says, and what people see when something is wrong.

use std::{fs, path::Path};

use crate::world::World;

fn chapter(name: &str) -> String {
    let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
    fs::read_to_string(docs.join(name)).unwrap()
}

#[test]
fn the_first_steps_work_as_written() {
    let world = World::new();
    world.write_untrusted("sandbox.toml", &world.sandbox().config_toml());
    let chapter = chapter("getting-started.md");
    let steps = chapter
        .lines()
        .filter_map(|line| line.strip_prefix("biped --config sandbox.toml "));
    let steps: Vec<_> = steps.collect();
    assert_eq!(steps.len(), 4, "{steps:?}");
    for step in steps {
        let printed = world.run(&format!("--config sandbox.toml {step}")).ok();
        assert!(!printed.is_empty(), "{step}");
    }
}

#[test]
fn what_a_person_sees_is_in_the_book() {
    let chapter = chapter("troubleshooting.md");
    // What the first cell of a row quotes.
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<Vec<&str>> = rows
        .map(|row| {
            let quoted = row.split('`').next().unwrap();
            quoted.split('…').map(str::trim).collect()
        })
        .collect();
    let mut found = Vec::new();
    let mut see = |shown: &str| {
        let matching = rows
            .iter()
            .position(|parts| parts.iter().all(|part| shown.contains(part)));
        found.push(matching.unwrap_or_else(|| panic!("no row says this: {shown}")));
    };

    let world = World::new();
    let config = world.sandbox().config_toml();
    let shop = &config[config.find("[providers.shop]").unwrap()..];
    let secret = shop.find("client_secret").unwrap();
    let (before, _) = shop.split_at(secret);
    let run = |entry: &str, status: i32| {
        world.write_untrusted("one.toml", entry);
        world.run("--config one.toml token shop").failed(status)
    };
    see(&run(&format!("{before}client_secrte = \"x\"\n"), 2));
    see(&run(before, 2));
    see(&run(
        &format!("{before}client_secret = \"env:NOT_THERE\"\n"),
        2,
    ));
    let elsewhere = shop.replace("127.0.0.1", "api.example");
    see(&run(&elsewhere, 2));
    see(&run(
        &format!("{before}client_secret = \"a-wrong-one\"\n"),
        3,
    ));
    let port = world.sandbox().url().rsplit(':').next().unwrap();
    see(&run(&shop.replace(port, "1"), 4));
    see(&world.run("token shpo").failed(2));
    see(&world
        .run("call shop GET https://other.example/v1/orders")
        .failed(2));
    let account = config.replace("project_id = 42\n", "");
    world.write_untrusted("account.toml", &account);
    see(&world.run("--config account.toml token exports").failed(3));

    let stranger = World::empty();
    stranger.write_untrusted("biped.toml", &config);
    see(&stranger.run("token shop").failed(2));

    found.sort_unstable();
    found.dedup();
    assert!(found.len() >= 9, "{found:?}");
}

#[test]
fn the_lines_of_a_new_vendor_and_of_a_new_store_are_as_the_book_says() {
    let world = World::empty();
    let book = chapter("vendors.md");
    for (what, name) in [("provider", "acme"), ("store", "ledger")] {
        world.run(&format!("new {what} {name}")).ok();
        let code = fs::read_to_string(world.path(name).join("src/lib.rs")).unwrap();
        let lines = code.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
        let stated = format!("{} lines of code", lines.count());
        let row = book
            .lines()
            .find(|line| line.contains(&format!("`biped new {what} NAME`")));
        assert!(row.unwrap().contains(&stated), "{what}: {stated}");
    }
}
