//! `biped sandbox`.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use biped::provider::{Clock, SystemClock};

use crate::world::{World, left_of};

/// A sandbox in a process of its own, killed when it is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it, and returns once it has told its three addresses.
    fn start(world: &World, arguments: &[&str]) -> (Self, Vec<String>) {
        let (running, lines) = Self::telling(world, arguments, 3);
        let urls = lines.iter().map(|line| line.split_whitespace().next());
        (running, urls.map(|url| url.unwrap().to_owned()).collect())
    }

    /// Starts it, and returns its first lines.
    pub(crate) fn telling(world: &World, arguments: &[&str], lines: usize) -> (Self, Vec<String>) {
        let mut child = world
            .command(["sandbox"].iter().chain(arguments))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = stdout.lines().take(lines).map(Result::unwrap);
        let lines = lines.collect();
        (Self(child), lines)
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
        shell(&world, "", &format!("\"$BIPED\" {arguments}"));
    }
}

/// Runs a script that starts with these lines, and returns what it prints.
fn shell(world: &World, first: &str, script: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", &format!("{first}\n{script}")])
        .current_dir(world.path(""))
        .env("HOME", world.path(""))
        .env("BIPED", env!("CARGO_BIN_EXE_biped"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What `sandbox --platform` prints after its four addresses: the variables of four platforms.
fn variables(lines: &[String]) -> Vec<String> {
    let blocks = lines[4..].join("\n");
    blocks.split("\n\n").map(Into::into).collect()
}

/// The lines that `sandbox --platform` prints.
const LINES: usize = 22;

#[test]
fn every_platform_has_an_entry_that_works() {
    let world = World::empty();
    let (_running, lines) =
        Running::telling(&world, &["--platform", "--write", "biped.toml"], LINES);
    let variables = lines[4..].join("\n");
    let names = shell(&world, &variables, "\"$BIPED\" list --format json");
    let names: Vec<serde_json::Value> = serde_json::from_str(&names).unwrap();
    assert_eq!(names.len(), 5 + 21, "{names:?}");

    let checked = shell(&world, &variables, "\"$BIPED\" check --format json");
    let checked: Vec<serde_json::Value> = serde_json::from_str(&checked).unwrap();
    for found in &checked {
        assert_eq!(found["ok"], true, "{found}");
        assert_eq!(
            found["warnings"].as_array().map_or(0, Vec::len),
            0,
            "{found}"
        );
    }
    let proofs = checked
        .iter()
        .filter(|found| found["proof"]["method"].is_string());
    assert_eq!(proofs.count(), 21);
    assert_eq!(checked.len(), names.len());

    let file = std::fs::read_to_string(world.path("biped.toml")).unwrap();
    let calls = file
        .lines()
        .filter_map(|line| line.strip_prefix("#   biped "));
    let calls: Vec<_> = calls.collect();
    assert_eq!(calls.len(), names.len());
    let calls = calls.iter().map(|call| format!("\"$BIPED\" {call}\n"));
    let said = shell(
        &world,
        &variables,
        &format!("set -e\n{}", calls.collect::<String>()),
    );
    for platform in ["github", "kubernetes", "gcp", "azure", "spiffe", "any"] {
        assert!(
            said.contains(&format!("\"platform\":\"{platform}\"")),
            "{platform}: {said}"
        );
    }
}

#[test]
fn each_platforms_variables_are_enough_for_its_entry() {
    let world = World::empty();
    let (_running, lines) =
        Running::telling(&world, &["--platform", "--write", "biped.toml"], LINES);
    let blocks = variables(&lines);
    assert_eq!(blocks.len(), 4, "{blocks:?}");
    for block in blocks {
        let entry = block
            .lines()
            .find_map(|line| line.split("the entry ").nth(1));
        let entry = entry.unwrap_or_else(|| panic!("{block}"));
        let script = format!(
            "set -e\n\"$BIPED\" identity {entry} --format json\n\"$BIPED\" token {entry} >token\n\
             \"$BIPED\" call {entry} GET /hello"
        );
        let said = shell(&world, &block, &script);
        let platform = entry.split('-').next().unwrap();
        assert!(
            said.contains(&format!("\"source\":\"{platform}\"")),
            "{said}"
        );
    }
}

/// Asks the platforms for something that a test or a person wants, and returns the response's body.
fn ask(platforms: &str, path: &str) -> String {
    let host = platforms.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{answer}");
    body.to_owned()
}

#[test]
fn a_refresh_token_rotates_by_the_file_written() {
    let world = World::empty();
    let (_running, lines) =
        Running::telling(&world, &["--platform", "--write", "biped.toml"], LINES);
    let platforms = lines[3].split_whitespace().next().unwrap();
    let state_of = |name: &str| {
        let all = world.run("list --format json").json();
        let all = all.as_array().unwrap().clone();
        let entry = all.into_iter().find(|it| it["provider"] == name).unwrap();
        entry["credential"].clone()
    };
    for name in ["rotating", "rotating-grace"] {
        for count in 1..=3 {
            world.run(&format!("token {name} --fresh")).ok();
            let credential = state_of(name);
            assert_eq!(credential["state"], "ready", "{credential}");
            assert_eq!(credential["rotations"], count, "{credential}");
        }
        assert!(
            world
                .run(&format!("call {name} GET /hello"))
                .ok()
                .contains(name)
        );
    }

    // A lost answer: the server with a grace period forgives it, and the other has lost the account.
    ask(platforms, "/issuer/_sandbox/lose-answer");
    world.run("token rotating-grace --fresh").ok();
    ask(platforms, "/issuer/_sandbox/lose-answer");
    let lost = world.run("token rotating --fresh").failed(3);
    assert!(lost.contains("was lost"), "{lost}");
    assert_eq!(state_of("rotating")["state"], "refused");
    // The vendor's words come first in JSON, and what they leave out follows.
    let error = world.run("token rotating --fresh --format json").error(3);
    assert_eq!(error["code"], "invalid_grant");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("the answer to the refresh of "),
        "{message}"
    );
    assert!(message.contains("biped seed rotating"), "{message}");

    // A person's new consent.
    let seed = ask(platforms, "/issuer/_sandbox/consent/rotating");
    let seeded = world.feed("seed rotating", seed.as_bytes());
    assert_eq!((seeded.status, &*seeded.stdout), (0, ""), "{seeded:?}");
    world.run("token rotating --fresh").ok();
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
    let (_running, urls) = Running::start(&world, &["--write", "b.toml", "--lifetime", "5000"]);
    assert_eq!(urls.len(), 3);
    for name in [
        "exports",
        "exports-us",
        "enrichment",
        "speed-analysis",
        "shop",
    ] {
        let started = SystemClock.now().mono;
        let token = world
            .run(&format!("--config b.toml token {name} --format json"))
            .json();
        let left = token["expires_in"].as_i64().unwrap();
        assert!(left_of(5000, started).contains(&left), "{token}");
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

/// The directories of sandboxes among the temporary files of this world.
#[cfg(unix)]
fn directories(world: &World) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(world.path("tmp")).unwrap();
    all.map(|entry| entry.unwrap().path()).collect()
}

#[cfg(unix)]
#[test]
fn a_sandbox_that_is_killed_leaves_nothing_behind_for_long() {
    let world = World::empty();
    std::fs::create_dir(world.path("tmp")).unwrap();
    let start = || {
        let mut child = world
            .command(["sandbox", "--platform", "--port", "0"])
            .env("TMPDIR", world.path("tmp"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut first).unwrap();
        (Running(child), stdout)
    };
    let (running, _stdout) = start();
    let (killed, _) = start();
    assert_eq!(directories(&world).len(), 2);
    drop(killed);
    let left = directories(&world);
    assert_eq!(left.len(), 2, "a killed process removes nothing: {left:?}");
    let (next, _stdout) = start();
    let now = directories(&world);
    assert_eq!(now.len(), 2, "{now:?}");
    assert_ne!(left, now);
    drop((running, next));
}
