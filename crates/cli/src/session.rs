//! [`Session`]: what all commands share: the configuration, the time they have, the runtime.

use std::{
    cell::{Cell, OnceCell},
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use biped::{Biped, Builder, Clock, Error, SystemClock, Timestamp, TokenManager, TokenSource};
use clap::builder::styling::AnsiColor;
use etcetera::BaseStrategy;

use crate::{Outcome, args::Global, failure::Failure, output};

/// The name of the configuration file.
pub(crate) const FILE_NAME: &str = "biped.toml";

/// What is kept of the time for ending, so that the whole command ends within it.
const ENDING: Duration = Duration::from_millis(500);

/// The longest that a command waits, when it is done, for a token that is being renewed.
const RENEWING: Duration = Duration::from_secs(2);

/// The longest that it waits for the store in any case.
const STORING: Duration = Duration::from_millis(250);

/// What all commands share.
#[derive(Debug)]
pub(crate) struct Session {
    builder: Builder,
    file: Option<PathBuf>,
    timeout: Duration,
    /// When the time is over, on the monotonic clock.
    deadline: Cell<Duration>,
    /// The engine, once there is one.
    manager: OnceCell<TokenManager>,
    json: bool,
    verbose: bool,
}

impl Session {
    pub(crate) fn new(builder: Builder, global: &Global, json: bool) -> Self {
        let mut builder = builder;
        if let Some(store) = global.store {
            builder = builder.option("--store", "store.kind", store.as_str());
        }
        let session = Self {
            builder,
            file: global.config.clone(),
            timeout: global.timeout,
            deadline: Cell::default(),
            manager: OnceCell::new(),
            json,
            verbose: global.verbose > 0,
        };
        session.start_time();
        session
    }

    /// Starts the command's time, or starts it again after waiting for somebody's input.
    pub(crate) fn start_time(&self) {
        let ending = ENDING.min(self.timeout / 20);
        let end = SystemClock.now().mono.saturating_add(self.timeout - ending);
        self.deadline.set(end);
    }

    /// The file that `--config` names.
    pub(crate) fn named_file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The sources of the configuration: the file, and the command's own defaults.
    pub(crate) fn builder(&self) -> Builder {
        // A command's patience is its time, unless somebody says otherwise.
        let patience = match self.timeout.as_secs_f64() {
            0.0 => 3600.0,
            seconds => seconds,
        };
        let mut builder = self
            .builder
            .clone()
            .default_value("engine.max_wait", patience)
            // Whoever runs a command again wants to know how it stands now.
            .default_value("engine.share_failures", false);
        if etcetera::choose_base_strategy().is_ok() {
            // Each run is a process: without this, each would ask the vendor.
            builder = builder.default_value("store.kind", "file");
        }
        let file = self
            .file
            .clone()
            .or_else(|| usual_files().find(|file| file.exists()));
        match file {
            Some(file) => builder.file(file),
            None => builder,
        }
    }

    /// What is configured.
    pub(crate) fn biped(&self) -> Result<Biped, Error> {
        let biped = self.builder().build()?;
        let _ = self.manager.set(biped.manager().clone());
        if biped.names().len() == 0 {
            return Err(self.nothing_configured());
        }
        Ok(biped)
    }

    /// Whether errors are told as JSON, and nothing else on stderr.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Why there is no provider.
    pub(crate) fn nothing_configured(&self) -> Error {
        let found = self
            .file
            .clone()
            .or_else(|| usual_files().find(|file| file.exists()));
        match found {
            Some(file) => {
                let place = file.display();
                Error::configuration(format!("{place} configures no provider"))
                    .with_remedy("add a table [providers.NAME]")
            }
            None => {
                let places: Vec<_> = usual_files()
                    .map(|file| file.display().to_string())
                    .collect();
                Error::configuration(format!("there is no {}", places.join(" and no ")))
                    .with_remedy("name one with --config, or write one with: biped init")
            }
        }
    }

    /// Runs what has to wait for something. What is still going on afterwards is left alone, but
    /// for tokens on their way into the store.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Error::internal(format!("no runtime can be started: {error}")))?;
        let outcome = runtime.block_on(async {
            let outcome = work.await;
            self.settle().await;
            outcome
        });
        runtime.shutdown_background();
        outcome
    }

    async fn settle(&self) {
        let Some(manager) = self.manager.get() else {
            return;
        };
        let left = self.deadline.get().saturating_sub(SystemClock.now().mono);
        tokio::select! {
            biased;
            () = manager.quiet() => {}
            () = SystemClock.sleep(left.clamp(STORING, RENEWING)) => {}
        }
    }

    /// Gives work on a provider the time that is left.
    pub(crate) async fn limited<T, E: Into<Failure>>(
        &self,
        provider: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Outcome<T> {
        if self.timeout.is_zero() {
            return work.await.map_err(Into::into);
        }
        let left = self.deadline.get().saturating_sub(SystemClock.now().mono);
        tokio::select! {
            biased;
            outcome = work => outcome.map_err(Into::into),
            () = SystemClock.sleep(left) => {
                let seconds = self.timeout.as_secs_f64();
                let error = Error::unreachable(format!("no complete answer within {seconds} s"))
                    .with_remedy("--timeout gives it more time");
                Err(error.with_provider(provider).into())
            }
        }
    }

    /// Tells on stderr what a provider has to say to its operator.
    pub(crate) fn warn(&self, source: &TokenSource) {
        let provider = source.provider();
        if self.json || self.verbose {
            // Nobody reads it, or the log told it when the configuration was read.
            return;
        }
        if let Some(warning) = provider.warning(now()) {
            let name = provider.id().name();
            output::marked("warning", AnsiColor::Yellow, &format!("{name}: {warning}"));
        }
    }
}

/// What the clock on the wall says.
pub(crate) fn now() -> Timestamp {
    SystemClock.now().wall
}

/// Where the configuration file is looked for, if nobody says where it is.
fn usual_files() -> impl Iterator<Item = PathBuf> {
    let platform = etcetera::choose_base_strategy().ok();
    let platform = platform.map(|base| base.config_dir().join("biped").join(FILE_NAME));
    [PathBuf::from(FILE_NAME)].into_iter().chain(platform)
}
