//! [`Session`]: what all commands share: the configuration, the deadline and the runtime.

mod ending;
mod rereading;

use std::{
    cell::{Cell, OnceCell},
    ffi::{OsStr, OsString},
    future::Future,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    time::Duration,
};

use biped::{
    Biped, Builder, Error, ErrorKind, Settings, Timestamp, TokenSource,
    config::{ConfigFile, OwnerCheck, References},
    provider::{Clock, PlainHttp, SystemClock},
};
use clap::builder::styling::AnsiColor;
use etcetera::BaseStrategy;

use self::rereading::Doubt;
pub(crate) use self::rereading::Rereading;
use crate::{
    args::{self, Args},
    failure::{Failure, Outcome},
    output, threads,
    trust::{self, Standing, Trusted, place_of},
};

/// The name of the configuration file.
pub(crate) const FILE_NAME: &str = "biped.toml";

/// The variable that names the configuration file if the command line does not.
const FILE_VARIABLE: &str = "BIPED_CONFIG";

/// The part of the timeout that is reserved for ending the command.
const ENDING: Duration = Duration::from_millis(500);

/// How long a command waits for threads that can't be interrupted, such as those that read a file.
const SHUTDOWN: Duration = Duration::from_millis(100);

/// What all commands share.
#[derive(Debug)]
pub(crate) struct Session {
    builder: Builder,
    /// The file that `--config` or the environment names.
    named: Option<PathBuf>,
    /// The configuration file, after the first search for it.
    found: OnceCell<Option<Found>>,
    timeout: Duration,
    /// Whether the timeout limits the whole command.
    is_limited: bool,
    /// The deadline, on the monotonic clock.
    deadline: Cell<Duration>,
    /// The providers, after they were built.
    biped: OnceCell<Biped>,
    /// Whether the command line selects the scopes.
    selects_scopes: bool,
    json: bool,
    verbose: bool,
}

/// A configuration file.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: ConfigFile,
    /// Whether it was found in the working directory, without being named.
    is_chance: bool,
}

impl Session {
    pub(crate) fn new(builder: Builder, args: &Args) -> Self {
        let global = &args.global;
        if let Some(state) = trust::state_directory() {
            biped::oauth2::remember_refused_pins(state.join("refused-pins"));
        }
        let mut builder = builder;
        if let Some(store) = &global.store {
            builder = builder.option("--store", "store.kind", store.as_str());
        }
        let variable = || {
            std::env::var_os(FILE_VARIABLE).filter(|name: &OsString| !name.as_os_str().is_empty())
        };
        let session = Self {
            builder,
            named: global.config.clone().or_else(|| Some(variable()?.into())),
            found: OnceCell::new(),
            timeout: global.timeout,
            is_limited: args.command.is_limited() && !global.timeout.is_zero(),
            deadline: Cell::default(),
            biped: OnceCell::new(),
            selects_scopes: args.command.selects_scopes(),
            json: args.command.wants_json(),
            verbose: global.verbose > 0,
        };
        session.start_time();
        session
    }

    /// Returns the command line, with the available kinds of store.
    pub(crate) fn command_line(&self) -> clap::Command {
        args::line(&self.builder)
    }

    /// Starts the timeout, or restarts it after waiting for input.
    pub(crate) fn start_time(&self) {
        let ending = ENDING.min(self.timeout / 20);
        let end = SystemClock.now().mono.saturating_add(self.timeout - ending);
        self.deadline.set(end);
    }

    /// Returns the file that `--config` or the environment names.
    pub(crate) fn named_file(&self) -> Option<&Path> {
        self.named.as_deref()
    }

    /// Returns the configuration file: the one that is named, else the first that exists in the usual
    /// places.
    pub(crate) fn found(&self) -> Result<Option<&Found>, Error> {
        if let Some(found) = self.found.get() {
            return Ok(found.as_ref());
        }
        let found = match &self.named {
            Some(path) => Some(path.clone()),
            None => usual_files().find(|file| file.exists()),
        };
        let found = match found {
            None => None,
            Some(path) => {
                let is_chance = self.named.is_none() && path == Path::new(FILE_NAME);
                let check = match is_chance {
                    true => OwnerCheck::Refuse,
                    false => OwnerCheck::Warn,
                };
                let file = ConfigFile::open(path, check)?;
                Some(Found { file, is_chance })
            }
        };
        Ok(self.found.get_or_init(|| found).as_ref())
    }

    /// Returns the sources of the configuration: the file, and the command's defaults.
    pub(crate) fn builder(&self) -> Result<Builder, Error> {
        let builder = self.builder_without_file();
        Ok(match self.found()? {
            Some(found) => builder.opened_file(found.file.clone()),
            None => builder,
        })
    }

    /// Returns the sources of the configuration without the file.
    pub(crate) fn builder_without_file(&self) -> Builder {
        // By default a command waits for a token as long as it may run.
        let patience = match self.timeout.as_secs_f64() {
            0.0 => 3600.0,
            seconds => seconds,
        };
        let mut builder = self
            .builder
            .clone()
            .default_value("engine.max_wait", patience)
            // A user who runs a command again wants to know the present state.
            .default_value("engine.share_failures", false);
        if etcetera::choose_base_strategy().is_ok() {
            // Each run is a process: without a store each would ask the vendor.
            builder = builder.default_value("store.kind", "file");
        }
        builder
    }

