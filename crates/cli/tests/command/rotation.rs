//! Refresh tokens that the vendor replaces at each use: how they are seeded, shown and removed, and what
//! processes that are killed leave behind.
#![cfg(unix)]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::world::{Ran, World};

const SEAL: &str = "BIPED_SEAL_KEY";

/// A vendor that replaces refresh tokens, and revokes the account where an old one is used again.
struct Vendor {
    port: u16,
    account: Arc<(Mutex<Account>, Condvar)>,
}

#[derive(Default)]
struct Account {
    /// R-n is good.
    current: u64,
    revoked: bool,
    /// Whether it answers the latest replaced token once more.
    grace: bool,
    /// The tokens that were sent, in order.
    sent: Vec<u64>,
    /// Where a request is held until `released`.
    hold: Option<Hold>,
    held: bool,
    released: bool,
    /// How many connections are being served.
    active: usize,
    /// The port of the client that connected last.
    latest: u16,
}

/// Where a request is held.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Hold {
    BeforeReplacing,
    BeforeAnswering,
}

impl Vendor {
    fn start(grace: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let account = Account {
            grace,
            ..Account::default()
        };
        let account = Arc::new((Mutex::new(account), Condvar::new()));
        let of_thread = account.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let account = of_thread.clone();
                {
                    let mut account = account.0.lock().unwrap();
                    account.active += 1;
                    account.latest = stream.peer_addr().map_or(0, |it| it.port());
                }
                thread::spawn(move || {
                    answer(stream, &account);
                    account.0.lock().unwrap().active -= 1;
                    account.1.notify_all();
                });
            }
        });
        Self { port, account }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Account) -> T) -> T {
        let (account, changed) = &*self.account;
        let done = act(&mut account.lock().unwrap());
        changed.notify_all();
        done
    }

    fn hold(&self, at: Hold) {
        self.with(|account| {
            account.hold = Some(at);
            account.held = false;
            account.released = false;
        });
    }

    /// Waits until a request is held.
    fn wait_until_held(&self) {
        let (account, changed) = &*self.account;
        let account = account.lock().unwrap();
        drop(changed.wait_while(account, |it| !it.held).unwrap());
    }

    /// Releases what is held, and waits until it was answered: a request of a process that is gone is
    /// not seen by the next.
    fn release(&self) {
        self.with(|account| {
            account.hold = None;
            account.released = true;
        });
        // Connections are accepted in order, so this one comes after those of the process.
        let last = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let port = last.local_addr().unwrap().port();
        drop(last);
        let (account, changed) = &*self.account;
        let account = account.lock().unwrap();
        let is_busy = |it: &mut Account| it.latest != port || it.active > 0;
        drop(changed.wait_while(account, is_busy).unwrap());
    }
}

fn hold(account: &(Mutex<Account>, Condvar), at: Hold) {
    let (account, changed) = account;
    let mut account = account.lock().unwrap();
    if account.hold == Some(at) {
        account.held = true;
        changed.notify_all();
        drop(changed.wait_while(account, |it| !it.released).unwrap());
    }
}

fn answer(mut stream: TcpStream, account: &(Mutex<Account>, Condvar)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let body = String::from_utf8(body).unwrap();
    let mut fields = body.split('&');
    let token = fields.find_map(|field| field.strip_prefix("refresh_token=R-"));
    let number: u64 = token.unwrap().parse().unwrap();
    reply(&mut stream, account, number);
}

fn reply(stream: &mut TcpStream, account: &(Mutex<Account>, Condvar), number: u64) {
    hold(account, Hold::BeforeReplacing);
    let (status, answer) = {
        let mut account = account.0.lock().unwrap();
        account.sent.push(number);
        let is_retry = account.grace && number + 1 == account.current;
        if account.revoked || !(number == account.current || is_retry) {
            account.revoked = true;
            (400, json!({ "error": "invalid_grant" }))
        } else {
            account.current = number + 1;
            let next = format!("R-{}", number + 1);
            let answer = json!({
                "access_token": format!("t-{number}"), "expires_in": 3600, "refresh_token": next,
            });
            (200, answer)
        }
    };
    hold(account, Hold::BeforeAnswering);
    let answer = answer.to_string();
    let length = answer.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{answer}"
    );
}

