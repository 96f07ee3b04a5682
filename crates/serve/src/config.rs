//! [`Serve`]: `[serve]`, what a sidecar is told.

mod mention;
mod parts;
mod providers;
mod size;
mod tls;

use std::time::Duration;

use biped::{
    Error,
    config::{ConfigTable, Field, FieldType, Members, Section},
};

pub(crate) use self::{
    mention::Mention,
    parts::{CallerSettings, FileFormat, FileSettings, TokenUse, Warm},
    providers::{Http2, ProviderSettings},
    tls::TlsSettings,
};
use self::{
    parts::{callers, files},
    size::size,
};

/// The name of the section.
pub(crate) const NAME: &str = "serve";

/// The default addresses: port 7417 of both loopback addresses.
pub const DEFAULT_LISTEN: [&str; 2] = ["127.0.0.1:7417", "[::1]:7417"];

const FIELDS: &[Field] = &[
    Field::new("listen", FieldType::Texts).about(
        "Where to listen: addresses, and unix:PATH. Default: 127.0.0.1:7417 and [::1]:7417.",
    ),
    Field::new("probe_listen", FieldType::Texts)
        .about("Where to answer health, readiness and metrics only. Default: nowhere."),
    Field::new("socket_mode", FieldType::Text)
        .about("The permissions of Unix sockets. Default: 0600."),
    Field::new("socket_group", FieldType::Any)
        .about("The numeric group of Unix sockets. Default: the process's."),
    Field::new("hosts", FieldType::Texts)
        .about("Further names that a Host header may have. Default: none."),
    Field::new("origins", FieldType::Texts)
        .about("Further web origins that may read the page. Default: none."),
    Field::new("callers", FieldType::Any)
        .members(Members::List(parts::CALLER))
        .about(
            "Who may call: a list of { name, one of token, certificate and uid, providers, tokens, \
             tenants }. Default: everyone who can connect.",
        ),
    Field::new("only", FieldType::Texts).about("The providers that are served. Default: all."),
    Field::new("tokens", FieldType::Any).about(
        "Whether tokens are handed out: false, true (on Unix sockets, and to callers with tokens = \
         true), or \"any\". Default: false.",
    ),
    Field::new("require_header", FieldType::Bool)
        .about("Whether proxied calls need Biped-Request: 1 as well. Default: false."),
    Field::new("metrics", FieldType::Bool).about("Whether /-/metrics is served. Default: true."),
    Field::new("page", FieldType::Bool).about("Whether the page /-/, /-/status and /-/events are served. Default: true."),
    Field::new("quit", FieldType::Bool)
        .about("Whether POST /-/quit stops the process. Default: false."),
    Field::new("warm", FieldType::Any).about(
        "The providers whose tokens are fetched at the start: \"all\" or a list. Default: \"all\".",
    ),
    Field::new("warm_timeout", FieldType::Duration)
        .about("How long readiness waits for these tokens. Default: 10 s."),
    Field::new("ready_requires", FieldType::Texts)
        .about("The providers without whose tokens the process is not ready. Default: none."),
    Field::new("replay", FieldType::Choice(&["all", "safe", "off"])).about(
        "Which calls are sent once more with a new token: all, safe (GET, HEAD, OPTIONS) or off. \
         Default: all.",
    ),
    Field::new("replay_body", FieldType::Any)
        .about("How much of a body is kept to be sent again. Default: 64KiB."),
    Field::new("max_head", FieldType::Any)
        .about("The largest head of a request. Default: 64KiB."),
    Field::new("max_body", FieldType::Any)
        .about("The largest body of a request. Default: no limit."),
    Field::new("max_connections", FieldType::Integer)
        .about("How many connections of callers are open at a time. Default: 20000."),
    Field::new("max_in_flight", FieldType::Integer)
        .about("How many calls are made at a time. Default: 4096."),
    Field::new("response_timeout", FieldType::Duration)
        .about("How long an API may take to start its response. Default: 120 s."),
    Field::new("idle_timeout", FieldType::Duration)
        .about("How long a body may be silent. Default: 300 s."),
    Field::new("max_timeout", FieldType::Duration)
        .about("The longest time that a caller may ask for with Biped-Timeout. Default: 600 s."),
    Field::new("keep_alive", FieldType::Duration)
        .about("How long an idle connection of a caller is kept. Default: 300 s."),
    Field::new("oauth_max_ttl", FieldType::Duration)
        .about("The longest expires_in of the OAuth token endpoint. Default: 300 s."),
    Field::new("new_keys_per_minute", FieldType::Integer).about(
        "How many new combinations of parameters and scopes a caller may use in a minute. Default: 600.",
    ),
    Field::new("reload", FieldType::Bool)
        .about("Whether a changed configuration file is read again. Default: true."),
    Field::new("linger", FieldType::Duration)
        .about("How long new calls are still taken after a signal to stop. Default: 5 s."),
    Field::new("stop_timeout", FieldType::Duration)
        .about("How long calls may take after a signal to stop. Default: 25 s."),
    Field::new("access_log", FieldType::Choice(&["off", "errors", "all"]))
        .about("Which calls are logged to stderr. Default: errors."),
    Field::new("threads", FieldType::Integer)
        .about("How many threads serve. Default: the available cores, at most 4."),
    Field::new("files", FieldType::Any)
        .members(Members::List(parts::FILE))
        .about(
            "Files that tokens are written to: a list of { provider, path, format, mode, params, scope, \
             remove }.",
        ),
    Field::new("providers", FieldType::Table)
        .members(Members::Named(providers::FIELDS))
        .about("Settings of single providers, by their names."),
    Field::new("forward", FieldType::Bool).about("Reserved for the forward proxy."),
    Field::new("compat", FieldType::Texts).about("Reserved for the forms of other sidecars."),
    Field::new("otlp", FieldType::Any).about("Reserved for sending traces out."),
    Field::new("tls", FieldType::SecretTable)
        .members(Members::Table(tls::FIELDS))
        .about(
            "TLS of the TCP listeners, but those of probe_listen: { certificate, key, client_ca }, references \
             to PEM such as file:PATH, read again when they change. Default: none.",
        ),
];

