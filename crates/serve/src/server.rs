//! [`Server`] and [`Running`]: a sidecar, from its start to its end.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use biped::{
    Biped, Error,
    provider::{Clock, SystemClock},
};
use tokio::{sync::Mutex, task::JoinSet};

use crate::{
    config::{NAME, Serve, TokenUse},
    files::keep_all,
    health,
    listen::{Inherited, Listeners},
    meter,
    observe::{LogSink, Render},
    reload::{self, Reload, Told},
    shared::{Shared, Stage},
    upstream::OwnAddresses,
};

/// How long no caller must have been connected until lingering ends early.
const QUIET: Duration = Duration::from_secs(1);

/// A sidecar that has not been started.
///
/// ```no_run
/// use biped::Biped;
/// use biped_serve::{Server, section};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let biped = Biped::builder().section(section()).file("biped.toml").build()?;
/// let running = Server::new(biped).start().await?;
/// for address in running.addresses() {
///     println!("{address}");
/// }
/// running.quit_requested().await;
/// running.stop(true).await;
/// # Ok(()) }
/// ```
#[must_use]
pub struct Server {
    biped: Biped,
    serve: Serve,
    log: LogSink,
    render: Option<Render>,
    inherited: Vec<(Inherited, bool)>,
    reload: Option<Reload>,
    told: Told,
}

impl Server {
    /// A sidecar for these providers, with the settings of `[serve]` if that
    /// [section](crate::section) was registered.
    pub fn new(biped: Biped) -> Self {
        let serve = biped.section::<Serve>(NAME).cloned().unwrap_or_default();
        Self {
            biped,
            serve,
            log: LogSink::none(),
            render: None,
            inherited: Vec::new(),
            reload: None,
            told: Arc::new(|_| {}),
        }
    }

    /// Changes the settings.
    pub fn settings(mut self, change: impl FnOnce(Serve) -> Serve) -> Self {
        self.serve = change(self.serve);
        self
    }

    /// Sends the lines of the access log there, each a JSON object. Default: nowhere.
    pub fn access_log(mut self, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = LogSink::new(sink);
        self
    }

    /// Listens at this listener, such as one that systemd made, instead of at the addresses of `listen`.
    /// With `is_probe` only health, readiness and metrics are answered there. It may be called several
    /// times.
    pub fn inherit_tcp(mut self, listener: std::net::TcpListener, is_probe: bool) -> Self {
        self.inherited.push((Inherited::Tcp(listener), is_probe));
        self
    }

    /// Listens at this Unix socket, in the same way as [`inherit_tcp`](Self::inherit_tcp). It is not
    /// removed at the end.
    #[cfg(unix)]
    pub fn inherit_unix(
        mut self,
        listener: std::os::unix::net::UnixListener,
        is_probe: bool,
    ) -> Self {
        self.inherited.push((Inherited::Unix(listener), is_probe));
        self
    }

