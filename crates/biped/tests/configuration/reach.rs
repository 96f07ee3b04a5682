//! What a configuration file reaches, and that what was looked at is what is used.

use std::{fs, path::Path, sync::Arc};

use biped::{
    Biped, Builder, Error,
    config::{ConfigFile, OwnerCheck, Reach, References},
    provider::{Provider, ProviderConfig, ProviderId, async_trait},
};

/// A registered kind, which reads a file that the configuration names.
#[derive(Debug)]
struct Acme(ProviderId);

#[async_trait]
impl Provider for Acme {
    fn id(&self) -> &ProviderId {
        &self.0
    }

    async fn fetch(
        &self,
        _: &biped::TokenRequest,
        _: &biped::provider::FetchContext<'_>,
    ) -> Result<biped::Token, Error> {
        Err(Error::internal("it is never asked"))
    }
}

fn builder() -> Builder {
    Biped::builder().without_environment().register(
        "acme",
        |config: &ProviderConfig| -> Result<Arc<dyn Provider>, Error> {
            let host = config.text_of_file("hosts").transpose()?;
            let host = host.unwrap_or_else(|| "none".into());
            let _ = config.string("more");
            let host = host.lines().next().unwrap_or_default();
            let id = ProviderId::new("acme", host, "me").named(config.name());
            Ok(Arc::new(Acme(id)))
        },
    )
}

const CONFIG: &str = "[providers.parts]\nkind = 'acme'\nhosts = 'hosts.txt'\n";

fn opened(directory: &Path, text: &str) -> ConfigFile {
    fs::write(directory.join("biped.toml"), text).unwrap();
    ConfigFile::open(directory.join("biped.toml"), OwnerCheck::Warn).unwrap()
}

fn digest(reach: &Reach) -> [u8; 32] {
    reach.digest(&[7; 32])
}

#[test]
fn what_was_looked_at_is_what_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts.txt");
    fs::write(&hosts, "https://mine.example").unwrap();
    let file = opened(directory.path(), CONFIG);
    let builder = builder().opened_file(file.clone());
    let reach = builder.reach(&file).unwrap();
    assert!(
        reach
            .lines()
            .any(|line| line.contains("https://mine.example"))
    );

    // The file changes after it was checked.
    fs::write(&hosts, "https://evil.example").unwrap();
    fs::write(directory.path().join("biped.toml"), "no TOML").unwrap();
    let biped = builder.build().unwrap();
    let parts = biped.provider("parts").unwrap();
    assert_eq!(parts.token_endpoint(), "https://mine.example");
}

#[test]
fn nothing_is_cut_of_what_somebody_is_asked_to_trust_and_each_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let long = "x ".repeat(1000);
    let file = opened(
        directory.path(),
        &format!(
            "[providers.parts]\nkind = 'acme'\nsecret = {{ cmd = ['sh', '-c', '{long}; evil'] }}\n\
             [providers.\"forged\\nparts: harmless\\u001b[2J\"]\nkind = 'acme'\n\
             secret = \"env:A\\nforged\\u202e\"\n"
        ),
    );
    let reach = builder().reach(&file).unwrap();
    let lines: Vec<_> = reach.lines().collect();
    assert!(
        lines.iter().any(|line| line.contains("; evil")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("forged")),
        "{lines:?}"
    );
    let is_odd = |character: char| character.is_control() || character == '\u{202e}';
    assert!(!lines.concat().contains(is_odd), "{lines:?}");
}

#[test]
fn a_file_that_any_kind_names_belongs_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts.txt");
    let reach = |text: &str| {
        fs::write(&hosts, text).unwrap();
        let file = opened(directory.path(), CONFIG);
        digest(&builder().reach(&file).unwrap())
    };
    let mine = reach("https://mine.example");
    assert_eq!(mine, reach("https://mine.example"));
    assert_ne!(mine, reach("https://evil.example"));
    // Whatever else it says may matter later.
    assert_ne!(
        mine,
        reach("https://mine.example\nthen: https://evil.example")
    );
    // A file that is not there is another than one that is.
    fs::remove_file(&hosts).unwrap();
    let file = opened(directory.path(), CONFIG);
    assert_ne!(mine, digest(&builder().reach(&file).unwrap()));
}

#[test]
fn everything_belongs_to_it_that_may_be_part_of_a_host_whatever_the_kind() {
    let directory = tempfile::tempdir().unwrap();
    let reach = |text: &str| {
        let file = opened(directory.path(), text);
        digest(&builder().reach(&file).unwrap())
    };
    let alone = "[providers.parts]\nkind = 'acme'\n";
    let known = reach(alone);
    for (one, other) in [
        ("scope = 'a'", "scope = 'z'"),
        ("scope = ['a', 'b']", "scope = ['z', 'b']"),
        ("client_secret = 'itself'", "client_secret = 'another'"),
        ("# a comment", "# another"),
    ] {
        let [reached, other] = [one, other].map(|more| reach(&format!("{alone}{more}\n")));
        assert_eq!(reached, other, "{one}");
    }
    for more in [
        "more = 'evil.example'",
        "more = 7",
        "more = true",
        "more = []",
        "more = {}",
        "more = { host = 'evil.example' }",
        "more = [['evil.example']]",
        "scope = { cmd = ['evil'] }",
        "client_id = 'evil'",
        "client_secret = 'env:HOME'",
        "client_secret = ['a', 'cmd:evil']",
        "credentials = [{ client_id = 'a', client_secret = 'file:evil' }]",
        "\"mo.re\" = 1",
        "[providers.parts.mo]\nre = 1",
    ] {
        assert_ne!(known, reach(&format!("{alone}{more}\n")), "{more}");
    }
    let dotted = reach(&format!("{alone}\"mo.re\" = 1\n"));
    assert_ne!(dotted, reach(&format!("{alone}mo = {{ re = 1 }}\n")));
}

#[test]
fn no_secret_is_among_what_is_shown_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = opened(
        directory.path(),
        "[providers.shop]\nkind = 'envelope'\nbase_url = 'https://api.shop.example'\n\
         client_id = 'a'\nclient_secret = 'pl4nted'\n\
         [providers.odd]\nkind = 'nobody-knows'\nkey = 'pl4nted'\n\
         [store]\nkind = 'redis'\nurl = 'redis://u:pl4nted@cache.example:6380/pl4nted'\n\
         seal = 'pl4nted'\n[http]\nproxy = 'http://u:pl4nted@proxy.example:3128'\n",
    );
    let reach = builder().reach(&file).unwrap();
    let shown: Vec<_> = reach.lines().collect();
    let shown = shown.join("\n");
    assert!(!shown.contains("pl4nted"), "{shown}");
    for host in [
        "api.shop.example",
        "cache.example:6380",
        "proxy.example:3128",
    ] {
        assert!(shown.contains(host), "{host}: {shown}");
    }
    assert!(!format!("{reach:?} {file:?}").contains("pl4nted"));
}

#[test]
fn a_store_that_is_not_to_be_resolved_is_left_out_and_told() {
    let seal = "[store]\nkind = 'memory'\n[providers.parts]\nkind = 'acme'\n";
    let biped = |references| {
        let builder = builder().toml(seal).references(references);
        builder.build().unwrap()
    };
    assert!(biped(References::All).unread_store().is_none());
    assert!(biped(References::WithoutCommands).unread_store().is_none());
    assert!(biped(References::None).unread_store().is_some());
}