/// The settings of a sidecar, as `[serve]` configures them.
#[derive(Clone, Debug)]
#[must_use]
pub struct Serve {
    pub(crate) listen: Vec<String>,
    /// Whether the addresses are the default ones, of which one may be missing.
    pub(crate) is_default_listen: bool,
    pub(crate) probe_listen: Vec<String>,
    pub(crate) socket_mode: u32,
    pub(crate) socket_group: Option<u32>,
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) callers: Vec<CallerSettings>,
    pub(crate) only: Option<Vec<Mention>>,
    pub(crate) tokens: TokenUse,
    pub(crate) require_header: bool,
    pub(crate) metrics: bool,
    pub(crate) page: bool,
    pub(crate) quit: bool,
    pub(crate) warm: Warm,
    pub(crate) warm_timeout: Duration,
    pub(crate) ready_requires: Vec<Mention>,
    pub(crate) replay: Replay,
    pub(crate) replay_body: u64,
    pub(crate) max_head: usize,
    pub(crate) max_body: Option<u64>,
    pub(crate) max_connections: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) response_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_timeout: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) oauth_max_ttl: Duration,
    pub(crate) new_keys_per_minute: u32,
    pub(crate) reload: bool,
    pub(crate) linger: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) access_log: AccessLog,
    pub(crate) threads: Option<usize>,
    pub(crate) files: Vec<FileSettings>,
    pub(crate) providers: Vec<(Mention, ProviderSettings)>,
}

/// Which calls are sent once more after their token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    All,
    Safe,
    Off,
}