fn world(vendor: &Vendor, keys: &str) -> World {
    let world = World::empty();
    world.write("biped.toml", &config(vendor, keys));
    world
}

fn config(vendor: &Vendor, keys: &str) -> String {
    let port = vendor.port;
    format!(
        "[store]\nkind = 'file'\npath = 'kept'\nseal = ['env:{SEAL}']\n\
         [providers.crm]\nkind = 'oauth2'\ntoken_endpoint = 'http://127.0.0.1:{port}/token'\n\
         client_id = 'c'\nclient_secret = 's'\ngrant = 'refresh_token'\n{keys}\n"
    )
}

fn run(world: &World, line: &str, stdin: Option<&str>) -> Ran {
    let mut child = spawn(world, line);
    if let Some(text) = stdin {
        child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }
    drop(child.stdin.take());
    Ran::of(child.wait_with_output().unwrap())
}

fn spawn(world: &World, line: &str) -> Child {
    let mut command = world.command(line.split_whitespace());
    command
        .env(SEAL, "ab".repeat(32))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn credential(world: &World) -> Value {
    let rows = run(world, "list --format json", None).json();
    rows[0]["credential"].clone()
}

#[test]
fn a_refresh_token_is_seeded_used_and_removed() {
    let vendor = Vendor::start(false);
    let world = world(&vendor, "");
    assert_eq!(credential(&world), Value::Null);
    let listed = run(&world, "list", None).ok();
    assert!(!listed.contains("REFRESH TOKEN"), "{listed}");
    let unseeded = run(&world, "token crm", None).failed(2);
    assert!(unseeded.contains("biped seed crm"), "{unseeded}");
    run(&world, "seed crm", Some("")).failed(2);
    run(&world, "seed crm", Some(" \n")).failed(2);
    assert_eq!(vendor.with(|it| it.sent.len()), 0);

    let seeded = run(&world, "seed crm", Some("R-0\n"));
    assert_eq!((seeded.status, &*seeded.stdout), (0, ""), "{seeded:?}");
    assert!(!seeded.stderr.contains("R-0"), "{seeded:?}");
    assert_eq!(run(&world, "token crm", None).ok(), "t-0\n");
    let shown = credential(&world);
    assert_eq!(
        (shown["state"].as_str(), shown["rotations"].as_u64()),
        (Some("ready"), Some(1))
    );
    assert!(shown["since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(run(&world, "token crm --fresh", None).ok(), "t-1\n");
    let checked = run(&world, "check crm", None).ok();
    assert!(checked.contains("ready since"), "{checked}");

    // Over one that is still good.
    run(&world, "seed crm", Some("R-9")).failed(2);
    vendor.with(|it| it.current = 9);
    run(&world, "seed crm --replace --no-check", Some("R-9\n")).ok();
    assert_eq!(vendor.with(|it| it.sent.clone()), [0, 1, 2]);
    assert_eq!(run(&world, "token crm", None).ok(), "t-9\n");

    run(&world, "forget crm", None).ok();
    assert_eq!(credential(&world)["state"], "ready");
    run(&world, "forget crm --credential", None).ok();
    assert_eq!(credential(&world), Value::Null);
    run(&world, "token crm", None).failed(2);
    run(&world, "seed crm", Some("R-9")).failed(2);
    assert_eq!(vendor.with(|it| it.sent.clone()), [0, 1, 2, 9]);
}

/// The person who pastes a refresh token takes longer than the command may.
#[test]
fn a_refresh_token_that_is_typed_slowly_is_stored_in_time() {
    let vendor = Vendor::start(false);
    let world = world(&vendor, "");
    // The input has to take longer than this, which must be enough for what follows on a busy machine.
    let limit = Duration::from_secs(8);
    let line = format!("--timeout {} seed crm", limit.as_secs());
    let mut child = spawn(&world, &line);
    let (_sender, never) = mpsc::channel::<()>();
    never.recv_timeout(limit).unwrap_err();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"R-0\n").unwrap();
    drop(stdin);
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(run(&world, "token crm", None).ok(), "t-0\n");
}

#[test]
fn a_refused_refresh_token_is_not_sent_again() {
    let vendor = Vendor::start(false);
    let world = world(&vendor, "refresh_token = 'R-5'");
    for _ in 0..3 {
        let refused = run(&world, "token crm", None).failed(3);
        assert!(refused.contains("biped seed crm"), "{refused}");
    }
    assert_eq!(vendor.with(|it| it.sent.clone()), [5]);
    assert_eq!(credential(&world)["state"], "refused");
    let listed = run(&world, "list", None).ok();
    assert!(
        listed.contains("REFRESH TOKEN") && listed.contains("refused"),
        "{listed}"
    );
    vendor.with(|it| it.revoked = false);
    run(&world, "seed crm", Some("R-0\n")).ok();
    assert_eq!(run(&world, "token crm", None).ok(), "t-0\n");
}

#[test]
fn the_stores_bytes_show_no_token_and_need_its_seal_key() {
    let vendor = Vendor::start(false);
    let world = world(&vendor, "refresh_token = 'R-0'");
    run(&world, "token crm", None).ok();
    let mut stored = 0;
    for file in std::fs::read_dir(world.path("kept")).unwrap() {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        stored += content.len();
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains("R-0") && !text.contains("R-1"), "{text}");
    }
    assert!(stored > 100, "there is something");
    // With another key, nothing is seeded anew.
    let mut command = world.command(["token", "crm", "--fresh"]);
    command.env(SEAL, "cd".repeat(32));
    let refused = Ran::of(command.output().unwrap()).failed(4);
    assert!(refused.contains("seal"), "{refused}");
    assert_eq!(vendor.with(|it| it.sent.clone()), [0]);
    // Nor without one.
    world.write(
        "biped.toml",
        &config(&vendor, "refresh_token = 'R-0'").replace("seal =", "# seal ="),
    );
    run(&world, "token crm --fresh", None).failed(2);
    assert_eq!(vendor.with(|it| it.sent.clone()), [0]);
}

#[test]
fn commands_at_once_send_one_request() {
    let vendor = Vendor::start(false);
    let world = world(&vendor, "refresh_token = 'R-0'");
    let running: Vec<_> = (0..4).map(|_| spawn(&world, "token crm")).collect();
    for child in running {
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!(ran.ok(), "t-0\n");
    }
    assert_eq!(vendor.with(|it| it.sent.clone()), [0]);
}

/// The configuration with a Redis instead of the file store.
fn in_redis(vendor: &Vendor, url: &str, more: &str) -> String {
    let redis = format!("kind = 'redis'\nurl = {url}\n{more}");
    config(vendor, "refresh_token = 'R-0'").replace("kind = 'file'\npath = 'kept'", &redis)
}

#[test]
fn a_redis_behind_sentinels_keeps_no_refresh_token_and_check_says_so() {
    let vendor = Vendor::start(false);
    let world = World::empty();
    let sentinels = in_redis(&vendor, "['redis://127.0.0.1:1']", "sentinel = 'mymaster'");
    world.write("biped.toml", &sentinels);
    for line in ["check crm", "token crm", "seed crm"] {
        let refused = run(&world, line, Some("R-0\n"));
        let words = format!("{}{}", refused.stdout, refused.stderr);
        assert_eq!(refused.status, 4, "{line}: {words}");
        let says_why = words.contains("sentinels") && words.contains("postgres");
        assert!(says_why, "{line}: {words}");
    }
    assert_eq!(vendor.with(|it| it.sent.len()), 0);
}

/// A Redis of the test's own.
struct Redis {
    port: u16,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Redis {
    fn start(appendfsync: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let directory = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--appendonly", "yes", "--appendfsync", appendfsync, "--dir"])
            .arg(directory.path())
            .stdout(Stdio::null());
        let child = command.spawn().unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::yield_now();
        }
        Self {
            port,
            child,
            _directory: directory,
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs a Redis: tests/live/run redis"]
fn a_redis_keeps_a_refresh_token_only_where_it_loses_none() {
    for (appendfsync, is_fit) in [("everysec", false), ("always", true)] {
        let (vendor, redis) = (Vendor::start(false), Redis::start(appendfsync));
        let world = World::empty();
        let url = format!("'redis://127.0.0.1:{}'", redis.port);
        world.write("biped.toml", &in_redis(&vendor, &url, ""));
        let checked = run(&world, "check crm", None);
        let words = format!("{}{}", checked.stdout, checked.stderr);
        if is_fit {
            assert_eq!(checked.status, 0, "{words}");
            assert_eq!(run(&world, "token crm --fresh", None).ok(), "t-1\n");
            assert_eq!(credential(&world)["rotations"], 2);
        } else {
            assert_eq!(checked.status, 4, "{words}");
            assert!(words.contains("appendfsync"), "{words}");
        }
        let sent: &[u64] = if is_fit { &[0, 1] } else { &[] };
        assert_eq!(vendor.with(|it| it.sent.clone()), sent);
    }
}

/// How often processes are killed; `tests/live/rotation/run` does so more often.
fn rounds() -> u64 {
    let wanted = std::env::var("BIPED_KILL_ROUNDS").ok();
    wanted.map_or(8, |wanted| wanted.parse().unwrap())
}

/// Kills a process at a point that the vendor knows, or after a while, and sees that the account is
/// still good.
#[test]
fn killed_processes_lose_no_account_at_a_vendor_with_a_grace_period() {
    let vendor = Vendor::start(true);
    let world = world(&vendor, "refresh_token = 'R-0'");
    run(&world, "token crm", None).ok();
    for round in 0..rounds() {
        kill_one(&vendor, &world, round);
        let before = vendor.with(|it| it.sent.len());
        let token = run(&world, "token crm --fresh", None).ok();
        let (last, sent) = vendor.with(|it| (it.current - 1, it.sent.len()));
        assert_eq!(token, format!("t-{last}\n"), "round {round}");
        assert_eq!(sent, before + 1, "round {round}");
    }
    assert!(!vendor.with(|it| it.revoked));
}

/// Without a grace period, an account is lost only with an answer, and the error says so.
#[test]
fn killed_processes_lose_an_account_only_with_its_answer() {
    let vendor = Vendor::start(false);
    let world = world(&vendor, "");
    run(&world, "seed crm", Some("R-0\n")).ok();
    let mut lost = 0;
    for round in 0..rounds() {
        let before = vendor.with(|it| it.current);
        kill_one(&vendor, &world, round);
        let had_answered = vendor.with(|it| it.current) > before;
        let ran = run(&world, "token crm --fresh", None);
        if ran.status == 0 {
            continue;
        }
        let refused = ran.failed(3);
        assert!(had_answered, "round {round}: {refused}");
        assert!(refused.contains("was lost"), "round {round}: {refused}");
        lost += 1;
        let next = vendor.with(|it| {
            it.revoked = false;
            it.current += 100;
            it.current
        });
        let seed = format!("R-{next}\n");
        run(&world, "seed crm", Some(&seed)).ok();
    }
    eprintln!("{lost} of {} accounts lost with their answers", rounds());
    // A token was sent twice where its answer was lost, and nowhere else.
    let mut sent = vendor.with(|it| it.sent.clone());
    let all = sent.len();
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(all - sent.len(), lost);
}

fn kill_one(vendor: &Vendor, world: &World, round: u64) {
    let points = [
        Some(Hold::BeforeReplacing),
        Some(Hold::BeforeAnswering),
        None,
        None,
    ];
    let point = points[usize::try_from(round % 4).unwrap()];
    if let Some(point) = point {
        vendor.hold(point);
    }
    let mut child = spawn(world, "token crm --fresh");
    match point {
        Some(_) => vendor.wait_until_held(),
        // Anywhere: before it has begun, while it writes, after it has ended.
        None => {
            let (_sender, never) = mpsc::channel::<()>();
            let moment = Duration::from_millis(5 + 7 * (round * 13 % 20));
            never.recv_timeout(moment).unwrap_err();
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    vendor.release();
}
