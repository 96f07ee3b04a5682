//! Secrets of a vault and keys that stay where they are: what the command tells of them at `-vv`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use crate::world::World;

const VAULT_TOKEN: &str = "hvs.CAESIJlU9JMYEhOPYv4igdhm";
const SECRET: &str = "s-3cret-0f-the-vau1t";
/// The client's id and the secret, as `Basic` has them.
const BASIC: &str = "Y3JtOnMtM2NyZXQtMGYtdGhlLXZhdTF0";
const TOKEN: &str = "acce55-t0ken-0f-the-server";
/// 64 bytes, as an ECDSA signature with P-256 has, in base64url.
const SIGNATURE: &str =
    "c2lnbmF0dXJlLW9mLXRoZS12YXVsdC10aGF0LWlzLXNpeHR5LWZvdXItYnl0ZXMtbG9uZy1zby1pdC1maXRzIQ";

/// A vault and an authorization server in one, and the requests that they got.
struct Servers {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Servers {
    fn start(public_key: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, public_key) = (log.clone(), public_key.clone());
                thread::spawn(move || answer(stream, &log, &public_key));
            }
        });
        Self { url, seen }
    }
}

/// Answers the requests of a connection, until it ends.
fn answer(mut stream: TcpStream, seen: &Mutex<Vec<String>>, public_key: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head += &line;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        let request = head.lines().next().unwrap_or_default().to_owned();
        let path = request.split(' ').nth(1).unwrap_or_default();
        let answer = match path {
            "/v1/kv/data/crm" => serde_json::json!({ "data": {
                "data": { "client_secret": SECRET }, "metadata": { "version": 1 },
            }}),
            "/v1/transit/keys/crm" => serde_json::json!({ "data": {
                "type": "ecdsa-p256", "latest_version": 1,
                "keys": { "1": { "public_key": public_key, "name": "P-256" } },
            }}),
            "/v1/transit/sign/crm" => {
                serde_json::json!({ "data": { "signature": format!("vault:v1:{SIGNATURE}") } })
            }
            _ => serde_json::json!({
                "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600,
            }),
        };
        seen.lock()
            .unwrap()
            .push(format!("{request}\n{head}\n{body}"));
        let answer = answer.to_string();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
        let length = answer.len();
        write!(stream, "{head}\r\ncontent-length: {length}\r\n\r\n{answer}").unwrap();
    }
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nothing_of_a_vault_or_of_a_key_that_stays_elsewhere_is_told() {
    let world = World::empty();
    let private = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
    world.write("private.pem", &private);
    let file = world.path("private.pem");
    let public = openssl(&["pkey", "-pubout", "-in", file.to_str().unwrap()]);
    world.write("public.pem", &public);
    world.write("signature", SIGNATURE);
    let servers = Servers::start(public);
    let url = &servers.url;
    let client = format!("kind = 'oauth2'\ntoken_endpoint = '{url}/token'\nclient_id = 'crm'\n");
    world.write(
        "biped.toml",
        &format!(
            "[vault]\naddress = '{url}'\ntoken = 'env:VAULT_KEY'\n\
             [providers.kv]\n{client}client_secret = 'vault:kv/crm#client_secret'\n\
             [providers.transit]\n{client}key = {{ vault = 'crm' }}\n\
             [providers.command]\n{client}\
             key = {{ signer = ['cat', '{}'], public = 'file:public.pem' }}\n",
            world.path("signature").display(),
        ),
    );
    for (provider, sent) in [
        ("kv", BASIC),
        ("transit", "client_assertion="),
        ("command", "client_assertion="),
    ] {
        let mut told = String::new();
        for line in ["token", "check", "identity", "config show"] {
            let line = match line {
                "config show" => format!("-vv {line}"),
                line => format!("-vv {line} {provider}"),
            };
            let mut command = world.command(line.split_whitespace());
            let output = command.env("VAULT_KEY", VAULT_TOKEN).output().unwrap();
            let [stdout, stderr] =
                [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
            assert!(output.status.success(), "{line}: {stdout}{stderr}");
            told += &stderr;
            if line.starts_with("-vv token") {
                assert_eq!(stdout.trim(), TOKEN);
            } else {
                told += &stdout;
            }
        }
        let seen = servers.seen.lock().unwrap().join("\n");
        assert!(seen.contains(sent), "{provider}: {seen}");
        if provider != "command" {
            assert!(seen.contains(VAULT_TOKEN), "{provider}: {seen}");
        }
        servers.seen.lock().unwrap().clear();
        // An assertion is a JWT, which starts so.
        for secret in [VAULT_TOKEN, SECRET, BASIC, TOKEN, SIGNATURE, "eyJ"] {
            assert!(!told.contains(secret), "{provider} tells {secret}: {told}");
        }
    }
}

/// Started by `tests/live/run pkcs11`, which makes the token.
#[test]
#[ignore = "needs SoftHSM"]
fn nothing_of_a_pin_is_told() {
    const PIN: &str = "p1n-0f-the-t0ken";
    const WRONG: &str = "wr0ng-p1n-0f-it";
    let set = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let [module, settings] = ["BIPED_LIVE_PKCS11", "SOFTHSM2_CONF"].map(set);
    let world = World::empty();
    let servers = Servers::start(String::new());
    let url = &servers.url;
    let key = format!("pkcs11:token=command;object=p256?module-path={module}");
    world.write(
        "biped.toml",
        &format!(
            "[providers.it]\nkind = 'oauth2'\ntoken_endpoint = '{url}/token'\nclient_id = 'crm'\n\
             key = {{ pkcs11 = '{key}', pin = 'env:PIN' }}\n"
        ),
    );
    let private = include_str!("../../../providers/oauth2/tests/keys/p256.pkcs8.pem");
    let private = private.lines().nth(1).unwrap();
    let run = |line: &str, pin: &str| {
        let mut command = world.command(line.split_whitespace());
        command.env("SOFTHSM2_CONF", &settings).env("PIN", pin);
        let output = command.output().unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), stdout, stderr)
    };
    let mut told = String::new();
    for line in [
        "-vv token it",
        "-vv check it",
        "-vv identity it",
        "-vv config show",
    ] {
        let (status, stdout, stderr) = run(line, PIN);
        assert_eq!(status, Some(0), "{line}: {stdout}{stderr}");
        told += &stderr;
        if line.starts_with("-vv token") {
            assert_eq!(stdout.trim(), TOKEN);
        } else {
            told += &stdout;
        }
    }
    let seen = servers.seen.lock().unwrap().join("\n");
    assert!(seen.contains("client_assertion="), "{seen}");
    assert!(!seen.contains(PIN), "{seen}");
    servers.seen.lock().unwrap().clear();
    // A wrong one is tried once, and then known.
    for _ in 0..2 {
        let (status, stdout, stderr) = run("-vv token it --fresh", WRONG);
        assert_eq!((status, &*stdout), (Some(2), ""), "{stderr}");
        told += &stderr;
    }
    assert!(servers.seen.lock().unwrap().is_empty());
    for secret in [PIN, WRONG, private, TOKEN, "eyJ"] {
        assert!(!told.contains(secret), "it tells {secret}: {told}");
    }
}