/// Which calls are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessLog {
    Off,
    Errors,
    All,
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            listen: DEFAULT_LISTEN.map(str::to_owned).to_vec(),
            is_default_listen: true,
            probe_listen: Vec::new(),
            socket_mode: 0o600,
            socket_group: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            tls: None,
            callers: Vec::new(),
            only: None,
            tokens: TokenUse::Off,
            require_header: false,
            metrics: true,
            page: true,
            quit: false,
            warm: Warm::All,
            warm_timeout: Duration::from_secs(10),
            ready_requires: Vec::new(),
            replay: Replay::All,
            replay_body: 64 * 1024,
            max_head: 64 * 1024,
            max_body: None,
            max_connections: 20_000,
            max_in_flight: 4096,
            response_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(300),
            max_timeout: Duration::from_secs(600),
            keep_alive: Duration::from_secs(300),
            oauth_max_ttl: Duration::from_secs(300),
            new_keys_per_minute: 600,
            reload: true,
            linger: Duration::from_secs(5),
            stop_timeout: Duration::from_secs(25),
            access_log: AccessLog::Errors,
            threads: None,
            files: Vec::new(),
            providers: Vec::new(),
        }
    }
}

/// Returns the section `[serve]`, to be registered with
/// [`Builder::section`](biped::Builder::section) before the configuration is read.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let biped = biped::Biped::builder()
///     .section(biped_serve::section())
///     .toml("[serve]\nlisten = ['127.0.0.1:0']")
///     .build()?;
/// # let _ = biped;
/// # Ok::<(), biped::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn section() -> Section {
    let section = Section::new(NAME, read).about("How `biped serve` serves.");
    FIELDS.iter().cloned().fold(section, Section::field)
}

