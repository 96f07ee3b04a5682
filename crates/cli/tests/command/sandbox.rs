//! `biped sandbox`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::world::World;

/// A sandbox in a process of its own, killed when it is dropped.
struct Running(Child);

impl Running {
    /// Starts it, and returns once it has told its three addresses.
    fn start(world: &World, arguments: &[&str]) -> (Self, Vec<String>) {
        let mut child = world
            .command(["sandbox"].iter().chain(arguments))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = stdout.lines().take(3).map(Result::unwrap);
        let urls = lines.map(|line| line.split_whitespace().next().unwrap().to_owned());
        let urls = urls.collect();
        (Self(child), urls)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_calls_that_the_file_written_shows_can_be_made() {
    let world = World::empty();
    let (_running, _) = Running::start(&world, &["--write", "biped.toml"]);
    let file = std::fs::read_to_string(world.path("biped.toml")).unwrap();
    let shown = file
        .lines()
        .filter_map(|line| line.strip_prefix("#   biped "));
    let shown: Vec<_> = shown.collect();
    assert_eq!(shown.len(), 5, "{shown:?}");
    for arguments in shown {
        let output = Command::new("sh")
            .args(["-c", &format!("\"$BIPED\" {arguments}")])
            .current_dir(world.path(""))
            .env("HOME", world.path(""))
            .env("BIPED", env!("CARGO_BIN_EXE_biped"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments}: {output:?}");
    }
}

#[test]
fn the_readmes_commands_work_as_they_stand() {
    let world = World::empty();
    let (_running, _) = Running::start(&world, &["--write", "b.toml"]);
    let readme = include_str!("../../../../README.md");
    let commands = readme.lines().filter_map(|line| {
        let command = line.strip_prefix("biped --config ")?;
        Some(format!("--config {}", command.split('#').next()?))
    });
    let commands: Vec<_> = commands.collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for command in commands {
        assert_ne!(world.run(&command).ok(), "", "{command}");
    }
}

#[test]
fn the_entries_of_the_file_written_work_at_once() {
    let world = World::empty();
    let (_running, urls) = Running::start(&world, &["--write", "b.toml", "--lifetime", "50"]);
    assert_eq!(urls.len(), 3);
    for name in [
        "exports",
        "exports-us",
        "enrichment",
        "speed-analysis",
        "shop",
    ] {
        let token = world
            .run(&format!("--config b.toml token {name} --format json"))
            .json();
        assert!(
            (40..50).contains(&token["expires_in"].as_i64().unwrap()),
            "{token}"
        );
    }
    let body = world
        .run("--config b.toml call exports GET /v1/exports")
        .ok();
    assert!(body.contains("payload"), "{body}");
}

#[test]
fn an_interrupt_ends_it_well() {
    let world = World::empty();
    for signal in ["-INT", "-TERM"] {
        let (mut running, _) = Running::start(&world, &[]);
        let id = running.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(running.0.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn its_own_file_is_replaced_and_nobody_elses() {
    let world = World::empty();
    world.write("b.toml", "# mine\n");
    world.run("sandbox --write b.toml").failed(2);
    assert_eq!(
        std::fs::read_to_string(world.path("b.toml")).unwrap(),
        "# mine\n"
    );
    world.run("sandbox --write no/such/b.toml").failed(2);

    drop(Running::start(&world, &["--write", "c.toml"]));
    let (_running, urls) = Running::start(&world, &["--write", "c.toml"]);
    assert!(
        std::fs::read_to_string(world.path("c.toml"))
            .unwrap()
            .contains(&urls[0])
    );
}

#[test]
fn ports_follow_the_one_that_is_given() {
    let world = World::empty();
    // Any three in a row that are free at the moment; another process may take one before us.
    let found = (0..20).find_map(|_| {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port().checked_sub(3)?;
        let (running, urls) = Running::start(&world, &["--port", &port.to_string()]);
        (urls.len() == 3).then_some((running, urls, port))
    });
    let (_running, urls, port) = found.unwrap();
    let expected: Vec<_> = (port..)
        .take(3)
        .map(|port| format!("http://127.0.0.1:{port}"))
        .collect();
    assert_eq!(urls, expected);
    // It is taken now.
    let ran = world.run(&format!("sandbox --port {port}"));
    assert!(ran.failed(2).contains(&port.to_string()));
}

#[test]
fn what_is_no_port_or_lifetime_is_a_usage_error() {
    let world = World::empty();
    for line in [
        "--port 65535",
        "--port 70000",
        "--lifetime 0",
        "--lifetime x",
    ] {
        world.run(&format!("sandbox {line}")).failed(2);
    }
}
