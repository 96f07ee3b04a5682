//! A secret that was planted is never seen again, whatever fails.

use biped_sandbox::{Effect, Fault};

use crate::world::{Ran, World};

const PLANTED: &str = "pl4nted-S3cret";

#[track_caller]
fn shows_nothing(what: &str, ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("pl4nted"), "{what}: {ran:?}");
    }
}

/// Runs a failing command in every manner of telling.
fn fails(world: &World, line: &str) {
    for how in ["", "-v", "-vv", "--format json", "-v --format json"] {
        let line = format!("{line} {how}");
        let ran = world.run(&line);
        assert_ne!(ran.status, 0, "{line}: {ran:?}");
        shows_nothing(&line, &ran);
    }
}

fn planted() -> World {
    let world = World::new();
    let mut config = world.sandbox().config_toml();
    for of in [
        biped_sandbox::ACCOUNT,
        biped_sandbox::PROJECT,
        biped_sandbox::SHOP,
    ] {
        let quoted = toml_string(of.client_secret);
        assert!(config.contains(&quoted));
        config = config.replace(&quoted, &format!("{PLANTED:?}"));
    }
    world.write("biped.toml", &config);
    world
}

fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn a_refused_secret_is_not_shown() {
    let world = planted();
    for line in [
        "token exports",
        "token shop",
        "token shop --fresh",
        "inspect exports",
        "check",
        "call exports GET /v1/exports",
        "call shop POST /v1/orders -d {}",
    ] {
        fails(&world, line);
    }
    let ran = world.run("exec shop -v -- true");
    assert_ne!(ran.status, 0);
    shows_nothing("exec", &ran);
    shows_nothing("config show", &world.run("config show"));
    shows_nothing("list", &world.run("list -vv"));
}

#[test]
fn an_answer_gone_wrong_shows_no_secret() {
    let world = planted();
    for effect in [
        Effect::Status(500),
        Effect::Reset,
        Effect::Html,
        Effect::Empty,
    ] {
        world.sandbox().clear_faults();
        world.sandbox().fail_next(Fault::new(effect).times(1000));
        fails(&world, "token shop --timeout 2");
        fails(&world, "inspect exports --timeout 2");
    }
}

#[test]
fn a_vendor_that_is_gone_shows_no_secret() {
    let mut world = planted();
    world.stop_sandbox();
    fails(&world, "token exports");
    fails(&world, "call shop GET /v1/orders");
    fails(&world, "check");
}

#[test]
fn a_configuration_gone_wrong_shows_no_secret() {
    let world = World::empty();
    let shop = "[providers.shop]\nkind = 'envelope'\nbase_url = 'http://127.0.0.1:1'\n";
    for wrong in [
        format!("client_id = 'a'\nclient_secret = '{PLANTED}"),
        format!("client_id = 'a'\nclient_secret = {PLANTED}"),
        format!("client_id = 'a'\nclient_secrt = '{PLANTED}'"),
        format!("client_id = 'a'\nclient_secret = ['{PLANTED}', 5]"),
        format!("client_id = 'a'\nclient_secret = {{ cmnd = ['{PLANTED}'] }}"),
        format!("client_id = 'a'\nclient_secret = 'b'\ntoken_endpoint = '{PLANTED}'"),
        format!("client_id = 'a'\nclient_secret = 'b'\nscope = {{ a = '{PLANTED}' }}"),
        format!("client_id = 'a'\nclient_secret = 'b'\n[http]\ntimeout = '{PLANTED}'"),
        format!("client_id = 'a'\nclient_secret = 'b'\n[http]\nproxy = 'http://u:{PLANTED}@[x'"),
    ] {
        world.write("biped.toml", &format!("{shop}{wrong}\n"));
        fails(&world, "token shop");
        fails(&world, "list");
        shows_nothing(&wrong, &world.run("config show"));
        shows_nothing(&wrong, &world.run("config show -v --format json"));
    }
}

