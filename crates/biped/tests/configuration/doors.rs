//! What an application registers beside kinds of provider: a kind of store, a section, and a scheme
//! of secrets, each from TOML, from the environment, and in what is shown.

use std::sync::{Arc, Mutex};

use biped::{
    Biped, Builder, Error, ExposeSecret, SecretString,
    config::{ConfigTable, SecretScheme, SecretSource, Section, SourceContext},
    provider::{Field, FieldType, async_trait},
    store::{MemoryStore, StoreConfig, StoreKind, TokenStore},
};

use crate::{
    assert_one, builder, lines,
    vendor::{NoNetwork, secret_of},
};

const PROVIDER: &str = "[providers.a]\nkind = 'acme'\nclient_secret = 's'\n";

fn shown(biped: &Biped) -> Vec<String> {
    biped.config().iter().map(ToString::to_string).collect()
}

/// A kind of store that notes the places it was made with.
fn postgres(places: &Arc<Mutex<Vec<String>>>) -> StoreKind {
    let places = places.clone();
    StoreKind::new("postgres", move |config: &StoreConfig| {
        let dsn = config.read_secret("dsn")?;
        let dsn = dsn.ok_or_else(|| config.missing("dsn"))?;
        let table = config.string("table").unwrap_or_else(|| "tokens".into());
        let place = format!("{}/{table}", dsn.expose_secret());
        places.lock().unwrap().push(place);
        Ok(Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>)
    })
    .about("Tokens in a database")
    .field(
        Field::new("dsn", FieldType::Secret)
            .required()
            .about("Where it is."),
    )
    .field(Field::new("table", FieldType::Text).about("Default: tokens."))
}

#[test]
fn a_kind_of_store_is_used_from_a_file_and_from_the_environment() {
    let places = Arc::default();
    let with = builder()
        .store_kind(postgres(&places))
        .http_client(Arc::new(NoNetwork));
    let text = "[store]\nkind = 'postgres'\ndsn = 'pg://me:hunter2@db'\n";
    let biped = with.clone().toml(text).build().unwrap();
    assert_eq!(*places.lock().unwrap(), ["pg://me:hunter2@db/tokens"]);
    assert_eq!(
        shown(&biped),
        [
            "store.dsn = [redacted]  # the configuration text:3",
            "store.kind = \"postgres\"  # the configuration text:2",
        ]
    );

    let variables = [
        ("BIPED_STORE__KIND", "postgres"),
        ("BIPED_STORE__DSN", "pg://db"),
        ("BIPED_STORE__TABLE", "mine"),
    ];
    let biped = with.clone().environment(variables).build().unwrap();
    assert_eq!(places.lock().unwrap()[1], "pg://db/mine");
    assert!(shown(&biped).contains(&"store.table = \"mine\"  # BIPED_STORE__TABLE".to_owned()));

    // Another kind is chosen from outside, and the keys of this one stay.
    with.clone()
        .toml(text)
        .value("store.kind", "memory")
        .build()
        .unwrap();
    assert_eq!(places.lock().unwrap().len(), 2);
}

#[test]
fn a_kind_of_store_is_checked_and_named_like_one_that_is_built_in() {
    let with = builder()
        .store_kind(postgres(&Arc::default()))
        .http_client(Arc::new(NoNetwork));
    let problems = |text: &str| lines(with.clone().toml(text).build());
    let found = problems("[store]\nkind = 'postgres'\ntable = 7\ntabel = 'x'\n");
    assert_one(
        &found,
        "the configuration text:2: store.dsn: ",
        &["missing", "postgres"],
    );
    assert_one(
        &found,
        "the configuration text:3: store.table: ",
        &["expected a string"],
    );
    assert_one(
        &found,
        "the configuration text:4: store.tabel: ",
        &["table"],
    );
    assert_eq!(found.len(), 3, "{found:#?}");
    let found = problems("[store]\nkind = 'postgre'\n");
    assert_one(
        &found,
        "the configuration text:2: store.kind: ",
        &["postgres", "memory"],
    );

    let kinds: Vec<_> = with.store_kinds().map(StoreKind::name).collect();
    assert!(kinds.contains(&"postgres"), "{kinds:?}");
    let store = &with.json_schema()["properties"]["store"]["properties"];
    assert_eq!(store["table"]["type"], "string");
    let kinds = store["kind"]["enum"].as_array().unwrap();
    assert!(kinds.contains(&"postgres".into()) && kinds.contains(&"memory".into()));
}

