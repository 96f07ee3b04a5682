//! A configuration that is read again while the sidecar runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use biped::{
    Biped, Error,
    provider::{Clock, SystemClock, wire},
};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::{
    config::{NAME, Serve},
    files::TokenFile,
    listen::Listeners,
    live::Live,
    meter,
    peer::Shown,
    scrape,
    shared::{Configuration, Shared, Stage},
    upstream::OwnAddresses,
};

/// How often the file is checked for changes.
const LOOK: Duration = Duration::from_secs(1);
/// For how long a changed file must stay as it is.
const SETTLED: Duration = Duration::from_millis(250);

/// Checks a configuration against its settings, and opens what it needs: the same at the start and when it is
/// read again.
pub(crate) async fn open(
    biped: Biped,
    serve: Serve,
    own: &OwnAddresses,
    old: Option<&Live>,
) -> Result<(Live, Vec<TokenFile>), Error> {
    let live = Live::open(biped, serve, own, old).await?;
    let files = TokenFile::all(&live)?;
    Ok((live, files))
}

/// Hears what came of a changed file.
pub(crate) type Told = Arc<dyn Fn(Result<(), &Error>) + Send + Sync>;

/// Reads the configuration again.
pub(crate) struct Reload {
    pub(crate) path: Option<PathBuf>,
    pub(crate) read: Box<dyn Fn() -> Result<Biped, Error> + Send + Sync>,
    pub(crate) change: Box<dyn Fn(Serve) -> Serve + Send + Sync>,
    pub(crate) listeners: Arc<Mutex<Listeners>>,
    /// One at a time.
    pub(crate) turn: Mutex<()>,
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Reads the configuration again, and serves by it. The old one stays where that fails.
    pub(crate) async fn reload(self: &Arc<Self>, reload: &Arc<Reload>) -> Result<(), Error> {
        let outcome = self.take(reload).await;
        self.note_reading(reload.path.as_deref(), outcome.as_ref().err());
        meter::reloaded(outcome.is_ok());
        outcome
    }

    /// Notes what came of reading the configuration, for the page.
    pub(crate) fn note_reading(&self, path: Option<&Path>, error: Option<&Error>) {
        let mut noted = Configuration::clone(&self.configuration.load());
        noted.error = error.map(|error| wire::escaped(&error.to_string()).into_owned());
        noted.refused = path
            .filter(|_| error.is_some())
            .map(|path| contents(&files_of(path, &self.live.load().biped)));
        if error.is_none() {
            noted.read_at = Some(SystemClock.now().wall);
            noted.path = path.map(|path| path.display().to_string());
            noted.sha256 = path.and_then(hash_of).map(|hash| {
                let digits = hash.iter().map(|byte| format!("{byte:02x}"));
                digits.collect()
            });
        }
        self.configuration.store(Arc::new(noted));
    }