fn read(table: &ConfigTable) -> Result<Serve, Error> {
    let mut serve = Serve::default();
    for reserved in ["forward", "compat", "otlp"] {
        let is_off = table
            .value(reserved)
            .is_some_and(|value| value.to_bool() == Some(false));
        if table.value(reserved).is_some() && !is_off {
            drop(table.invalid(reserved, "reserved; this release does not support it yet"));
        }
    }
    if let Some(listen) = table.texts("listen") {
        (serve.listen, serve.is_default_listen) = (listen, false);
    }
    set(&mut serve.probe_listen, table.texts("probe_listen"));
    if let Some(mode) = table.string("socket_mode") {
        let read = u32::from_str_radix(&mode, 8).ok();
        let expected = "an octal number such as \"0660\"";
        set(
            &mut serve.socket_mode,
            table.checked("socket_mode", read, expected, |mode| *mode <= 0o777),
        );
    }
    if let Some(value) = table.value("socket_group") {
        let group = value
            .to_integer()
            .and_then(|group| u32::try_from(group).ok());
        serve.socket_group = table.checked("socket_group", group, "a group's number", |_| true);
    }
    set(&mut serve.hosts, table.texts("hosts"));
    set(&mut serve.origins, table.texts("origins"));
    serve.only = Mention::list(table, "only");
    set(&mut serve.require_header, table.boolean("require_header"));
    set(&mut serve.metrics, table.boolean("metrics"));
    set(&mut serve.page, table.boolean("page"));
    set(&mut serve.quit, table.boolean("quit"));
    set(&mut serve.tokens, TokenUse::read(table));
    set(&mut serve.warm, Warm::read(table));
    set(
        &mut serve.warm_timeout,
        table.positive_duration("warm_timeout"),
    );
    set(
        &mut serve.ready_requires,
        Mention::list(table, "ready_requires"),
    );
    let replays = [
        ("all", Replay::All),
        ("safe", Replay::Safe),
        ("off", Replay::Off),
    ];
    set(&mut serve.replay, table.choice("replay", &replays));
    set(&mut serve.replay_body, size(table, "replay_body"));
    let head = size(table, "max_head").and_then(|head| usize::try_from(head).ok());
    if let Some(head) = head {
        // hyper takes no smaller buffer.
        let held = table.checked("max_head", Some(head), "at least 8KiB", |head| {
            *head >= 8192
        });
        set(&mut serve.max_head, held);
    }
    serve.max_body = size(table, "max_body");
    set(&mut serve.max_connections, table.count("max_connections"));
    set(&mut serve.max_in_flight, table.count("max_in_flight"));
    for (key, time) in [
        ("response_timeout", &mut serve.response_timeout),
        ("idle_timeout", &mut serve.idle_timeout),
        ("max_timeout", &mut serve.max_timeout),
        ("keep_alive", &mut serve.keep_alive),
        ("oauth_max_ttl", &mut serve.oauth_max_ttl),
        ("stop_timeout", &mut serve.stop_timeout),
    ] {
        set(time, table.positive_duration(key));
    }
    set(&mut serve.linger, table.duration("linger"));
    set(
        &mut serve.new_keys_per_minute,
        table.count("new_keys_per_minute"),
    );
    set(&mut serve.reload, table.boolean("reload"));
    let logs = [
        ("off", AccessLog::Off),
        ("errors", AccessLog::Errors),
        ("all", AccessLog::All),
    ];
    set(&mut serve.access_log, table.choice("access_log", &logs));
    serve.threads = table.count("threads");
    serve.tls = tls::read(table);
    serve.callers = callers(table);
    serve.files = files(table);
    serve.providers = providers::read(table);
    Ok(serve)
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

impl Serve {
    /// Whether the sidecar is ready only with a token of this provider.
    pub(crate) fn requires(&self, provider: &str) -> bool {
        self.ready_requires.iter().any(|name| **name == *provider)
    }

    /// Returns how many threads serve.
    #[must_use]
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or(cores.min(4))
    }

    /// The keys of a change that only a restart can make.
    pub(crate) fn fixed(&self, old: &Self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        if self.threads() != old.threads() {
            keys.push("threads");
        }
        // Nothing counts unless it did so from the start.
        if self.metrics && !old.metrics {
            keys.push("metrics");
        }
        keys
    }

    /// Returns whether `/-/metrics` is served.
    #[must_use]
    pub fn metrics(&self) -> bool {
        self.metrics
    }

    /// Serves only at these addresses, whatever `listen` says: `ADDRESS:PORT`, or `unix:PATH`.
    pub fn listen(mut self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.listen = addresses.into_iter().map(Into::into).collect();
        self.is_default_listen = false;
        self
    }

    /// Serves these providers to a single caller with this token, at a single address, until the process
    /// ends: for a command that is run with a sidecar of its own. `tokens` says whether the caller may have
    /// tokens.
    pub fn for_one(
        mut self,
        caller: impl Into<biped::SecretString>,
        listen: impl Into<String>,
        names: impl IntoIterator<Item = impl Into<String>>,
        tokens: bool,
    ) -> Self {
        self.callers = vec![CallerSettings {
            name: "command".into(),
            token: Some(biped::provider::SecretRef::inline(caller)),
            uid: None,
            certificate: None,
            providers: None,
            tokens,
            tenants: vec![Mention::of_application("*".into(), "serve.callers.tenants")],
        }];
        self.tls = None;
        self.tokens = match tokens {
            true => TokenUse::On,
            false => TokenUse::Off,
        };
        self.probe_listen.clear();
        self.files.clear();
        self.ready_requires.clear();
        self.warm = Warm::All;
        (self.quit, self.reload) = (false, false);
        let mut serve = self.listen([listen]).only(names);
        serve
            .providers
            .iter_mut()
            .for_each(|(_, settings)| settings.listen.clear());
        serve
    }

    /// Serves only these providers.
    pub fn only(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter();
        let names = names.map(|name| Mention::of_application(name.into(), "serve.only"));
        self.only = Some(names.collect());
        self
    }

    /// Hands out tokens on Unix sockets, and to callers that may have them.
    pub fn tokens(mut self, tokens: bool) -> Self {
        if tokens && self.tokens == TokenUse::Off {
            self.tokens = TokenUse::On;
        }
        self
    }
}