    /// Returns the names of the configured providers, as far as the configuration can be read: for what
    /// offers them. `config` names the file, as `--config` does.
    pub(crate) fn provider_names(&self, config: Option<&OsStr>) -> Vec<String> {
        let builder = match config {
            None => self.builder(),
            Some(path) => ConfigFile::open(path, OwnerCheck::Off)
                .map(|file| self.builder_without_file().opened_file(file)),
        };
        let settings = builder
            .and_then(|builder| builder.config())
            .unwrap_or_default();
        let keys = settings.iter().map(|setting| setting.key.as_str());
        let kinds = keys.filter_map(|key| key.strip_prefix("providers.")?.strip_suffix(".kind"));
        let names: Vec<_> = kinds.collect();
        let is_below = |name: &&str, other: &&str| {
            let rest = name.strip_prefix(other);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        let is_own = |name: &&&str| !names.iter().any(|other| is_below(name, other));
        names
            .iter()
            .filter(is_own)
            .map(|name| (*name).to_owned())
            .collect()
    }

    /// Builds the providers for use. Asks whether to trust the file, if necessary.
    pub(crate) fn biped(&self) -> Outcome<Biped> {
        let builder = self.builder()?;
        self.ensure_trust(&builder)?;
        Ok(self.made(builder)?)
    }

    /// Builds the providers for a process that stays: with the engine's own defaults, and without a
    /// store unless one is configured.
    pub(crate) fn resident(&self) -> Outcome<Biped> {
        let builder = self.builder()?;
        self.ensure_trust(&builder)?;
        Ok(self.made(as_resident(builder))?)
    }

    /// Returns the configuration file of a process that stays, to be read again.
    pub(crate) fn rereading(&self) -> Result<Option<Rereading>, Error> {
        let Some(found) = self.found()? else {
            return Ok(None);
        };
        Ok(Some(Rereading {
            builder: as_resident(self.builder_without_file()),
            path: found.file.path().to_owned(),
            is_chance: found.is_chance,
        }))
    }

    /// Builds the providers for display: it runs no command, and resolves nothing in an untrusted file.
    /// Also returns why the file is not trusted.
    pub(crate) fn shown(&self) -> Outcome<(Biped, Option<Error>)> {
        let builder = self.builder()?;
        let (references, doubt) = match self.doubt(&builder)? {
            None => (References::WithoutCommands, None),
            Some(doubt) => (References::None, Some(doubt.error())),
        };
        Ok((self.made(builder.references(references))?, doubt))
    }

    /// Builds the providers of a builder.
    pub(crate) fn made(&self, builder: Builder) -> Result<Biped, Error> {
        let biped = rereading::built(builder, || self.nothing_configured())?;
        let _ = self.biped.set(biped.clone());
        Ok(biped)
    }

    /// Returns why the file may not be used, if it is not trusted.
    fn doubt(&self, builder: &Builder) -> Result<Option<Doubt>, Error> {
        let Some(found) = self.found()?.filter(|found| found.is_chance) else {
            return Ok(None);
        };
        let reach = builder.reach(&found.file)?;
        let place = place_of(found.file.path())?;
        let standing = match Trusted::of_user() {
            Ok(trusted) => trusted.standing(&place, &reach),
            Err(_) => Standing::Unknown,
        };
        Ok(match standing {
            Standing::Trusted => None,
            standing => Some(Doubt {
                place,
                standing,
                reach,
            }),
        })
    }

    fn ensure_trust(&self, builder: &Builder) -> Outcome {
        let Some(doubt) = self.doubt(builder)? else {
            return Ok(());
        };
        let is_asked = !self.json && io::stdin().is_terminal() && io::stderr().is_terminal();
        if !is_asked {
            return Err(doubt.error().into());
        }
        let Doubt {
            place,
            standing,
            reach,
        } = &doubt;
        let question = anstream::stderr().lock();
        let is_trusted = trust::ask(io::stdin().lock(), question, place, *standing, reach);
        // The time for the answer does not count.
        self.start_time();
        match is_trusted {
            Ok(true) => Ok(Trusted::of_user()?.record(place, reach)?),
            _ => Err(doubt.error().into()),
        }
    }

    /// Trusts a file that this command has written.
    pub(crate) fn trust_own(&self, path: &Path) {
        let trusted = || {
            let file = ConfigFile::open(path, OwnerCheck::Warn)?;
            let reach = self.builder_without_file().reach(&file)?;
            Trusted::of_user()?.record(&place_of(path)?, &reach)
        };
        if let Err(error) = trusted() {
            output::marked("warning", AnsiColor::Yellow, &error.to_string());
        }
    }

    /// Whether stderr contains errors as JSON and nothing else.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether errors are told with their causes.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// The error for a configuration without providers.
    pub(crate) fn nothing_configured(&self) -> Error {
        let found = match &self.named {
            Some(path) => Some(path.clone()),
            None => usual_files().find(|file| file.exists()),
        };
        match found {
            Some(file) => rereading::nothing_in(&file),
            None => {
                let places: Vec<_> = usual_files()
                    .map(|file| file.display().to_string())
                    .collect();
                let what = match &places[..] {
                    [here, platform] => format!("neither {here} nor {platform} exists"),
                    _ => format!("{FILE_NAME} does not exist"),
                };
                Error::configuration(what)
                    .with_remedy("name a file with --config, or write one with: biped init")
            }
        }
    }

    /// Runs asynchronous work. Afterwards it waits for tokens that are being stored, and abandons
    /// everything else.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        self.block_on_with(2, work)
    }

