//! [`Accounts`]: credentials that change with each use, a file each beside the tokens.
//!
//! `HEX.account` is an entry: a line that names the format, the revision in eight bytes, and the bytes.
//! `HEX.account.lock` is locked by the process that uses the credential; both files stay.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use biped_core::{
    AccountKey, DurableEntry, DurableLock, DurableStore, Revision, StoreError, async_trait,
};
use fs4::{FileExt, TryLockError};
use zeroize::Zeroizing;

use crate::{
    directory::{Directory, Guard, private},
    files::Files,
};

/// The first bytes of an entry.
const FORMAT: &[u8] = b"biped account 1\n";

/// The accounts in a directory.
pub(crate) struct Accounts(Arc<Files>);

/// The lock of an account, which the operating system ends with the process.
#[derive(Debug)]
struct Lock(#[allow(dead_code)] File);

impl Accounts {
    pub(crate) fn of(files: Arc<Files>) -> Arc<dyn DurableStore> {
        Arc::new(Self(files))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let files = self.0.clone();
        let work = move || {
            files.prepare()?;
            work(&files)
        };
        self.0.blocking(work).await
    }
}

#[async_trait]
impl DurableStore for Accounts {
    async fn load(&self, key: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        let key = *key;
        self.blocking(move |files| files.directory.load_account(&key))
            .await
    }

    async fn swap(
        &self,
        key: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let (key, bytes) = (*key, Zeroizing::new(bytes.to_vec()));
        let swap = move |files: &Files, guard: &Guard| {
            files.directory.swap_account(guard, &key, expected, &bytes)
        };
        self.0.alone(swap).await
    }

    async fn lock(&self, key: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        let key = *key;
        self.blocking(move |files| files.directory.lock_account(&key))
            .await
    }
}

#[async_trait]
impl DurableLock for Lock {
    fn lease(&self) -> Option<Duration> {
        None
    }

    async fn unlock(self: Box<Self>) {}
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("directory", &self.0.directory.path())
            .finish_non_exhaustive()
    }
}

impl Directory {
    fn account(&self, key: &AccountKey) -> PathBuf {
        self.path().join(format!("{key}.account"))
    }

    fn load_account(&self, key: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        let place = self.account(key);
        let foreign = |what: &str| {
            StoreError::new(format!(
                "the file {} {what}; restore it, or remove it and seed the account again",
                place.display()
            ))
        };
        let content = match self.content(&place) {
            Ok(Some(content)) => content,
            Ok(None) => return Err(foreign("is not readable by its owner alone")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("be read", &error)),
        };
        let entry = content.strip_prefix(FORMAT);
        let entry = entry.and_then(|rest| rest.split_first_chunk());
        let (revision, bytes) = entry.ok_or_else(|| foreign("is not a stored credential"))?;
        Ok(Some(DurableEntry {
            revision: Revision(u64::from_be_bytes(*revision)),
            bytes: bytes.to_vec(),
        }))
    }

    /// Replaces an entry atomically, and forces it to the disk.
    fn swap_account(
        &self,
        _: &Guard,
        key: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let present = self.load_account(key)?;
        if present.map_or(Revision::NONE, |entry| entry.revision) != expected {
            return Ok(false);
        }
        let draft = self
            .path()
            .join(format!("{key}.{:016x}.tmp", fastrand::u64(..)));
        let write = || {
            let mut file = private().create_new(true).write(true).open(&draft)?;
            file.write_all(FORMAT)?;
            file.write_all(&expected.next().0.to_be_bytes())?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, self.account(key))?;
            sync_directory(self.path())?;
            match self.path().parent() {
                // The directory may be new as well.
                Some(parent) if expected == Revision::NONE && !parent.as_os_str().is_empty() => {
                    sync_directory(parent)
                }
                _ => Ok(()),
            }
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&draft);
            self.failed("be written", &error)
        })?;
        Ok(true)
    }

    fn lock_account(&self, key: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        let file = private()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path().join(format!("{key}.account.lock")))
            .map_err(|error| self.failed("be locked", &error))?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Some(Box::new(Lock(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.failed("be locked", &error)),
        }
    }
}

/// Forces the names of files to the disk.
#[cfg(unix)]
fn sync_directory(path: &std::path::Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Elsewhere the file system keeps names with the files.
#[cfg(not(unix))]
fn sync_directory(_: &std::path::Path) -> io::Result<()> {
    Ok(())
}