#[test]
fn config_show_hides_keys_and_what_variables_say_of_them() {
    let world = World::empty();
    world.write(
        "biped.toml",
        "[providers.crm]\nkind = 'oauth2'\nissuer = 'https://login.example'\nclient_id = 'a'\n\
         key = { signer = ['sign', '--pin', 'pl4nted-pin'] }\nparams.subscription = 'pl4nted-param'\n\
         [serve]\nhosts = ['mine']\n[serve.tls]\ncertificate = 'file:c.pem'\nkey = 'pl4nted-tls'\n\
         [serve.providers.crm]\nallow = ['GET /v1/**']\n",
    );
    for variable in ["BIPED_PROVIDERS__CRM__KEY", "BIPED_SERVE__TLS__KEY"] {
        let mut show = world.command(["config", "show"]);
        let ran = Ran::of(show.env(variable, "pl4nted-variable").output().unwrap());
        shows_nothing(variable, &ran);
        let shown = ran.ok();
        for line in [
            "serve.hosts = [\"mine\"]",
            "serve.tls.certificate = file:",
            "serve.tls.key = [redacted]",
            "serve.providers.crm = { allow = [\"GET /v1/**\"] }",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
    }
}

#[test]
fn a_secret_on_the_command_line_is_not_repeated() {
    let world = World::new();
    for words in [
        ["call", "shop", "GET", "/x", "-H", PLANTED],
        ["token", "exports", "--param", PLANTED, "--timeout", "1"],
        [
            "token",
            "shop",
            "--param",
            "secret=pl4nted",
            "--timeout",
            "1",
        ],
    ] {
        let ran = world.run_words(words);
        assert_eq!(ran.status, 2);
        shows_nothing("usage", &ran);
    }
}

#[test]
fn a_token_is_seen_in_no_failure() {
    let world = World::new();
    for line in [
        "call shop GET /v1/nowhere -vv",
        "call exports GET /v1/nowhere -vv --format json",
        "call exports GET https://evil.example/ -vv",
        "call exports GET /v1/exports --scope metrics -vv",
    ] {
        let ran = world.run(line);
        assert_ne!(ran.status, 0, "{line}");
        for text in [&ran.stdout, &ran.stderr] {
            assert!(
                !text.contains("eyJ") && !text.contains("sk-"),
                "{line}: {ran:?}"
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn a_secret_command_does_not_outlive_the_command_that_waited_for_it() {
    use std::{fs, io::Read, process::Command, sync::mpsc, time::Duration};

    let secret = toml_string(biped_sandbox::SHOP.client_secret);
    let lives_on = r#"{ cmd = ["sh", "-c", "exec 3>pipe; sleep 300 & sleep 300"] }"#;
    let world = World::with(&secret, lives_on);
    let pipe = world.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let (sender, gone) = mpsc::channel();
    std::thread::spawn(move || {
        // Ends when no process has it open any more.
        let end = fs::File::open(pipe).unwrap().read_to_end(&mut Vec::new());
        sender.send(end.unwrap())
    });
    let ran = world.run("token shop --timeout 2");
    assert_ne!(ran.status, 0, "{ran:?}");
    let gone = gone.recv_timeout(Duration::from_secs(60));
    gone.expect("the secret command lives on");
}

#[test]
fn the_list_and_trust_show_no_query_of_an_endpoint_and_no_pin() {
    let world = World::empty();
    let config = |planted: &str| {
        format!(
            "[providers.crm]\nkind = 'oauth2'\n\
             token_endpoint = 'https://login.example/token?api_key={planted}'\n\
             client_id = 'a'\nclient_secret = 'b'\n\
             [providers.signed]\nkind = 'oauth2'\ntoken_endpoint = 'https://login.example/signed'\n\
             client_id = 'a'\nprivate_key = {{ pkcs11 = \
             'pkcs11:token=t;object=o?pin-value={planted}&module-path=/usr/lib/x.so' }}\n"
        )
    };
    world.write_untrusted("biped.toml", &config("planted"));
    let trusted = world.run("trust");
    for line in [
        "asks https://login.example/token for tokens",
        "module-path=/usr/lib/x.so",
    ] {
        assert!(trusted.stdout.contains(line), "{line}: {trusted:?}");
    }
    for shown in [trusted, world.run("list"), world.run("list --format json")] {
        assert!(!format!("{shown:?}").contains("planted"), "{shown:?}");
    }
    // What is not shown is trusted as well.
    world.write_untrusted("biped.toml", &config("another"));
    let told = world.run("token crm").failed(2);
    assert!(told.contains("biped trust"), "{told}");
}