    async fn take(self: &Arc<Self>, reload: &Arc<Reload>) -> Result<(), Error> {
        let _turn = reload.turn.lock().await;
        let reading = reload.clone();
        let read = tokio::task::spawn_blocking(move || (reading.read)()).await;
        let biped = read.map_err(|error| {
            Error::internal("reading the configuration failed").with_source(error)
        })??;
        let serve = biped.section::<Serve>(NAME).cloned().unwrap_or_default();
        let serve = (reload.change)(serve);
        let old = self.live.load_full();
        // Clients wait for no token that is there already.
        biped.manager().adopt(old.biped.manager());
        let (live, _) = open(biped, serve, &self.own, Some(&old)).await?;
        let live = Arc::new(live);
        let limit = live.serve.warm_timeout;
        let sources: Vec<_> = live
            .warmed()
            .iter()
            .map(|served| served.source.clone())
            .collect();
        let warmed =
            async { tokio::join!(live.biped.manager().warm(sources), live.callers.read()) };
        tokio::select! {
            _ = warmed => {}
            () = SystemClock.sleep(limit) => {}
        }
        let mut listeners = reload.listeners.lock().await;
        if *self.stage.borrow() >= Stage::Closing {
            return Err(Error::configuration("the sidecar is about to end"));
        }
        let change = listeners.prepare(&live, Vec::new()).await?;
        for key in live.serve.fixed(&old.serve) {
            tracing::warn!("a change of [serve] {key} takes effect after a restart");
        }
        for gone in old.all().filter(|known| live.served(&known.name).is_none()) {
            scrape::removed(&gone.name);
        }
        self.live.store(live.clone());
        listeners.apply(change, self);
        let shown = listeners.shown(&live.serve);
        tell_addresses(&self.shown.load(), &shown);
        self.shown.store(Arc::new(shown));
        self.connected.limit_changed();
        self.reloads.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Says where the sidecar listens now.
fn tell_addresses(old: &Shown, new: &Shown) {
    for address in new
        .addresses
        .iter()
        .filter(|it| !old.addresses.contains(it))
    {
        tracing::info!("callers are served at {address}");
    }
    for address in new.probes.iter().filter(|it| !old.probes.contains(it)) {
        tracing::info!("probes are answered at {address}");
    }
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    resolved: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: (u64, u64),
}

impl Look {
    /// Follows links, so that a link that leads elsewhere now is seen.
    fn at(path: &Path) -> io::Result<Self> {
        let resolved = fs::canonicalize(path)?;
        let file = fs::metadata(&resolved)?;
        Ok(Self {
            size: file.len(),
            modified: file.modified().ok(),
            #[cfg(unix)]
            inode: {
                use std::os::unix::fs::MetadataExt;
                (file.dev(), file.ino())
            },
            resolved,
        })
    }
}

fn hash_of(path: &Path) -> Option<[u8; 32]> {
    fs::read(path).ok().map(|text| Sha256::digest(text).into())
}

/// Reads the configuration again whenever one of its files changes. Each outcome goes to `told`.
pub(crate) async fn watch(shared: Arc<Shared>, reload: Arc<Reload>, told: Told) {
    let Some(path) = reload.path.clone() else {
        return;
    };
    let mut stage = shared.stage.subscribe();
    let files = || files_of(&path, &shared.live.load().biped);
    let mut seen = looks(&files());
    let mut taken = contents(&files());
    loop {
        SystemClock.sleep(LOOK).await;
        let mut look = looks(&files());
        let is_mended = || {
            let noted = shared.configuration.load();
            let refused = noted.refused.as_ref();
            refused.is_some_and(|refused| *refused != contents(&files()))
        };
        if !shared.live.load().serve.reload || (look == seen && !is_mended()) {
            continue;
        }
        loop {
            SystemClock.sleep(SETTLED).await;
            let again = looks(&files());
            if again == look {
                break;
            }
            look = again;
        }
        seen = look;
        let now = contents(&files());
        // A file that is gone is about to come back; one that was named may be named no more.
        if !now.contains_key(&path) {
            continue;
        }
        // One that was named by the last change was read with it.
        let is_other = |(file, hash)| taken.get(file).is_some_and(|known| known != hash);
        let is_changed = now.iter().any(is_other);
        taken.extend(now);
        // The file that is in use may be back after one that was refused, or after it was missing.
        if !is_changed && !is_mended() {
            continue;
        }
        tokio::select! {
            biased;
            outcome = shared.reload(&reload) => told(outcome.as_ref().copied()),
            // What is under way ends with the configuration that it began with.
            _ = stage.wait_for(|stage| *stage >= Stage::Closing) => return,
        }
    }
}

/// The file of the configuration, and those that it names.
fn files_of(path: &Path, biped: &Biped) -> BTreeSet<PathBuf> {
    let named = biped.files().iter().cloned();
    named.chain([path.to_owned()]).collect()
}

fn looks(files: &BTreeSet<PathBuf>) -> Vec<Option<Look>> {
    files.iter().map(|file| Look::at(file).ok()).collect()
}

/// The hash of each file that can be read.
fn contents(files: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, [u8; 32]> {
    let hashes = files.iter();
    hashes
        .filter_map(|file| Some((file.clone(), hash_of(file)?)))
        .collect()
}

/// Keeps the tokens of callers and the certificate of the listeners as new as their places.
pub(crate) async fn watch_secrets(shared: Arc<Shared>) {
    loop {
        let live = shared.live.load_full();
        live.callers.begin_to_read();
        if let Some(tls) = live.tls.as_ref().filter(|tls| tls.is_due()) {
            tls.refresh().await;
        }
        drop(live);
        SystemClock.sleep(LOOK).await;
    }
}