    /// The same without threads of its own, for work that often finds in the store what it needs: starting
    /// them takes longer than that.
    pub(crate) fn block_on_briefly<T>(&self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        self.block_on_with(1, work)
    }

    fn block_on_with<T>(
        &self,
        threads: usize,
        work: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        let runtime = threads::runtime(threads)?;
        let outcome = runtime.block_on(async {
            let outcome = work.await;
            self.settle().await;
            outcome
        });
        // Ends the fetches, and with them the secret commands that still run.
        runtime.shutdown_timeout(SHUTDOWN);
        outcome
    }

    async fn settle(&self) {
        let Some(biped) = self.biped.get() else {
            return;
        };
        let left = self.is_limited.then(|| self.left());
        let patience = ending::patience(left, ending::rotates(biped));
        tokio::select! {
            biased;
            () = biped.manager().drain() => {}
            () = SystemClock.sleep(patience) => {}
        }
    }

    /// How much of the timeout is left.
    fn left(&self) -> Duration {
        self.deadline.get().saturating_sub(SystemClock.now().mono)
    }

    /// Limits work on a provider to the time that is left.
    pub(crate) async fn limited<T, E: Into<Failure>>(
        &self,
        provider: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Outcome<T> {
        let work = async {
            work.await.map_err(|error| match error.into() {
                Failure::Biped(error) => Failure::Biped(self.with_place(provider, error)),
                other => other,
            })
        };
        if self.timeout.is_zero() {
            return work.await;
        }
        tokio::select! {
            biased;
            outcome = work => outcome,
            () = SystemClock.sleep(self.left()) => {
                let seconds = self.timeout.as_secs_f64();
                let error = Error::unreachable(format!("no complete response within {seconds} s"))
                    .with_remedy("allow more time with --timeout");
                Err(error.with_provider(provider).into())
            }
        }
    }

    /// Says where the scope is configured, if a vendor refuses it.
    fn with_place(&self, provider: &str, error: Error) -> Error {
        let refuses_scope = error.kind() == ErrorKind::Refused
            && error.token_source().is_none()
            && error.vendor().is_some_and(|vendor| {
                let mut words = [&vendor.code, &vendor.reason].into_iter().flatten();
                words.any(|word| word.eq_ignore_ascii_case("invalid_scope"))
            });
        if !refuses_scope {
            return error;
        }
        if self.selects_scopes {
            return error.with_remedy("check --scope");
        }
        let key = format!("providers.{provider}.scope");
        let settings = self.biped.get().map_or(&[][..], Biped::config);
        // A list has a setting for each item.
        let setting = settings.iter().find(|setting| {
            let rest = setting.key.strip_prefix(&key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        match setting {
            Some(setting) => {
                error.with_remedy(format!("check scope ({key}, {})", setting.origin.plain()))
            }
            None => error.with_remedy(format!("set {key}")),
        }
    }

    /// Prints a provider's warning to stderr.
    pub(crate) fn warn(&self, source: &TokenSource) {
        let provider = source.provider();
        if self.json || self.verbose {
            // With JSON a program reads stderr, and with --verbose the log contains the warning already.
            return;
        }
        let warnings = [
            provider.warning(now()),
            provider.plain_http().and_then(PlainHttp::warning),
            provider.request_warning(source.request()),
        ];
        for warning in warnings.into_iter().flatten() {
            let name = provider.id().name();
            let text = format!("{name}: {warning}");
            output::marked("warning", AnsiColor::Yellow, &text);
        }
    }
}

/// Changes the command's defaults to those of a process that stays.
fn as_resident(builder: Builder) -> Builder {
    builder
        .default_value("engine.max_wait", Settings::MAX_WAIT.as_secs_f64())
        .default_value("engine.share_failures", true)
        .default_value("store.kind", "memory")
}

/// The time of the wall clock.
pub(crate) fn now() -> Timestamp {
    SystemClock.now().wall
}

/// The places of a configuration file that is not named.
fn usual_files() -> impl Iterator<Item = PathBuf> {
    let platform = etcetera::choose_base_strategy().ok();
    let platform = platform.map(|base| base.config_dir().join("biped").join(FILE_NAME));
    [PathBuf::from(FILE_NAME)].into_iter().chain(platform)
}
