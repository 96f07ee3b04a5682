//! A biped.toml that happens to be in the working directory: whose it is, and whether it is trusted.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;

use crate::world::{Ran, World};

/// Changes the owner of a file to a user who is neither this one nor root. Only root can.
fn give_away(world: &World, name: &str) {
    std::os::unix::fs::lchown(world.path(name), Some(4242), Some(4242)).unwrap();
}

fn set_mode(world: &World, name: &str, mode: u32) {
    fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// A configuration whose secret a command prints, which leaves a mark when it runs.
fn with_command(world: &World) -> String {
    let mark = world.path("mark");
    let secret = toml_string(biped_sandbox::SHOP.client_secret);
    let script = format!(
        "touch {}; printf %s '{}'",
        mark.display(),
        biped_sandbox::SHOP.client_secret
    );
    let command = format!("{{ cmd = [\"sh\", \"-c\", {}] }}", toml_string(&script));
    let config = world.sandbox().config_toml();
    assert!(config.contains(&secret));
    config.replace(&secret, &command)
}

fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn ran(world: &World) -> bool {
    world.path("mark").exists()
}

/// The stderr of a command that failed because the file is not trusted.
#[track_caller]
fn untrusted(ran: Ran) {
    let told = ran.failed(2);
    for word in ["biped.toml", "biped trust", "--config"] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

/// Refused in every command that reads it, also in those that only show it, whether trusted or not.
#[track_caller]
fn refused(world: &World, words: &[&str]) {
    for line in ["list", "config show", "token shop", "check", "trust"] {
        let told = world.run(line).failed(2);
        for word in words.iter().chain(&["--config"]) {
            assert!(told.contains(word), "{line}: {word}: {told}");
        }
    }
    let error = world.run("token shop --format json").error(2);
    assert_eq!(error["kind"], "configuration");
    assert!(!ran(world));
    assert_eq!(world.token_requests(), 0);
}

#[test]
#[ignore = "needs root: tests/live/run root"]
fn a_file_of_another_user_is_refused_and_costs_a_warning_where_it_is_named() {
    let world = World::empty();
    world.write("biped.toml", &with_command(&world));
    give_away(&world, "biped.toml");
    refused(&world, &["4242", "0644", "chown"]);

    let named = world.run("--config biped.toml token shop");
    assert!(named.stderr.contains("4242"), "{named:?}");
    named.ok();
    assert!(ran(&world));
    let mut command = world.command(["token", "shop"]);
    let named = Ran::of(command.env("BIPED_CONFIG", "biped.toml").output().unwrap());
    assert!(named.stderr.contains("4242"), "{named:?}");
    named.ok();
}

#[test]
#[ignore = "needs root: tests/live/run root"]
fn a_link_of_another_user_is_refused() {
    let world = World::empty();
    world.write("mine.toml", &with_command(&world));
    std::os::unix::fs::symlink("mine.toml", world.path("biped.toml")).unwrap();
    world.run("trust").ok();
    world.run("token shop").ok();
    fs::remove_file(world.path("mark")).unwrap();
    give_away(&world, "biped.toml");
    let told = world.run("token shop").failed(2);
    assert!(told.contains("4242"), "{told}");
    assert!(!ran(&world));
}

#[test]
fn a_file_that_others_may_write_is_refused_and_costs_a_warning_where_it_is_named() {
    let world = World::empty();
    world.write("biped.toml", &with_command(&world));
    set_mode(&world, "biped.toml", 0o646);
    refused(&world, &["other users", "0646", "chmod"]);

    let named = world.run("--config biped.toml token shop");
    assert!(named.stderr.contains("0646"), "{named:?}");
    assert!(!named.stderr.contains("--config"), "{named:?}");
    named.ok();
    let json = world.run("--config biped.toml token shop --format json");
    assert_eq!((json.status, &*json.stderr), (0, ""), "{json:?}");
    // Reading is for all.
    set_mode(&world, "biped.toml", 0o644);
    assert_eq!(world.run("token shop").stderr, "");
}

#[test]
fn a_secret_file_that_others_can_write_costs_a_warning_and_one_that_they_can_read_none() {
    let world = World::empty();
    let config = world.sandbox().config_toml();
    let start = config.find("[providers.shop]").unwrap();
    let secret = biped_sandbox::SHOP.client_secret;
    world.write_untrusted("secret", secret);
    for reference in ["file:./secret", "file:${HOME}/secret"] {
        let shop = config[start..].replace(&toml_string(secret), &toml_string(reference));
        world.write("biped.toml", &shop);
        set_mode(&world, "secret", 0o646);
        let told = world.run("check shop").ok();
        let lines = told.lines().filter(|line| line.starts_with("  warning"));
        assert_eq!(lines.count(), 1, "{told}");
        for word in ["/secret ", "0646", "chmod o-w"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        set_mode(&world, "secret", 0o664);
        let told = world.run("check shop").ok();
        assert!(!told.contains("  warning"), "{told}");
    }
}

#[test]
#[ignore = "needs root: tests/live/run root"]
fn a_group_may_write_it_only_where_it_is_the_users_own_or_roots() {
    let world = World::empty();
    world.write("biped.toml", &with_command(&world));
    let group = |id| std::os::unix::fs::chown(world.path("biped.toml"), None, Some(id));
    group(4242).unwrap();
    set_mode(&world, "biped.toml", 0o664);
    refused(&world, &["the group 4242", "0664", "chmod"]);
    group(0).unwrap();
    world.run("token shop").ok();
}

#[test]
fn a_pipe_that_waits_for_a_writer_is_refused() {
    let world = World::empty();
    let made = std::process::Command::new("mkfifo")
        .arg(world.path("biped.toml"))
        .status();
    assert!(made.unwrap().success());
    let told = world.run("list").failed(2);
    assert!(told.contains("regular file"), "{told}");
}

const VENDOR: &str = "url = \"https://token.vendor.example/token\"\nauth = \"basic\"\n";

#[test]
fn a_vendors_file_is_judged_as_the_file_that_names_it() {
    let world = World::empty();
    let vendor = |url: &str| VENDOR.replace("https://token.vendor.example", url);
    fs::create_dir(world.path("vendors")).unwrap();
    world.write("vendors/mine.toml", &vendor("https://token.vendor.example"));
    let config = "[providers.mine]\nkind = 'dialect'\nfile = 'vendors/mine.toml'\nclient_id = 'a'\n\
                  client_secret = 'b'\n";
    world.write("biped.toml", config);
    let list = world.run("list").ok();
    assert!(list.contains("token.vendor.example"), "{list}");
    assert!(!list.contains("unknown"), "{list}");

    set_mode(&world, "vendors/mine.toml", 0o646);
    let told = world.run("list").failed(2);
    for word in ["vendors/mine.toml", "0646", "chmod"] {
        assert!(told.contains(word), "{told}");
    }
    let named = world.run("--config biped.toml list");
    assert!(named.stderr.contains("0646"), "{named:?}");
    named.ok();

    // It says where secrets go, so trust is of it as well.
    set_mode(&world, "vendors/mine.toml", 0o644);
    world.write("vendors/mine.toml", &vendor("https://evil.example"));
    untrusted(world.run("token mine"));
    assert!(world.run("list").ok().contains("unknown"));
}

#[test]
fn a_command_of_an_untrusted_file_is_not_run_until_it_is_trusted() {
    let world = World::empty();
    world.write_untrusted("biped.toml", &with_command(&world));
    for line in [
        "token shop",
        "token shop --fresh",
        "call shop GET /v1/orders",
        "exec shop -- true",
        "inspect shop",
        "check",
        "forget shop",
    ] {
        untrusted(world.run(line));
    }
    let error = world.run("token shop --format json").error(2);
    assert_eq!(error["kind"], "configuration");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("biped trust") && message.contains("--config"),
        "{error}"
    );
    for line in ["list", "config show", "vendors", "completions bash"] {
        world.run(line).ok();
    }
    assert!(!ran(&world));
    assert_eq!(world.token_requests(), 0);

    let told = world.run("trust").ok();
    assert!(told.contains("touch"), "{told}");
    assert!(told.contains(&world.sandbox().url().to_string()), "{told}");
    assert!(!ran(&world));
    world.run("token shop").ok();
    assert!(ran(&world));
}

#[test]
fn a_file_that_is_named_or_in_the_configuration_directory_needs_no_trust() {
    let world = World::empty();
    world.write_untrusted("biped.toml", &with_command(&world));
    world.run("--config biped.toml token shop").ok();
    let variable = |value: &str, line: &str| {
        let mut command = world.command(line.split(' '));
        Ran::of(command.env("BIPED_CONFIG", value).output().unwrap())
    };
    variable("biped.toml", "token shop").ok();
    untrusted(variable("", "token shop"));
    // The option goes ahead of the variable.
    variable("missing.toml", "--config biped.toml token shop").ok();
    variable("missing.toml", "token shop").failed(2);

    fs::create_dir_all(world.path(".config/biped")).unwrap();
    fs::rename(
        world.path("biped.toml"),
        world.path(".config/biped/biped.toml"),
    )
    .unwrap();
    world.run("token shop").ok();
}

/// A server that counts connections and sends no response.
fn counting() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = connection
                .unwrap()
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (url, count)
}

#[test]
fn a_cached_token_is_not_sent_to_the_address_of_an_untrusted_file() {
    let world = World::new();
    world.run("token shop").ok();
    let (url, count) = counting();
    let shop = "[providers.shop]";
    let mine = world.sandbox().config_toml();
    let theirs = mine.replace(shop, &format!("{shop}\napi_base_url = '{url}/'"));
    assert_ne!(mine, theirs);
    world.write_untrusted("biped.toml", &theirs);
    untrusted(world.run("call shop GET /v1/orders"));
    let stranger = format!("{url}/v1/orders");
    untrusted(world.run_words(["call", "shop", "GET", &stranger]));
    untrusted(world.run("exec shop -- true"));
    assert_eq!(count.load(Ordering::SeqCst), 0);

    // Its user says so.
    world.run("trust").ok();
    world.run_words(["call", "shop", "GET", &stranger]);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn trust_holds_while_nothing_changes_but_scopes_and_numbers() {
    let world = World::new();
    let config = world.sandbox().config_toml();
    let shop = "[providers.shop]";
    let write = |more: &str, rest: &str| {
        let text = config.replace(shop, &format!("{shop}\n{more}"));
        world.write_untrusted("biped.toml", &format!("# again\n{text}\n{rest}\n"));
    };
    for (more, rest) in [
        ("", ""),
        ("scope = 'orders'", ""),
        ("scope = ['orders', 'more']", ""),
        (
            "",
            "[engine]\nmax_wait = '9s'\n[http]\ntimeout = 20\nmax_body = 4096",
        ),
    ] {
        write(more, rest);
        world.run("token shop").ok();
    }
    for (more, rest) in [
        ("api_base_url = 'https://evil.example'", ""),
        ("token_endpoint = 'https://evil.example/token'", ""),
        ("", "[store]\nkind = 'redis'\nurl = 'redis://evil.example'"),
        ("", "[store]\nseal = 'env:HOME'"),
        ("", "[http]\nproxy = 'http://evil.example:3128'"),
        ("", "[http]\nextra_ca = ['file:evil.pem']"),
        (
            "",
            "[providers.new]\nkind = 'nobody-knows'\naddress = 'evil.example'",
        ),
        ("", "[providers.new]\nkind = 'nobody-knows'\nport = 8443"),
        ("", "[providers.new]\nkind = 'dialect'\nvendor = 'auth0'"),
    ] {
        write(more, rest);
        untrusted(world.run("token shop"));
    }
    write("", "");
    world.run("token shop").ok();

    let vendor = |domain: &str| {
        let params = format!(
            "params = {{ domain = '{domain}', audience = 'b' }}\nclient_id = 'a'\nclient_secret = 'b'\n"
        );
        write(
            "",
            &format!("[providers.new]\nkind = 'dialect'\nvendor = 'auth0'\n{params}"),
        );
    };
    vendor("mine.example");
    let told = world.run("trust").ok();
    assert!(told.contains("mine.example"), "{told}");
    vendor("evil.example");
    untrusted(world.run("token shop"));
    write("", "");
    world.run("trust").ok();

    // A secret by reference instead of the one that was there itself.
    let secret = toml_string(biped_sandbox::SHOP.client_secret);
    for reference in ["'env:HOME'", "'file:mine'", "'cmd:id'", "{ cmd = ['id'] }"] {
        world.write_untrusted("biped.toml", &config.replace(&secret, reference));
        untrusted(world.run("token shop"));
    }
    // Another secret there itself reaches nothing else.
    world.write_untrusted("biped.toml", &config.replace(&secret, "'another'"));
    world.run("token shop --fresh").failed(3);
    // The same under another name is another place.
    fs::create_dir(world.path("elsewhere")).unwrap();
    fs::rename(world.path("biped.toml"), world.path("elsewhere/biped.toml")).unwrap();
    let mut command = world.command(["token", "shop"]);
    untrusted(Ran::of(
        command
            .current_dir(world.path("elsewhere"))
            .output()
            .unwrap(),
    ));
}

#[test]
fn variables_neither_give_trust_nor_take_it() {
    let world = World::new();
    let token = |variable: &str, value: &str| {
        let mut command = world.command(["token", "shop"]);
        Ran::of(command.env(variable, value).output().unwrap())
    };
    token(
        "BIPED_PROVIDERS__SHOP__API_BASE_URL",
        "https://mine.example",
    )
    .ok();
    world.write_untrusted("biped.toml", &with_command(&world));
    untrusted(token(
        "BIPED_PROVIDERS__SHOP__CLIENT_SECRET",
        biped_sandbox::SHOP.client_secret,
    ));
    assert!(!ran(&world));
}

#[test]
fn an_untrusted_file_is_shown_with_nothing_resolved() {
    let world = World::empty();
    world.write_untrusted(
        "biped.toml",
        "[providers.shop]\nkind = 'envelope'\nbase_url = 'https://api.shop.example'\n\
         client_id = 'file:waits'\nclient_secret = 'env:HOME'\n\
         [store]\nkind = 'redis'\nurl = 'file:waits'\n[http]\nproxy = 'file:waits'\n\
         extra_ca = ['file:waits']\n",
    );
    // Reading it would wait forever.
    let made = std::process::Command::new("mkfifo")
        .arg(world.path("waits"))
        .status();
    assert!(made.unwrap().success());
    let rows = world.run("list --format json").json();
    assert_eq!(rows[0]["state"], "unknown");
    assert!(
        rows[0]["token_endpoint"]
            .as_str()
            .unwrap()
            .starts_with("https://api.shop.example/")
    );
    let list = world.run("list");
    assert!(list.stderr.contains("biped trust"), "{list:?}");
    let shown = world.run("config show").ok();
    assert!(shown.contains("file:waits"), "{shown}");
    world.run("trust").ok();
    assert!(!world.path(".local/state/biped/lock").exists());
}

#[test]
fn the_list_runs_no_command_of_a_trusted_file() {
    let world = World::empty();
    let config = with_command(&world);
    world.write("biped.toml", &config);
    let of_shop = |list: Value| {
        let rows = list.as_array().unwrap().clone();
        let row = rows.into_iter().find(|row| row["provider"] == "shop");
        row.unwrap()["state"].clone()
    };
    let state = || of_shop(world.run("list --format json").json());
    assert_eq!(state(), "missing");
    assert!(!ran(&world));
    world.run("token shop").ok();
    fs::remove_file(world.path("mark")).unwrap();
    assert_eq!(state(), "fresh");
    assert!(!ran(&world));

    // A variable opens the store, a command doesn't.
    let touch = format!(
        "{{ cmd = ['sh', '-c', 'touch {}; echo {}'] }}",
        world.path("mark").display(),
        "ab".repeat(32)
    );
    for (sealed, expected) in [("'env:SEAL'", "missing"), (&touch, "unknown")] {
        let store = format!("[store]\nkind = 'file'\npath = 'mine'\nseal = {sealed}\n");
        world.write("biped.toml", &(store + &config));
        let mut command = world.command(["list", "--format", "json"]);
        command.env("SEAL", "ab".repeat(32));
        let list = Ran::of(command.output().unwrap()).json();
        assert_eq!(of_shop(list), expected, "{sealed}");
    }
    // Nor is it a failure where what opens the store is not there.
    let store = "[store]\nkind = 'redis'\nurl = 'env:NOT_SET'\n";
    world.write("biped.toml", &(store.to_owned() + &config));
    let list = world.run("list");
    assert!(list.stderr.contains("NOT_SET"), "{list:?}");
    assert!(list.ok().contains("unknown"));
    for http in ["proxy", "extra_ca"] {
        world.write(
            "biped.toml",
            &format!("{config}\n[http]\n{http} = {touch}\n"),
        );
        world.run("list").ok();
    }
    assert!(!ran(&world));
}

#[test]
fn what_the_command_writes_is_trusted() {
    let world = World::empty();
    world.run("init").ok();
    let told = world.run("token shop").failed(2);
    assert!(!told.contains("biped trust"), "{told}");
    assert!(told.contains("SHOP_CLIENT_ID"), "{told}");

    let world = World::empty();
    let mut sandbox = world
        .command(["sandbox", "--write", "biped.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = [0];
    sandbox
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    let token = world.run("token shop");
    sandbox.kill().unwrap();
    sandbox.wait().unwrap();
    token.ok();
}

#[test]
fn a_umask_that_lets_a_group_write_makes_no_file_that_is_refused() {
    let world = World::empty();
    let output = std::process::Command::new("sh")
        .args(["-c", "umask 0; \"$BIPED\" init"])
        .current_dir(world.path(""))
        .env("HOME", world.path(""))
        .env("BIPED", env!("CARGO_BIN_EXE_biped"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    world.run("list").ok();
    let state = fs::metadata(world.path(".local/state/biped/trust")).unwrap();
    assert_eq!(state.permissions().mode() & 0o777, 0o700);
}

#[test]
fn trust_is_listed_and_taken_back() {
    let world = World::new();
    let listed = world.run("trust --list").ok();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.ends_with("/biped.toml\n"), "{listed}");
    world.run("token shop").ok();
    world.run("trust --revoke").ok();
    assert_eq!(world.run("trust --list").ok(), "");
    untrusted(world.run("token shop"));
    World::empty().run("trust").failed(2);
}

/// A terminal: what a person types and reads, and the side that the command has.
pub(crate) fn terminal() -> (fs::File, fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let command = fs::File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    (person.into(), command)
}

/// Runs a command line on a terminal, types `answer`, and returns what the terminal shows.
fn on_terminal(world: &World, line: &str, answer: &str) -> (Ran, String) {
    let (mut person, command_side) = terminal();
    person.write_all(answer.as_bytes()).unwrap();
    let mut command = world.command(line.split(' '));
    command
        .stdin(command_side.try_clone().unwrap())
        .stdout(Stdio::piped())
        .stderr(command_side.try_clone().unwrap());
    let child = command.spawn().unwrap();
    drop(command);
    let ran = Ran::of(child.wait_with_output().unwrap());
    // The end of what is shown: a terminal that is still open has none.
    (&command_side).write_all(b"\x04").unwrap();
    let mut shown = Vec::new();
    let mut byte = [0];
    while person.read(&mut byte).unwrap() == 1 && byte != [4] {
        shown.extend(byte);
    }
    (ran, String::from_utf8(shown).unwrap())
}

#[test]
fn on_a_terminal_the_command_asks() {
    let world = World::empty();
    let config = with_command(&world);
    world.write_untrusted("biped.toml", &config);
    let (no, shown) = on_terminal(&world, "token shop", "n\n");
    assert_eq!((no.status, &*no.stdout), (2, ""), "{shown}");
    let (json, shown_json) = on_terminal(&world, "token shop --format json", "y\n");
    assert_eq!((json.status, &*json.stdout), (2, ""), "{shown_json}");
    for word in ["not trusted", "touch", world.sandbox().url()] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert!(!ran(&world));

    let (yes, shown) = on_terminal(&world, "token shop", "y\n");
    assert_eq!(yes.status, 0, "{shown}");
    assert!(yes.stdout.starts_with("sk-"), "{yes:?}");
    assert!(ran(&world));
    world.run("token shop").ok();

    let changed = config.replace(
        "[providers.shop]",
        "[providers.shop]\napi_base_url = 'https://x.example'",
    );
    world.write_untrusted("biped.toml", &changed);
    let (_, shown) = on_terminal(&world, "token shop", "\n");
    assert!(
        shown.contains("changed") && shown.contains("https://x.example"),
        "{shown}"
    );
}
