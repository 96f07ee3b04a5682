//! `biped serve`, `biped ready`, `biped exec --serve` and `biped token --write`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use crate::world::{Ran, World};

/// A command in a process of its own, killed when it is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    fn start(world: &World, arguments: &[&str]) -> Self {
        Self::of(world.command(arguments))
    }

    pub(crate) fn of(mut command: std::process::Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn status(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Far longer than an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The status and the body of an answer.
pub(crate) fn get(url: &str, path: &str, headers: &str) -> (u16, String) {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

#[test]
fn programs_call_the_vendors_through_it_until_it_is_told_to_stop() {
    let world = World::new();
    let mut running = Running::start(&world, &["serve", "--listen", "127.0.0.1:0"]);
    let url = running.line();
    world.run(&format!("ready --url {url} --wait 10")).ok();
    let (status, body) = get(&url, "/shop/v1/orders", "");
    assert_eq!(status, 200, "{body}");
    let (status, _) = get(&url, "/exports/v1/exports", "");
    assert_eq!(status, 200);
    // A token for each of the five providers, and none for the calls.
    assert_eq!(world.token_requests(), 5);
    let (status, _) = get(&url, "/-/token/shop", "Biped-Request: 1\r\n");
    assert_eq!(status, 404);
    #[cfg(unix)]
    {
        running.signal(rustix::process::Signal::TERM);
        assert_eq!(running.status(), 0);
        world.run(&format!("ready --url {url}")).failed(4);
    }
}

#[test]
fn the_status_and_the_page_show_no_query_of_a_token_endpoint() {
    let world = World::empty();
    world.write(
        "biped.toml",
        "[providers.crm]\nkind = 'oauth2'\ntoken_endpoint = 'http://127.0.0.1:1/token?api_key=planted'\n\
         client_id = 'a'\nclient_secret = 'b'\n",
    );
    let mut running = Running::start(&world, &["serve", "--listen", "127.0.0.1:0"]);
    let url = running.line();
    for path in ["/-/status", "/-/"] {
        let (status, body) = get(&url, path, "");
        assert_eq!(status, 200, "{body}");
        assert!(body.contains("http://127.0.0.1:1/token"), "{body}");
        assert!(!body.contains("planted"), "{path}: {body}");
    }
}

/// Calls on a connection that it keeps, and every third time on a new one, `count` times at least and until
/// `is_over`. Returns what went wrong.
#[cfg(unix)]
fn application(url: &str, count: u32, is_over: impl Fn() -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let host = url.strip_prefix("http://").unwrap();
    let head = format!("GET /shop/v1/orders HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut kept = None;
    let mut number = 0;
    while number < count || !is_over() {
        number += 1;
        if number % 3 == 0 {
            match get(url, "/shop/v1/orders", "") {
                (200, _) => {}
                other => wrong.push(format!("{other:?}")),
            }
            continue;
        }
        let mut stream: BufReader<TcpStream> = match kept.take() {
            Some(stream) => stream,
            None => BufReader::new(TcpStream::connect(host).unwrap()),
        };
        let mut answered = || -> std::io::Result<(String, bool)> {
            stream.get_mut().write_all(head.as_bytes())?;
            let (mut first, mut length, mut is_last) = (String::new(), 0, false);
            stream.read_line(&mut first)?;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line)?;
                let line = line.trim_end().to_ascii_lowercase();
                match line.split_once(": ") {
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    Some(("connection", "close")) => is_last = true,
                    Some(_) => {}
                    None => break,
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            Ok((first, is_last))
        };
        match answered() {
            Ok((first, is_last)) if first.starts_with("HTTP/1.1 200") => {
                kept = (!is_last).then_some(stream);
            }
            other => wrong.push(format!("{other:?}")),
        }
    }
    wrong
}

#[cfg(unix)]
#[test]
fn no_call_fails_while_the_application_goes_on_after_the_signal() {
    let world = World::new();
    let mut running = Running::start(&world, &["serve", "--listen", "127.0.0.1:0"]);
    let url = running.line();
    world.run(&format!("ready --url {url} --wait 10")).ok();
    let is_stopping = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (url, is_stopping) = (&url, &is_stopping);
        let applications: Vec<_> = (0..4)
            .map(|_| {
                // Until it was told to stop, and then for as many calls again.
                scope.spawn(move || {
                    let is_over = || is_stopping.load(std::sync::atomic::Ordering::SeqCst);
                    let mut wrong = application(url, 10, is_over);
                    wrong.extend(application(url, 50, || true));
                    wrong
                })
            })
            .collect();
        running.signal(rustix::process::Signal::TERM);
        while get(url, "/-/ready", "").0 != 503 {}
        is_stopping.store(true, std::sync::atomic::Ordering::SeqCst);
        for application in applications {
            assert_eq!(application.join().unwrap(), Vec::<String>::new());
        }
    });
    assert_eq!(running.status(), 0);
}

/// The unit of systemd allows no core file; without that limit one has the token in it.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_crashes_leaves_no_secret_in_a_core_file() {
    let unit = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../packaging/systemd/biped.service"
    );
    let unit = std::fs::read_to_string(unit).unwrap();
    let limit = unit
        .lines()
        .find_map(|line| line.strip_prefix("LimitCORE="));
    let limit = limit.unwrap().replace("infinity", "unlimited");

    let world = World::with(SECRET, "client_secret = \"env:SECRET_OF_SHOP\"");
    let script = format!("ulimit -c {limit}; exec \"$@\"");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_biped")])
        .args(["--config", "biped.toml", "serve", "--listen", "127.0.0.1:0"])
        .current_dir(world.path(""))
        .env("HOME", world.path(""))
        .env("SECRET_OF_SHOP", biped_sandbox::SHOP.client_secret);
    let mut running = Running::of(command);
    let url = running.line();
    world.run(&format!("ready --url {url} --wait 10")).ok();
    assert_eq!(get(&url, "/shop/v1/orders", "").0, 200);
    running.signal(rustix::process::Signal::ABORT);
    let status = running.child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(rustix::process::Signal::ABORT.as_raw())
    );
    let secret = biped_sandbox::SHOP.client_secret.as_bytes();
    for file in std::fs::read_dir(world.path("")).unwrap() {
        let path = file.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        let is_there = bytes.windows(secret.len()).any(|part| part == secret);
        assert!(!is_there, "{}", path.display());
    }
}