#[test]
fn two_kinds_of_store_that_declare_one_key_declare_one_type() {
    let kind = |ty| {
        StoreKind::new("other", |_: &StoreConfig| {
            Ok(Arc::new(MemoryStore::new()) as Arc<dyn TokenStore>)
        })
        .field(Field::new("dsn", ty))
    };
    let with = |ty| {
        let both = builder()
            .store_kind(postgres(&Arc::default()))
            .store_kind(kind(ty));
        both.http_client(Arc::new(NoNetwork)).build()
    };
    with(FieldType::Secret).unwrap();
    let memory = StoreKind::new("memory", |_| Err(Error::internal("it is never made")));
    let built = builder()
        .store_kind(memory)
        .http_client(Arc::new(NoNetwork));
    assert_one(
        &lines(built.build()),
        "the builder: store.kind: ",
        &["memory"],
    );
    let found = lines(with(FieldType::Integer));
    assert_one(&found, "the builder: store.dsn: ", &["other", "type"]);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[derive(Debug, PartialEq)]
struct Serve {
    port: u16,
    pass: Option<String>,
}

fn serve() -> Section {
    Section::new("serve", |table: &ConfigTable| {
        let pass = table.secret("pass").map(|secret| secret.to_string());
        let port = table.count("port").unwrap_or(7600);
        Ok(Serve { port, pass })
    })
    .about("The sidecar.")
    .field(Field::new("port", FieldType::Integer).about("Default: 7600."))
    .field(Field::new("pass", FieldType::Secret).about("What callers send."))
}

fn with_serve() -> Builder {
    builder().section(serve()).http_client(Arc::new(NoNetwork))
}

#[test]
fn a_section_is_read_from_a_file_and_from_the_environment() {
    let text = "[serve]\nport = 7700\npass = 'env:PASS'\n";
    let with = with_serve().toml(text);
    let biped = with.clone().build().unwrap();
    let read = |port, pass: Option<&str>| Serve {
        port,
        pass: pass.map(Into::into),
    };
    assert_eq!(biped.section("serve"), Some(&read(7700, Some("env:PASS"))));
    assert_eq!(biped.section::<String>("serve"), None, "it is no String");
    assert_eq!(
        shown(&biped),
        [
            "serve.pass = env:PASS  # the configuration text:3",
            "serve.port = 7700  # the configuration text:2",
        ]
    );
    let biped = with
        .environment([("BIPED_SERVE__PORT", "7800")])
        .build()
        .unwrap();
    assert_eq!(biped.section("serve"), Some(&read(7800, Some("env:PASS"))));
    assert!(shown(&biped).contains(&"serve.port = 7800  # BIPED_SERVE__PORT".to_owned()));
    let biped = with_serve()
        .environment([("BIPED_SERVE__PASS", "hunter2")])
        .build()
        .unwrap();
    assert_eq!(
        biped.section("serve"),
        Some(&read(7600, Some("[redacted]")))
    );

    let biped = with_serve().build().unwrap();
    assert_eq!(biped.section::<Serve>("serve"), None);
}

#[test]
fn a_section_is_checked_like_one_that_is_built_in() {
    let found = lines(with_serve().toml("[serve]\nport = 'x'\nprot = 1\n").build());
    assert_one(
        &found,
        "the configuration text:2: serve.port: ",
        &["whole number"],
    );
    assert_one(&found, "the configuration text:3: serve.prot: ", &["port"]);
    assert_eq!(found.len(), 2, "{found:#?}");
    let found = lines(with_serve().toml("[serv]\nport = 1\n").build());
    assert_one(&found, "the configuration text:1: serv: ", &["serve"]);
    let found = lines(with_serve().section(serve()).build());
    assert_one(&found, "the builder: serve: ", &["another name"]);

    let schema = with_serve().json_schema();
    let serve = &schema["properties"]["serve"]["properties"];
    assert_eq!(serve["port"]["type"], "integer");

    // Without the section nothing of it is configuration.
    let without = builder().http_client(Arc::new(NoNetwork));
    let variables = [("BIPED_SERVE__PORT", "7800")];
    without.clone().environment(variables).build().unwrap();
    assert_one(
        &lines(without.toml("[serve]\nport = 1\n").build()),
        "the configuration text:1: serve: ",
        &["unknown"],
    );
}

#[derive(Debug)]
struct Safe(String);

#[async_trait]
impl SecretSource for Safe {
    fn reference(&self) -> String {
        format!("safe:{}", self.0)
    }

    async fn read(&self, _: &SourceContext<'_>) -> Result<SecretString, Error> {
        Ok(format!("the secret at {}", self.0).into())
    }
}

fn safe() -> SecretScheme {
    SecretScheme::new("safe", |reference: &str| {
        if reference.is_empty() {
            return Err(Error::configuration("safe: needs a path"));
        }
        Ok(Arc::new(Safe(reference.to_owned())) as Arc<dyn SecretSource>)
    })
}

#[tokio::test]
async fn a_scheme_of_secrets_is_used_from_a_file_and_shown_as_a_reference() {
    let text = PROVIDER.replace("'s'", "'safe:kv/shop'");
    let with = builder()
        .secret_scheme(safe())
        .http_client(Arc::new(NoNetwork));
    let biped = with.clone().toml(&text).build().unwrap();
    assert_eq!(secret_of(&biped, "a").await, "the secret at kv/shop");
    assert_eq!(
        shown(&biped)[0],
        "providers.a.client_secret = safe:kv/shop  # the configuration text:3"
    );
    // A variable's text is the secret itself, whatever it begins with.
    let variables = [("BIPED_PROVIDERS__A__CLIENT_SECRET", "safe:kv/shop")];
    let biped = with
        .clone()
        .toml(&text)
        .environment(variables)
        .build()
        .unwrap();
    assert_eq!(secret_of(&biped, "a").await, "safe:kv/shop");
    let inline = PROVIDER.replace("'s'", "'inline:safe:kv/shop'");
    let biped = with.clone().toml(inline).build().unwrap();
    assert_eq!(secret_of(&biped, "a").await, "safe:kv/shop");
    // Without the scheme there is nothing to look up.
    let without = builder().http_client(Arc::new(NoNetwork));
    let biped = without.toml(&text).build().unwrap();
    assert_eq!(secret_of(&biped, "a").await, "safe:kv/shop");
    assert_eq!(
        shown(&biped)[0],
        "providers.a.client_secret = [redacted]  # the configuration text:3"
    );
}

#[test]
fn a_scheme_of_secrets_is_refused_where_secrets_are_read_first_and_what_it_refuses_is_told() {
    let places = Arc::default();
    let with = builder()
        .secret_scheme(safe())
        .store_kind(postgres(&places))
        .http_client(Arc::new(NoNetwork));
    let text = "[store]\nkind = 'postgres'\ndsn = 'safe:db'\n";
    let found = lines(with.clone().toml(text).build());
    assert_one(
        &found,
        "the configuration text:3: store.dsn: ",
        &["safe:", "before anything may be sent", "inline:"],
    );
    assert_eq!(found.len(), 1, "{found:#?}");
    let sealed = "[store]\nkind = 'postgres'\ndsn = 'd'\nseal = ['safe:seal']\n";
    let found = lines(with.clone().toml(sealed).build());
    assert_one(
        &found,
        "the configuration text:4: store.seal",
        &["before anything may be sent"],
    );
    let proxy = "[http]\nproxy = 'safe:proxy'\n";
    let found = lines(with.clone().toml(proxy).build());
    assert_one(
        &found,
        "the configuration text:2: http.proxy: ",
        &["before anything may be sent"],
    );
    let own = format!("{PROVIDER}[providers.a.http]\nproxy = 'safe:proxy'\n");
    let found = lines(with.clone().toml(own).build());
    assert_one(
        &found,
        "the configuration text:5: providers.a.http.proxy: ",
        &["before anything may be sent"],
    );
    places.lock().unwrap().clear();
    with.clone()
        .toml(text.replace("safe:", "inline:safe:"))
        .build()
        .unwrap();
    assert_eq!(*places.lock().unwrap(), ["safe:db/tokens"]);

    let found = lines(with.toml(PROVIDER.replace("'s'", "'safe:'")).build());
    assert_one(
        &found,
        "the configuration text:3: providers.a.client_secret: ",
        &["safe: needs a path"],
    );
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_scheme_of_secrets_has_a_name_of_its_own() {
    let named = |name: &str| {
        let open = |_: &str| Ok(Arc::new(Safe("x".into())) as Arc<dyn SecretSource>);
        let scheme = SecretScheme::new(name, open);
        builder()
            .secret_scheme(scheme)
            .http_client(Arc::new(NoNetwork))
            .build()
    };
    named("vault").unwrap();
    named("safe-2").unwrap();
    named("a+b.c").unwrap();
    for name in [
        "env", "file", "cmd", "inline", "http", "https", "urn", "", "a:b", "Safe", "2safe", "-a",
        "a_b", "a/b", "é",
    ] {
        let found = lines(named(name));
        assert_one(
            &found,
            &format!("the builder: {name}:: "),
            &["expected the name"],
        );
    }
}

/// Without the feature, a reference is not mistaken for the secret itself.
#[cfg(not(feature = "vault"))]
#[test]
fn a_vault_needs_its_feature() {
    let with = builder().http_client(Arc::new(NoNetwork));
    for secret in [
        "'vault:kv/shop#key'",
        "{ vault = { mount = 'kv', path = 'shop', field = 'key' } }",
    ] {
        let text = PROVIDER.replace("'s'", secret);
        let found = lines(with.clone().toml(text).build());
        assert_one(
            &found,
            "the configuration text:3: providers.a.client_secret: ",
            &["feature vault", "inline:"],
        );
    }
}

#[cfg(feature = "vault")]
mod vault {
    use biped::client::HttpClient;
    use bytes::Bytes;

    use super::*;

    /// A server that gives each secret its own path, and notes the tokens that it gets.
    #[derive(Debug, Default)]
    struct Server(Mutex<Vec<String>>);

    #[async_trait]
    impl HttpClient for Server {
        async fn send(
            &self,
            request: http::Request<Bytes>,
        ) -> Result<http::Response<Bytes>, Error> {
            let url = request.uri().to_string();
            let Some(token) = request.headers().get("x-vault-token") else {
                let number = self.0.lock().unwrap().len();
                let body = format!(
                    "{{\"access_token\":\"t-{number}\",\"token_type\":\"Bearer\",\"expires_in\":3600}}"
                );
                return Ok(http::Response::new(body.into()));
            };
            let token = token.to_str().unwrap();
            self.0.lock().unwrap().push(format!("{token} {url}"));
            let body = format!(
                "{{\"data\":{{\"data\":{{\"key\":\"{}\"}}}}}}",
                request.uri().path()
            );
            Ok(http::Response::new(body.into()))
        }
    }

    const SECTION: &str = "[vault]\naddress = 'https://vault.example'\ntoken = 's.t'\n";

    #[tokio::test]
    async fn a_vault_is_built_in_and_each_configuration_has_its_own() {
        let server = Arc::new(Server::default());
        let with = builder().http_client(server.clone());
        let provider = PROVIDER.replace("'s'", "'vault:kv/shop#key'");
        let biped = with
            .clone()
            .toml(format!("{provider}{SECTION}"))
            .build()
            .unwrap();
        let elsewhere = SECTION.replace("vault.example", "other.example");
        let table = "{ vault = { mount = 'a/b', path = 'shop', field = 'key' } }";
        let provider = PROVIDER.replace("'s'", table);
        let other = with
            .clone()
            .toml(format!("{provider}{elsewhere}"))
            .build()
            .unwrap();
        assert_eq!(secret_of(&biped, "a").await, "/v1/kv/data/shop");
        assert_eq!(secret_of(&other, "a").await, "/v1/a/b/data/shop");
        assert_eq!(
            *server.0.lock().unwrap(),
            [
                "s.t https://vault.example/v1/kv/data/shop",
                "s.t https://other.example/v1/a/b/data/shop"
            ]
        );
        assert!(shown(&biped).contains(
            &"providers.a.client_secret = vault:kv/shop#key  # the configuration text:3".to_owned()
        ));
        assert!(
            shown(&biped)
                .contains(&"vault.token = [redacted]  # the configuration text:6".to_owned())
        );
    }

    #[tokio::test]
    async fn one_path_in_two_vaults_shares_no_stored_token() {
        let server = Arc::new(Server::default());
        let store = Arc::new(MemoryStore::new());
        let token = async |vault: &str| {
            let text = format!(
                "[providers.a]\nkind = 'oauth2'\ntoken_endpoint = 'https://login.example/token'\n\
                 client_id = 'a'\nclient_secret = 'vault:kv/shop#key'\n[vault]\ntoken = 's.t'\n{vault}\n"
            );
            let with = builder().http_client(server.clone()).store(store.clone());
            let biped = with.toml(text).build().unwrap();
            let token = biped.token_source("a").unwrap().token().await.unwrap();
            token.expose_secret().to_owned()
        };
        let first = token("address = 'https://vault.example'").await;
        assert_eq!(token("address = 'https://vault.example/'").await, first);
        let others = [
            token("address = 'https://other.example'").await,
            token("address = 'https://vault.example:8200'").await,
            token("address = 'https://vault.example'\nnamespace = 'team'").await,
        ];
        assert!(!others.contains(&first), "{others:?}");
        // Each read the secret and fetched a token of its own.
        assert_eq!(server.0.lock().unwrap().len(), 4);
    }

    #[test]
    fn what_is_read_before_anything_may_be_sent_is_not_in_a_vault() {
        let with = builder()
            .store_kind(postgres(&Arc::default()))
            .http_client(Arc::new(NoNetwork));
        let text = "[store]\nkind = 'postgres'\ndsn = 'vault:kv/db#dsn'\n";
        let found = lines(with.clone().toml(text).build());
        assert_one(
            &found,
            "the configuration text:3: store.dsn: ",
            &["vault: ", "before anything may be sent"],
        );
        let found = lines(with.toml(PROVIDER.replace("'s'", "'vault:kv'")).build());
        assert_one(
            &found,
            "the configuration text:3: providers.a.client_secret: ",
            &["vault:MOUNT/PATH#FIELD"],
        );
    }
}
