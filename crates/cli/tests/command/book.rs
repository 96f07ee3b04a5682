//! The book's commands, against the sandbox as it says, and what people see when something is wrong.

use std::{fs, path::Path};

use biped::Biped;
use biped_sandbox::{Effect, Fault};

use crate::world::{OneRequest, World};

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

/// What a person sees, by the text that a row of the book quotes for it.
type Scenario = (&'static str, fn(&Entry) -> String);

const SCENARIOS: [Scenario; 19] = [
    ("unknown key; did you mean client_secret?", |entry| {
        entry.with_secret("").token("client_secrte = \"x\"", 2)
    }),
    ("missing; expected a secret", |entry| {
        entry.with_secret("").token("", 2)
    }),
    (
        "expected an https URL without user name and fragment (http only to this machine)",
        |entry| {
            let elsewhere = entry.at("https://me@api.example");
            elsewhere.token("", 2)
        },
    ),
    (
        "expected an https URL; if a service mesh encrypts the connection, set plain_http = …",
        |entry| entry.at("http://api.example").token("", 2),
    ),
    ("the environment variable … is not set", |entry| {
        entry.with_secret("env:NOT_THERE").token("", 2)
    }),
    ("is not trusted, so Biped does not use it", |entry| {
        let stranger = World::empty();
        stranger.write_untrusted("biped.toml", &entry.text);
        stranger.run("token shop").failed(2)
    }),
    (
        "there is no provider named …; did you mean …?",
        |entry| entry.run("", "token shpo", 2),
    ),
    ("is outside the API's origin", |entry| {
        entry.run("", "call shop GET https://other.example/v1/orders", 2)
    }),
    ("the vendor refused the client's credentials", |entry| {
        entry.with_secret("a-wrong-one").token("", 3)
    }),
    ("invalid_scope", |_| {
        let answer = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\
                      content-length: 25\r\n\r\n{\"error\":\"invalid_scope\"}";
        Entry::of_server(answer).token("scope = \"a\"", 3)
    }),
    ("PROJECT_REQUIRED", |entry| {
        let account = entry.world.sandbox().config_toml();
        let account = account.replace("project_id = 42\n", "");
        entry.world.write_untrusted("account.toml", &account);
        let ran = entry.world.run("--config account.toml token exports");
        ran.failed(3)
    }),
    ("PROJECT_NOT_PERMITTED", |entry| {
        let account = entry.world.sandbox().config_toml();
        let account = account.replace("project_id = 42\n", "project_id = 99\n");
        entry.world.write_untrusted("account.toml", &account);
        let ran = entry.world.run("--config account.toml token exports");
        let told = ran.failed(3);
        assert!(told.contains("one of the permitted projects: 42"), "{told}");
        told
    }),
    (
        "refuses the connection; check the URL, its port and the proxy",
        |entry| entry.at("http://127.0.0.1:1").token("", 4),
    ),
    ("the vendor is temporarily unavailable", |entry| {
        entry.faulted(Effect::Status(503)).token("", 4)
    }),
    (
        "no token within … s (the fetch continues in the background)",
        |entry| {
            // What an application sees: a command does not go on in the background.
            entry.faulted(Effect::Stall);
            let text = format!("{}[engine]\nmax_wait = '100ms'\n", entry.text);
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let _context = runtime.enter();
            let biped = Biped::builder().without_environment().toml(text);
            let source = biped.build().unwrap().token_source("shop").unwrap();
            let waited = runtime.block_on(async { source.token().await.map(drop) });
            waited.unwrap_err().to_string()
        },
    ),
    ("the response is HTML or XML, not JSON", |entry| {
        entry.faulted(Effect::Html).token("", 4)
    }),
    ("the response is not a JSON object", |_| {
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n[1]";
        Entry::of_server(answer).token("", 4)
    }),
    ("the token store failed; continuing without it", |entry| {
        let sealed = format!("{REDIS}seal = \"{}\"\n", "5a".repeat(32));
        entry.token(&sealed, 0)
    }),
    (
        "the store is not sealed, so it can't tell clients apart",
        |entry| entry.token(REDIS, 0),
    ),
];

/// A store that is not there.
const REDIS: &str = "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:1\"\n";

/// Rows whose text the command can't print: it has every feature. A test of the façade has this one.
const OF_APPLICATIONS: [&str; 1] = ["which is not enabled"];

/// A configuration with the provider `shop`, and the sandbox behind it.
struct Entry {
    world: World,
    text: String,
}

impl Entry {
    fn new() -> Self {
        let world = World::new();
        let config = world.sandbox().config_toml();
        let text = config[config.find("[providers.shop]").unwrap()..].to_owned();
        Self { world, text }
    }

    /// A provider of the standard kind, whose server answers one request.
    fn of_server(answer: &'static str) -> Self {
        let server = OneRequest::answered(answer);
        let text = format!(
            "[providers.shop]\nkind = \"oauth2\"\ntoken_endpoint = \"{}/token\"\n\
             client_id = \"a\"\nclient_secret = \"b\"\n",
            server.url
        );
        let world = World::empty();
        Self { world, text }
    }

    /// The entry with another secret, or without one.
    fn with_secret(&self, secret: &str) -> Other<'_> {
        let lines = self.text.lines().map(|line| match secret {
            _ if !line.starts_with("client_secret") => line.to_owned(),
            "" => String::new(),
            secret => format!("client_secret = {secret:?}"),
        });
        let text = lines.map(|line| line + "\n").collect();
        Other { entry: self, text }
    }

    /// The entry for a vendor at another URL.
    fn at(&self, url: &str) -> Other<'_> {
        let text = self.text.replace(self.world.sandbox().url(), url);
        Other { entry: self, text }
    }

    /// The entry, with a fault at the vendor.
    fn faulted(&self, effect: Effect) -> &Self {
        let fault = Fault::new(effect).path("/v1/auth/token").until_cleared();
        self.world.sandbox().fail_next(fault);
        self
    }

    fn token(&self, more: &str, status: i32) -> String {
        self.run(more, "token shop", status)
    }

    /// What a command prints to stderr, with more text in its configuration.
    fn run(&self, more: &str, line: &str, status: i32) -> String {
        let text = self.text.clone();
        Other { entry: self, text }.run(more, line, status)
    }
}

/// An entry with another text.
struct Other<'e> {
    entry: &'e Entry,
    text: String,
}

impl Other<'_> {
    fn token(&self, more: &str, status: i32) -> String {
        self.run(more, "token shop", status)
    }

    fn run(&self, more: &str, line: &str, status: i32) -> String {
        let world = &self.entry.world;
        world.write_untrusted("one.toml", &format!("{}{more}\n", self.text));
        let ran = world.run(&format!("--config one.toml {line}"));
        assert_eq!(ran.status, status, "{ran:?}");
        ran.stderr
    }
}

/// Whether a text holds the parts of a quotation in their order.
fn says(text: &str, quoted: &str) -> bool {
    let mut rest = text;
    quoted
        .split('…')
        .map(str::trim)
        .all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}

#[test]
fn each_row_quotes_what_a_person_sees() {
    let chapter = chapter("troubleshooting.md");
    // What the first cell of a row quotes.
    let rows = chapter.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let quoted = SCENARIOS.iter().map(|(quoted, _)| *quoted);
    let mut known: Vec<&str> = quoted.chain(OF_APPLICATIONS).collect();
    let mut sorted = rows;
    known.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(sorted, known);
    for (quoted, seen) in SCENARIOS {
        let seen = seen(&Entry::new());
        assert!(says(&seen, quoted), "{quoted}\n{seen}");
    }
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