    /// Serves on `/-/metrics` what `render` returns, which is the text of the recorder that the
    /// application installed for the `metrics` crate. Default: the route is unknown.
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.render = Some(Render(Arc::new(render)));
        self
    }

    /// Reads the configuration again with `read` when the file at `path` changes, and when
    /// [`Running::reload`] says so. `change` is applied to its settings, and `told` hears what came of a
    /// changed file. Default: the configuration is never read again.
    ///
    /// Tokens of providers that did not change are kept, and calls under way end by the configuration that
    /// they began with. A configuration that can't be used changes nothing, nor does one with an address that
    /// can't be listened at. `threads` takes effect after a restart, and so does `metrics` when it is switched
    /// on.
    pub fn reloading(
        mut self,
        path: Option<PathBuf>,
        read: impl Fn() -> Result<Biped, Error> + Send + Sync + 'static,
        change: impl Fn(Serve) -> Serve + Send + Sync + 'static,
        told: impl Fn(Result<(), &Error>) + Send + Sync + 'static,
    ) -> Self {
        self.reload = Some(Reload {
            path,
            read: Box::new(read),
            change: Box::new(change),
            listeners: Arc::default(),
            turn: tokio::sync::Mutex::default(),
        });
        self.told = Arc::new(told);
        self
    }

    /// Listens, and starts to fetch the first tokens. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Configuration`](biped::ErrorKind::Configuration) for a configuration without providers, for settings
    /// that name unknown ones, and for addresses that can't be listened at. Never because a vendor is down.
    pub async fn start(self) -> Result<Running, Error> {
        let Self {
            biped,
            serve,
            log,
            render,
            inherited,
            reload,
            told,
        } = self;
        let own = OwnAddresses::default();
        let (live, files) = reload::open(biped, serve, &own, None).await?;
        let change = Listeners::default().prepare(&live, inherited).await?;
        let shared = Arc::new(Shared::new(live, own, log, render));
        let live = shared.live.load_full();
        let all = match &reload {
            Some(reload) => reload.listeners.clone(),
            None => Arc::default(),
        };
        let mut listeners = all.lock().await;
        listeners.apply(change, &shared);
        shared.shown.store(Arc::new(listeners.shown(&live.serve)));
        let is_open = live.callers.is_empty() && listeners.has_tcp();
        let has_socket = listeners.has_socket();
        drop(listeners);
        let mut notes = Vec::new();
        if is_open {
            notes.push(
                "every process of this machine may call; configure [[serve.callers]] or a Unix \
                 socket to limit that",
            );
        }
        if live.serve.tokens == TokenUse::Any && is_open {
            notes.push(
                "any process on this machine can get tokens, because serve.tokens is \"any\"; set true to \
                 restrict that",
            );
        }
        if !has_socket && live.serve.callers.iter().any(|it| it.uid.is_some()) {
            notes.push(
                "a caller with uid can call through a Unix socket only; add \"unix:PATH\" to [serve] \
                 listen",
            );
        }
        meter::reloaded(true);
        let path = reload.as_ref().and_then(|reload| reload.path.as_deref());
        shared.note_reading(path, None);
        let mut tasks = JoinSet::new();
        tasks.spawn(health::warm_up(shared.clone(), live));
        tasks.spawn(keep_all(files, shared.clone()));
        tasks.spawn(reload::watch_secrets(shared.clone()));
        let reload = reload.map(Arc::new);
        if let Some(reload) = &reload {
            tasks.spawn(reload::watch(shared.clone(), reload.clone(), told));
        }
        Ok(Running {
            reload,
            shared,
            listeners: all,
            notes,
            tasks,
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("biped", &self.biped)
            .finish_non_exhaustive()
    }
}

/// A sidecar that runs. It ends at once when it is dropped.
pub struct Running {
    shared: Arc<Shared>,
    listeners: Arc<Mutex<Listeners>>,
    notes: Vec<&'static str>,
    reload: Option<Arc<Reload>>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Where callers connect, as they write it: `http://127.0.0.1:7417`, `https://…` with TLS,
    /// `unix:/run/biped.sock`, or `NAME http://127.0.0.1:7420` for a listener of a single provider. A reload
    /// may change it.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.shared.shown.load().addresses.clone()
    }

    /// Where probes connect.
    #[must_use]
    pub fn probe_addresses(&self) -> Vec<String> {
        self.shared.shown.load().probes.clone()
    }

    /// What an operator should know, a sentence each.
    #[must_use]
    pub fn notes(&self) -> &[&'static str] {
        &self.notes
    }

    /// Waits until the first fetches have ended, well or badly.
    pub async fn warmed(&self) {
        self.shared.warmed().await;
    }

    /// Reads the configuration again, as [`Server::reloading`] says.
    ///
    /// # Errors
    /// As reading the configuration, and [`Server::start`]; the old one stays.
    pub async fn reload(&self) -> Result<(), Error> {
        match &self.reload {
            Some(reload) => self.shared.reload(reload).await,
            None => Ok(()),
        }
    }

    /// Completes when a caller asks for the end (`POST /-/quit`).
    pub async fn quit_requested(&self) {
        self.shared.quit.notified().await;
    }

    /// Stops. With `linger` new calls are taken for a while, since a sidecar is often told to stop
    /// together with its application. Then calls under way end, and the store is told of the tokens that are being
    /// fetched, within `stop_timeout` of `[serve]` from
    /// now on.
    pub async fn stop(mut self, linger: bool) {
        let (shared, live) = (self.shared.clone(), self.shared.live.load_full());
        let serve = &live.serve;
        let end = SystemClock.sleep(serve.stop_timeout);
        let graceful = async {
            if linger && !serve.linger.is_zero() {
                shared.stage.send_replace(Stage::Lingering);
                tokio::select! {
                    () = SystemClock.sleep(serve.linger) => {}
                    () = shared.presence.quiet(QUIET) => {}
                }
            }
            shared.stage.send_replace(Stage::Closing);
            // Callers that come now are refused at once, instead of waiting for nobody.
            self.listeners.lock().await.close().await;
            shared.presence.gone().await;
            live.biped.manager().drain_store().await;
        };
        tokio::select! {
            biased;
            () = graceful => {}
            () = end => {}
        }
        shared.stage.send_replace(Stage::Over);
        self.listeners.lock().await.close().await;
        self.tasks.shutdown().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stage.send_replace(Stage::Over);
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("addresses", &self.addresses())
            .finish_non_exhaustive()
    }
}