#[test]
fn what_is_counted_is_told_without_secrets_and_paths() {
    let world = World::new();
    let mut running = Running::start(&world, &["serve", "--listen", "127.0.0.1:0"]);
    let url = running.line();
    world.run(&format!("ready --url {url} --wait 10")).ok();
    assert_eq!(get(&url, "/shop/v1/orders?page=hidden-query", "").0, 200);
    assert_eq!(get(&url, "/nope/hidden-path", "").0, 404);
    let (status, text) = get(&url, "/-/metrics", "");
    assert_eq!(status, 200);
    for line in [
        "http_server_request_duration_seconds_bucket{biped_provider=\"shop\",http_request_method=\"GET\",\
         http_response_status_code=\"200\",le=\"0.005\"}",
        "http_client_request_duration_seconds_count{biped_provider=\"shop\",http_request_method=\"GET\",\
         http_response_status_code=\"200\",server_address=\"127.0.0.1\"} 1",
        "biped_serve_refused_total{reason=\"unknown-provider\"} 1",
        "biped_token_state{provider=\"shop\",state=\"fresh\"} 1",
        "biped_token_state{provider=\"shop\",state=\"missing\"} 0",
        "biped_fetches_total{provider=\"shop\",outcome=\"token\"} 1",
        "biped_config_last_reload_successful 1",
        "biped_build_info{version=\"",
        "biped_token_expiry_timestamp_seconds{provider=\"shop\"}",
        "http_server_active_requests{biped_provider=\"shop\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    for hidden in ["hidden", "orders", "sk-", biped_sandbox::SHOP.client_secret] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

#[test]
fn a_broken_configuration_ends_it_with_status_2() {
    let world = World::with("[providers.shop]", "[serve]\nnope = 1\n[providers.shop]");
    let told = world.run("serve --listen 127.0.0.1:0").failed(2);
    assert!(told.contains("serve.nope"), "{told}");
    let world = World::new();
    let told = world.run("serve --listen 0.0.0.0:0").failed(2);
    assert!(told.contains("0.0.0.0"), "{told}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let told = world.run(&format!("serve --listen {taken}")).failed(2);
    assert!(told.contains(&taken), "{told}");
    let told = world.run("ready --url ftp://x").failed(2);
    assert!(told.contains("--url"), "{told}");
    let secured = world.run("ready --url https://localhost:1").failed(2);
    assert!(secured.contains("probe_listen"), "{secured}");
}

#[test]
fn all_that_is_wrong_in_serve_is_told_at_once() {
    let serve = r#"
[serve]
listen = 7417
nope = 1
tokens = "sometimes"
threads = 0
max_head = "64 parsecs"
[serve.providers]
shop = true
orders = { allow = ["GET v1"] }
[[serve.callers]]
name = "a"
[[serve.callers]]
name = "b"
token = "env:CALLER"
[[serve.callers]]
name = "b"
token = "env:CALLER"
[providers.shop]"#;
    let world = World::with("[providers.shop]", serve);
    let told = world.run("serve --listen 127.0.0.1:0").failed(2);
    let expected = [
        "serve.listen: expected a string or a list of strings",
        "serve.nope: unknown key",
        "serve.tokens: expected true, false or \"any\"",
        "serve.threads: expected a whole number from 1 up",
        "serve.max_head: expected a whole number of bytes",
        "serve.providers.shop: expected a table; begin it with the line [serve.providers.shop]",
        "serve.providers.orders.allow: expected rules such as \"GET /v1/**\"",
        "serve.callers: expected one of token, certificate and uid",
        "serve.callers.name: another caller has this name",
        "serve.callers: another caller has the same token, certificate or uid",
    ];
    for words in expected {
        let line = told.lines().find(|line| line.contains(words));
        let line = line.unwrap_or_else(|| panic!("{words} is not in\n{told}"));
        assert!(line.contains("biped.toml:"), "{line}");
    }
    assert_eq!(
        told.matches("biped.toml:").count(),
        expected.len(),
        "{told}"
    );
}

#[test]
fn why_there_is_no_token_is_told_to_the_operator_unasked() {
    let world = World::new();
    let file = world.sandbox().config_toml();
    let at = file.find("[providers.shop]").unwrap();
    let secret = at + file[at..].find("client_secret").unwrap();
    let line = file[..secret].lines().count();
    let end = secret + file[secret..].find('\n').unwrap();
    let wrong = format!(
        "{}client_secret = \"wr0ng-s3cret\"{}",
        &file[..secret],
        &file[end..]
    );
    world.write_untrusted("biped.toml", &wrong);
    let mut command = world.command(["--config", "biped.toml", "serve", "--listen", "127.0.0.1:0"]);
    command.stderr(Stdio::piped());
    let mut running = Running::of(command);
    let url = running.line();
    assert_eq!(get(&url, "/shop/v1/orders", "").0, 502);
    let mut stderr = BufReader::new(running.child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("no token could be fetched") {
        told.clear();
        assert_ne!(stderr.read_line(&mut told).unwrap(), 0);
    }
    let once = "warning: shop: no token could be fetched: the vendor refused";
    assert!(told.starts_with(once), "{told}");
    assert!(told.contains("check the credentials (read from "), "{told}");
    assert!(told.contains(&format!("biped.toml:{}", line + 1)), "{told}");
    assert!(!told.contains("wr0ng-s3cret"), "{told}");
}

#[test]
fn a_caller_whose_token_cant_be_read_is_told_to_the_operator_unasked() {
    let world = World::new();
    let file = world.sandbox().config_toml();
    let callers = "[[serve.callers]]\nname = \"reports\"\ntoken = \"env:NOT_THERE\"\n";
    world.write_untrusted("biped.toml", &format!("{file}{callers}"));
    let mut command = world.command(["--config", "biped.toml", "serve", "--listen", "127.0.0.1:0"]);
    command.stderr(Stdio::piped());
    let mut running = Running::of(command);
    let mut told = BufReader::new(running.child.stderr.take().unwrap()).lines();
    let line = told.find_map(|line| line.ok().filter(|line| line.contains("reports")));
    let expected = "warning: the token of the caller reports can't be read: \
                    the environment variable NOT_THERE is not set";
    let line = line.unwrap();
    assert!(line.starts_with(expected), "{line}");
    assert!(line.contains("biped.toml:"), "{line}");
    running.line();
}

#[cfg(unix)]
#[test]
fn a_changed_configuration_is_read_again_at_a_hangup() {
    // One thread runs otherwise than several do.
    for threads in ["1", "2"] {
        read_again_at_a_hangup(threads);
    }
}

#[cfg(unix)]
fn read_again_at_a_hangup(threads: &str) {
    let world = World::new();
    let file = world.sandbox().config_toml();
    let mut command = world.command(["--config", "biped.toml", "serve", "--listen", "127.0.0.1:0"]);
    command.env("BIPED_SERVE__THREADS", threads);
    command.stderr(Stdio::piped());
    let mut running = Running::of(command);
    let mut stderr = BufReader::new(running.child.stderr.take().unwrap());
    let mut told = || {
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        line
    };
    let url = running.line();
    assert!(told().contains("may call"));
    world.run(&format!("ready --url {url} --wait 10")).ok();
    world.write_untrusted("biped.toml", "[serve]\nnope = 1\n");
    running.signal(rustix::process::Signal::HUP);
    while !told().contains("nope") {}
    world.write_untrusted("biped.toml", "# nothing\n");
    running.signal(rustix::process::Signal::HUP);
    while !told().contains("does not configure a provider") {}
    assert_eq!(get(&url, "/shop/v1/orders", "").0, 200);
    world.write_untrusted(
        "biped.toml",
        &file.replace("providers.shop]", "providers.store]"),
    );
    running.signal(rustix::process::Signal::HUP);
    while !told().contains("reloaded") {}
    assert_eq!(get(&url, "/shop/v1/orders", "").0, 404);
    assert_eq!(get(&url, "/store/v1/orders", "").0, 200);
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.status(), 0);
}

#[cfg(unix)]
#[test]
fn systemd_gives_the_listener_and_hears_how_it_goes() {
    use std::os::{fd::OwnedFd, unix::net::UnixDatagram};

    let world = World::new();
    let notified = UnixDatagram::bind(world.path("notify")).unwrap();
    let hear = || {
        let mut text = [0; 256];
        let length = notified.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // The third descriptor is the listener, as systemd passes it.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_biped")]);
    command
        .args(["--config", "biped.toml", "serve"])
        .current_dir(world.path(""))
        .env("HOME", world.path(""))
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "proxy")
        .env("NOTIFY_SOCKET", world.path("notify"))
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut running = Running { child, stdout };
    assert_eq!(running.line(), format!("http://{address}"));
    assert!(hear().contains("READY=1"));
    assert_eq!(get(&format!("http://{address}"), "/-/ready", "").0, 200);
    running.signal(rustix::process::Signal::HUP);
    let told = hear();
    assert!(
        told.contains("RELOADING=1") && told.contains("MONOTONIC_USEC="),
        "{told}"
    );
    assert!(hear().contains("READY=1"));
    running.signal(rustix::process::Signal::TERM);
    assert!(hear().contains("STOPPING=1"));
    assert_eq!(running.status(), 0);
}

#[cfg(unix)]
#[test]
fn a_socket_is_served_and_asked() {
    let world = World::new();
    let socket = world.path("biped.sock");
    let shown = format!("unix:{}", socket.display());
    let mut running = Running::start(&world, &["serve", "--listen", &shown]);
    assert_eq!(running.line(), shown);
    world
        .run(&format!("ready --socket {} --wait 10", socket.display()))
        .ok();
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.status(), 0);
    assert!(!socket.exists());
}

const SECRET: &str = "client_secret = \"k&1=4+%2Bq Zt;8/w?~\"";

const SHOW: &str = "printf '%s\\n' \"$SHOP_BASE_URL\" \"$SHOP_ACCESS_TOKEN\" \"${SHOP_EXPIRES_AT-unset}\" \
                    \"${SECRET_OF_SHOP-unset}\" \"${VAULT_TOKEN-unset}\" \"${SHOP_TOKEN_URL-unset}\"; \
                    read line; exit 7";

#[test]
fn a_command_gets_a_sidecar_of_its_own_and_no_token() {
    let world = World::with(SECRET, "client_secret = \"env:SECRET_OF_SHOP\"");
    let mut command = world.command([
        "--config",
        "biped.toml",
        "exec",
        "--serve",
        "--tokens",
        "shop",
        "--",
    ]);
    command
        .args(["sh", "-c", SHOW])
        .env("SECRET_OF_SHOP", biped_sandbox::SHOP.client_secret)
        .env("VAULT_TOKEN", "v")
        .env("SHOP_EXPIRES_AT", "old");
    let mut running = Running::of(command);
    let (base, caller) = (running.line(), running.line());
    assert_eq!(running.line(), "unset");
    assert_eq!(running.line(), "unset");
    assert_eq!(running.line(), "unset");
    let token_url = running.line();
    let (url, _) = base.rsplit_once('/').unwrap();
    assert_eq!(base, format!("{url}/shop"));
    assert_eq!(token_url, format!("{url}/-/oauth/shop/token"));
    assert_eq!(caller.len(), 64);
    let bearer = format!("Authorization: Bearer {caller}\r\n");
    assert_eq!(get(url, "/shop/v1/orders", &bearer).0, 200);
    assert_eq!(get(url, "/shop/v1/orders", "").0, 401);
    // The others are not served.
    assert_eq!(get(url, "/exports/v1/exports", &bearer).0, 404);
    running
        .child
        .stdin
        .take()
        .unwrap()
        .write_all(b"\n")
        .unwrap();
    assert_eq!(running.status(), 7);
}

#[test]
fn a_served_command_gets_no_variable_that_the_configuration_names() {
    let world = World::with(SECRET, "client_secret = \"env:shop.secret-key\"");
    let base = world.sandbox().url().to_owned();
    let config = std::fs::read_to_string(world.path("biped.toml")).unwrap();
    let more = format!(
        "\n[providers.crm]\nkind = 'envelope'\ntenant = '[a-z]+'\nbase_url = '{base}'\n\
         client_id = 'file:${{KEPT}}/id'\nclient_secret = \"\\u0065nv:CRM_{{tenant}}_SECRET\"\n\
         [providers.other]\nkind = 'envelope'\nbase_url = '{base}'\nclient_id = 'x'\n\
         client_secret = ['env:CREDS#/secret', '{PLANTED}']\n"
    );
    world.write("biped.toml", &(config + &more));
    let variables = [
        ("shop.secret-key", biped_sandbox::SHOP.client_secret),
        ("CRM_acme_SECRET", PLANTED),
        ("CREDS", "{\"secret\":\"pl4nted\"}"),
        ("BIPED_PROVIDERS__OTHER__CLIENT_ID", PLANTED),
        ("KEPT", "kept"),
        ("CRM_acme", "kept"),
    ];
    let mut command = world.command(["exec", "--serve", "shop", "--", "env"]);
    let ran = Ran::of(command.envs(variables).output().unwrap());
    let printed = ran.ok();
    let has = |name: &str| {
        let start = format!("{name}=");
        printed.lines().any(|line| line.starts_with(&start))
    };
    for (name, value) in variables {
        assert_eq!(has(name), value == "kept", "{name}: {printed}");
    }
    let mut command = world.command(["exec", "--serve", "--keep-env", "shop", "--", "env"]);
    let kept = Ran::of(command.envs(variables).output().unwrap()).ok();
    assert!(kept.contains("CRM_acme_SECRET="), "{kept}");
}

const PLANTED: &str = "pl4nted";

#[test]
fn a_selection_is_refused_where_a_sidecar_would_ignore_it() {
    let world = World::new();
    for (option, remedy) in [
        ("--scope read", "[providers.OTHER]"),
        ("--param project_id=43", "[providers.OTHER]"),
        ("--tenant acme", "Biped-Tenant: TENANT"),
    ] {
        let told = world
            .run(&format!("exec --serve {option} exports -- touch ran"))
            .failed(2);
        assert!(told.contains("--serve") && told.contains(remedy), "{told}");
    }
    assert!(!world.path("ran").exists());
    assert_eq!(world.token_requests(), 0);
}

#[test]
fn a_command_is_not_started_without_a_token() {
    let world = World::with(SECRET, "client_secret = \"wrong\"");
    world.run("exec --serve shop -- echo started").failed(3);
    let anyway = world.run("exec --serve --start-anyway shop -- echo started");
    assert_eq!(anyway.ok(), "started\n");
    world
        .run("exec --serve --start-anyway shop -- ./no-such-program")
        .failed(127);
    let mut world = World::new();
    world.stop_sandbox();
    world
        .run("--timeout 3 exec --serve shop -- echo started")
        .failed(4);
}

#[test]
fn a_refused_provider_sets_the_status_wherever_its_name_stands() {
    let world = World::with(SECRET, "client_secret = \"wrong\"");
    let config = std::fs::read_to_string(world.path("biped.toml")).unwrap();
    // Nothing listens at port 9 of this machine's loopback.
    let away = "[providers.away]\nkind = 'envelope'\nbase_url = 'http://127.0.0.1:9'\n\
                client_id = 'a'\nclient_secret = 'b'\n";
    world.write("biped.toml", &format!("{config}\n{away}"));
    for names in ["shop away exports", "away exports shop"] {
        let line = format!("exec --serve {names} -- echo started");
        let told = world.run(&line).failed(3);
        assert!(told.contains("shop") && told.contains("away"), "{told}");
        assert_eq!(told.matches("error:").count(), 2, "{told}");
        let json = line.replace("--serve", "--serve --format json");
        assert_eq!(world.run(&json).error(3)["provider"], "shop");
    }
}

#[test]
fn a_token_is_written_to_a_file_and_kept_there() {
    let world = World::new();
    world.run("token shop --write token").ok();
    let first = std::fs::read_to_string(world.path("token")).unwrap();
    assert!(first.starts_with("sk-") && !first.contains('\n'));
    world.run("token shop --write header --format header").ok();
    let header = std::fs::read_to_string(world.path("header")).unwrap();
    assert_eq!(header, format!("Authorization: Bearer {first}\n"));
    #[cfg(unix)]
    {
        let running = Running::start(&world, &["token", "shop", "--write", "kept", "--follow"]);
        let path = world.path("kept");
        while !path.exists() {
            std::thread::yield_now();
        }
        std::fs::remove_file(&path).unwrap();
        while !path.exists() {
            std::thread::yield_now();
        }
        running.signal(rustix::process::Signal::TERM);
        assert_eq!(running.status(), 0);
        assert!(path.exists());
    }
}

#[cfg(unix)]
#[test]
fn a_followed_token_is_asked_for_anew_at_the_start_if_that_is_wanted() {
    let world = World::new();
    let stored = world.run("token shop").ok();
    let line = "token shop --write kept --follow --fresh";
    let running = Running::start(&world, &line.split(' ').collect::<Vec<_>>());
    while !world.path("kept").exists() {
        std::thread::yield_now();
    }
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.status(), 0);
    let kept = std::fs::read_to_string(world.path("kept")).unwrap();
    assert_ne!(kept, stored.trim_end());
    assert_eq!(world.run("token shop").ok().trim_end(), kept);
    assert_eq!(world.token_requests(), 2);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_followed_token_while_its_vendor_is_silent() {
    // Accepts a connection, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::empty();
    let config = format!(
        "[providers.shop]\nkind = 'envelope'\nbase_url = 'http://{}'\nclient_id = 'a'\n\
         client_secret = 'b'\n",
        silent.local_addr().unwrap()
    );
    world.write("biped.toml", &config);
    let line = "token shop --write kept --follow";
    let running = Running::start(&world, &line.split(' ').collect::<Vec<_>>());
    let _connection = silent.accept().unwrap();
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.status(), 0);
    assert!(!world.path("kept").exists());
}

#[test]
fn the_view_in_the_terminal_is_reserved_and_the_page_takes_its_place() {
    let world = World::empty();
    for line in ["watch", "watch --url http://127.0.0.1:7417 --format json"] {
        let told = world.run(line).failed(2);
        assert!(
            told.contains("reserved") && told.contains("/-/events"),
            "{told}"
        );
    }
    assert!(!world.run("--help").ok().contains("watch"));
    let told = world.run("serve --forward").failed(2);
    assert!(told.contains("reserved"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_socket_needs_a_path() {
    let world = World::new();
    let told = world.run_words(["serve", "--listen", "unix:"]).failed(2);
    assert!(told.contains("unix:PATH"), "{told}");
}

/// Sends signals as soon as it can, so that they come while the command starts.
#[cfg(unix)]
#[test]
fn a_signal_that_comes_early_reaches_the_command() {
    let world = World::new();
    for _ in 0..5 {
        let script = "trap 'exit 9' HUP; kill -HUP $PPID; while :; do sleep 1; done";
        let line = [
            "--store",
            "memory",
            "exec",
            "--serve",
            "--start-anyway",
            "shop",
            "--",
        ];
        let command = world.command(line.iter().chain(&["sh", "-c", script]).copied());
        assert_eq!(Running::of(command).status(), 9);
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs root, as tests/live/run root has it"]
fn the_first_process_of_a_container_waits_for_orphans() {
    let world = World::new();
    let mut command = std::process::Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]);
    let biped = world.command([
        "exec",
        "--serve",
        "shop",
        "--",
        "sh",
        "-c",
        "orphan=$(sh -c 'true >/dev/null & echo $!'); \
         while [ -e /proc/$orphan ]; do sleep 0.01; done; echo $PPID; exit 7",
    ]);
    command.arg(biped.get_program()).args(biped.get_args());
    if let Some(directory) = biped.get_current_dir() {
        command.current_dir(directory);
    }
    let variables = biped
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let ran = command
        .env_clear()
        .envs(variables)
        .env("PATH", std::env::var_os("PATH").unwrap());
    let ran = ran.output().unwrap();
    assert_eq!(ran.status.code(), Some(7), "{ran:?}");
}
