//! [`Directory`]: the files, and the rules that make them private.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use biped_core::{
    IdentityKey, LeaseId, StoreError, Timestamp, TokenKey, replace_file, replace_file_durably, wire,
};
use fs4::{FileExt, TryLockError};
use zeroize::Zeroizing;

use crate::entry::Entry;

/// The file of the directory's own key.
const IDENTITY: &str = "identity.key";
/// The size of the largest entry. A larger file is not an entry.
const MAX_SIZE: u64 = 4 * 1024 * 1024;
/// The age at which a temporary file has been abandoned.
const ABANDONED: Duration = Duration::from_secs(60);
/// How long files that were set aside are kept.
const ASIDE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A private directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Whether the directory is used for nothing else.
    own: bool,
}

/// The outcome of a sweep.
pub(crate) struct Swept {
    /// How many files were removed.
    pub(crate) removed: usize,
    /// Whether every file was checked.
    pub(crate) all: bool,
}

/// The lock of the directory, until it is dropped.
pub(crate) struct Guard(#[allow(dead_code)] File);

impl Directory {
    /// A directory that the application named, and may use for other files.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, own: false }
    }

    /// A directory that is used for nothing else.
    pub(crate) fn own(path: PathBuf) -> Self {
        Self { path, own: true }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a missing directory, and refuses one that others can write to. A directory that is used for
    /// nothing else is made private again.
    pub(crate) fn prepare(&self) -> Result<(), StoreError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&self.path)
            .map_err(|error| self.failed("be made", &error))?;
        if self.own {
            make_private(&self.path);
        }
        let metadata = fs::metadata(&self.path).map_err(|error| self.failed("be read", &error))?;
        match owner_problem(&metadata) {
            None => Ok(()),
            Some(problem) => Err(StoreError::new(format!(
                "the directory {} {problem}, and tokens are not kept there",
                self.path.display()
            ))),
        }
    }

    /// Whether the directory is there, and only its owner can write to it.
    pub(crate) fn is_safe(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| owner_problem(&found).is_none())
    }

    /// Takes the lock. Returns `None` while it is taken.
    pub(crate) fn lock(&self) -> Result<Option<Guard>, StoreError> {
        let file = private()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path.join("lock"))
            .map_err(|error| self.failed("be locked", &error))?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Some(Guard(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.failed("be locked", &error)),
        }
    }

    /// Reads the entry of a key. Returns `None` if the file is not an entry.
    pub(crate) fn read(&self, key: &TokenKey, now: Timestamp) -> Result<Option<Entry>, StoreError> {
        let content = match self.content(&self.token(key)) {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Entry::default()));
            }
            Err(error) => return Err(self.failed("be read", &error)),
        };
        Ok(Entry::read(&content, now))
    }

    /// Reads a file that only its owner can read. Returns `None` for any other file.
    pub(crate) fn content(&self, path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let file = match private().read(true).open(path) {
            Ok(file) => file,
            Err(error) => {
                // The store makes no links, and no files that it can't read.
                let denied = error.kind() == io::ErrorKind::PermissionDenied;
                let is_foreign = |found: &fs::Metadata| denied || !found.is_file();
                return match fs::symlink_metadata(path) {
                    Ok(found) if is_foreign(&found) => Ok(None),
                    _ => Err(error),
                };
            }
        };
        let metadata = file.metadata()?;
        let is_ours = metadata.is_file()
            && metadata.len() <= MAX_SIZE
            && owner_problem(&metadata).is_none()
            && !is_open_to_others(&metadata);
        if !is_ours {
            return Ok(None);
        }
        let length = usize::try_from(metadata.len()).unwrap_or(0);
        let mut content = Zeroizing::new(Vec::with_capacity(length + 1));
        (&file).take(MAX_SIZE + 1).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    /// Replaces an entry atomically.
    ///
    /// The file is not forced to the disk: a token that is lost in a power cut is fetched again.
    pub(crate) fn write(
        &self,
        _: &Guard,
        key: &TokenKey,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let place = self.token(key);
        if entry.is_over(now) {
            return match fs::remove_file(place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(self.failed("be written", &error))
                }
                _ => Ok(()),
            };
        }
        let content = entry.write();
        if content.len() as u64 > MAX_SIZE {
            return Err(StoreError::new("the token is too large to be stored"));
        }
        replace_file(&place, &content).map_err(|error| self.failed("be written", &error))
    }

    /// Removes the entry of a key, which may work even if nothing can be written.
    pub(crate) fn remove(&self, _: &Guard, key: &TokenKey) {
        let _ = fs::remove_file(self.token(key));
    }

    /// Reads the directory's own key. Returns `None` if there is no valid one.
    pub(crate) fn identity(&self) -> Result<Option<IdentityKey>, StoreError> {
        let content = match self.content(&self.path.join(IDENTITY)) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.failed("be read", &error)),
        };
        let bytes = content.and_then(|content| content[..].try_into().ok());
        Ok(bytes.map(IdentityKey::from_bytes))
    }

    /// Makes the directory's own key. The caller holds the lock, and has found no key.
    pub(crate) fn make_identity(
        &self,
        _: &Guard,
        now: Timestamp,
    ) -> Result<IdentityKey, StoreError> {
        let place = self.path.join(IDENTITY);
        if fs::symlink_metadata(&place).is_ok() {
            let aside = self
                .path
                .join(format!("identity.{}.aside", now.unix_millis()));
            tracing::warn!(
                "the file {IDENTITY} in {} is not a key of its owner's alone; it is set aside, and \
                 each token is fetched anew",
                wire::Escaped(&self.path.to_string_lossy())
            );
            fs::rename(&place, aside).map_err(|error| self.failed("be written", &error))?;
        }
        let key = IdentityKey::random()?;
        // Forced to the disk: after a power cut the key might be zeros, which is not a secret.
        replace_file_durably(&place, key.as_bytes(), 0o600)
            .map_err(|error| self.failed("be written", &error))?;
        Ok(key)
    }

    /// Sets aside a file that is not an entry, in place of an earlier one.
    pub(crate) fn set_aside(&self, _: &Guard, key: &TokenKey) -> Result<(), StoreError> {
        let aside = self.aside(key);
        tracing::warn!(
            "the file {key}.token in {} is not a stored token that is its owner's alone; it is set aside",
            wire::Escaped(&self.path.to_string_lossy())
        );
        fs::rename(self.token(key), &aside).map_err(|error| self.failed("be written", &error))?;
        // It may hold a token that can be used.
        make_file_private(&aside);
        Ok(())
    }

    /// Removes what was set aside of a key.
    pub(crate) fn remove_aside(&self, _: &Guard, key: &TokenKey) {
        let _ = fs::remove_file(self.aside(key));
    }

    fn aside(&self, key: &TokenKey) -> PathBuf {
        self.path.join(format!("{key}.aside"))
    }

    /// Takes the lock of a lease, which this process keeps as long as it holds the lease.
    pub(crate) fn take(&self, _: &Guard, id: LeaseId) -> Result<File, StoreError> {
        let file = private()
            .create_new(true)
            .write(true)
            .open(self.lease(id))
            .map_err(|error| self.failed("be written", &error))?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(file),
            Err(TryLockError::Error(error)) => Err(self.failed("be locked", &error)),
            Err(TryLockError::WouldBlock) => Err(StoreError::new(
                "another program locked a lease that was just created; check what else uses the \
                 directory",
            )),
        }
    }

    /// Whether the holder of a lease may be alive. If its file can't be checked, for example because too
    /// many files are open, the holder counts as alive.
    pub(crate) fn is_alive(&self, id: LeaseId) -> bool {
        match private().read(true).open(self.lease(id)) {
            Ok(file) => FileExt::try_lock_shared(&file).is_err(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Removes the file of a lease that has ended.
    pub(crate) fn give_back(&self, id: LeaseId) {
        let _ = fs::remove_file(self.lease(id));
    }

    /// Removes expired files until `go_on` says to stop. Each sweep begins at another file.
    pub(crate) fn sweep(
        &self,
        now: Timestamp,
        go_on: impl Fn() -> bool,
    ) -> Result<Swept, StoreError> {
        let files = fs::read_dir(&self.path).map_err(|error| self.failed("be read", &error))?;
        let mut files: Vec<_> = files.flatten().collect();
        let start = fastrand::usize(..=files.len());
        files.rotate_left(start);
        let mut removed = 0;
        for file in files {
            if !go_on() {
                let all = false;
                return Ok(Swept { removed, all });
            }
            let name = file.file_name();
            let Some((stem, kind)) = name.to_str().and_then(|name| name.rsplit_once('.')) else {
                continue;
            };
            let age = || {
                let modified = file.metadata().and_then(|metadata| metadata.modified());
                modified.map_or(Duration::ZERO, |modified| now.since(modified.into()))
            };
            let is_over = match kind {
                "token" => {
                    // A file that can't be read does not end the sweep.
                    removed += usize::from(self.sweep_token(stem, now).unwrap_or(false));
                    false
                }
                "tmp" => is_ours(stem.split('.').next()) && age() > ABANDONED,
                "aside" => is_ours(stem.split('.').next()) && age() > ASIDE,
                // A lease that was just made may not be locked yet.
                "lease" => u128::from_str_radix(stem, 16).is_ok_and(|id| {
                    stem.len() == 32 && age() > ABANDONED && !self.is_alive(LeaseId(id))
                }),
                _ => false,
            };
            if is_over {
                removed += usize::from(fs::remove_file(file.path()).is_ok());
            }
        }
        Ok(Swept { removed, all: true })
    }

    fn sweep_token(&self, stem: &str, now: Timestamp) -> Result<bool, StoreError> {
        let Some(key) = key(stem) else {
            return Ok(false);
        };
        let is_over = |directory: &Self| {
            directory.read(&key, now).map(|entry| {
                entry.is_some_and(|mut entry| {
                    entry.tidy(now);
                    entry.is_over(now)
                })
            })
        };
        // Checked again under the lock, since the entry may have just been written.
        if !is_over(self)? {
            return Ok(false);
        }
        let Some(_guard) = self.lock()? else {
            return Ok(false);
        };
        Ok(is_over(self)? && fs::remove_file(self.token(&key)).is_ok())
    }

    fn token(&self, key: &TokenKey) -> PathBuf {
        self.path.join(format!("{key}.token"))
    }

    fn lease(&self, id: LeaseId) -> PathBuf {
        self.path.join(format!("{:032x}.lease", id.0))
    }

    pub(crate) fn failed(&self, what: &str, error: &io::Error) -> StoreError {
        let directory = self.path.display();
        StoreError::new(format!("the directory {directory} can't {what}: {error}"))
    }
}

fn is_ours(text: Option<&str>) -> bool {
    text.is_some_and(|text| text == "identity" || key(text).is_some())
}

fn key(text: &str) -> Option<TokenKey> {
    let digits = text.as_bytes();
    let mut key = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(TokenKey::from_bytes(key))
}

/// Opens files that only their owner can read, and follows no links.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    options
}

/// Makes a directory private. Links are left alone, since their target may be any directory.
#[cfg(unix)]
fn make_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let is_open = |found: fs::Metadata| found.is_dir() && is_open_to_others(&found);
    if fs::symlink_metadata(path).is_ok_and(is_open) {
        // This fails if the directory belongs to another user; then it is refused.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    }
}

#[cfg(not(unix))]
fn make_private(_: &Path) {}

/// Makes a file private. Links are left alone, as of directories.
#[cfg(unix)]
fn make_file_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let is_open = |found: fs::Metadata| found.is_file() && is_open_to_others(&found);
    if fs::symlink_metadata(path).is_ok_and(is_open) {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    }
}

#[cfg(not(unix))]
fn make_file_private(_: &Path) {}

/// Why others may write to the directory.
#[cfg(unix)]
fn owner_problem(metadata: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Some("belongs to another user".into());
    }
    (mode & 0o022 != 0).then(|| format!("can be written to by others (its mode is {mode:04o})"))
}

#[cfg(unix)]
fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn owner_problem(_: &fs::Metadata) -> Option<String> {
    None
}

#[cfg(not(unix))]
fn is_open_to_others(_: &fs::Metadata) -> bool {
    false
}
