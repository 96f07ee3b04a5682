//! [`read_file`]: reads a file at a path that others choose, in limited time and memory.

use std::{
    collections::{HashMap, hash_map},
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak, mpsc},
    time::Duration,
};

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::{
    before::before,
    buffer::{Content, append},
};

/// A limit that suits secrets, certificates and configuration, in bytes: 1 MiB.
pub const MAX_FILE_SIZE: usize = 1024 * 1024;

/// How long a caller waits for a file, whose file system may not respond: 10 s.
pub const FILE_TIMEOUT: Duration = Duration::from_secs(10);

/// How much is read at a time, in bytes.
const CHUNK: usize = 16 * 1024;

/// Reads a file of at most `limit` bytes, such as a secret, a certificate or a configuration, at a path
/// that a configuration or a user names.
///
/// - Only regular files and symbolic links to them are read. A named pipe, a socket, a device or a
///   directory is an error at once.
/// - It takes at most 10 s ([`FILE_TIMEOUT`]). A read can't be interrupted while the file system does
///   not respond, so a separate thread does it, at most one for each path. Callers that arrive during
///   a read share the next one. After a caller has timed out, later callers get an error at once
///   until the read returns.
/// - The returned memory is zeroed when it is dropped, and so are all buffers in between.
///
/// It blocks the calling thread.
///
/// ```
/// use biped_io::{MAX_FILE_SIZE, read_file};
///
/// let manifest = read_file("Cargo.toml", MAX_FILE_SIZE)?;
/// assert!(manifest.starts_with(b"[package]"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The operating system's error if the file can't be opened or read;
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge) if it has more than `limit` bytes;
/// [`IsADirectory`](io::ErrorKind::IsADirectory) for a directory;
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for anything else but a regular file;
/// [`TimedOut`](io::ErrorKind::TimedOut).
pub fn read_file(path: impl AsRef<Path>, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let read = READER.read_now(path.as_ref(), limit, FILE_TIMEOUT)?;
    Ok(read.content)
}

/// Returns the text of a file, read as by [`read_file`].
///
/// # Errors
/// As for [`read_file`], and [`InvalidData`](io::ErrorKind::InvalidData) if the file is not UTF-8.
pub fn read_text_file(path: impl AsRef<Path>, limit: usize) -> io::Result<String> {
    let content = read_file(path, limit)?;
    std::str::from_utf8(&content)
        .map(str::to_owned)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
}

/// Reads a file as [`read_file`] does, if `accept` agrees: it sees the metadata of the opened file, such
/// as its owner, and its error is returned.
///
/// # Errors
/// As for [`read_file`], and the error of `accept`.
pub fn read_file_if(
    path: impl AsRef<Path>,
    limit: usize,
    accept: impl FnOnce(&fs::Metadata) -> io::Result<()>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let read = READER.read_now(path.as_ref(), limit, FILE_TIMEOUT)?;
    accept(&read.metadata)?;
    Ok(read.content)
}

/// Reads a file as [`read_file`] does, without blocking. `timeout` must complete when the caller has
/// waited for [`FILE_TIMEOUT`] by its own clock.
///
/// # Errors
/// As for [`read_file`].
pub async fn read_file_async(
    path: impl AsRef<Path>,
    limit: usize,
    timeout: impl Future<Output = ()>,
) -> io::Result<Zeroizing<Vec<u8>>> {
    Ok(READER.read(path.as_ref(), limit, timeout).await?.content)
}

/// Why a file is not read: an [`io::Error`] that all waiting callers can have, since it can be cloned.
#[derive(Clone, Debug)]
struct Fault {
    kind: io::ErrorKind,
    message: Arc<str>,
}

impl Fault {
    fn new(kind: io::ErrorKind, message: impl Into<Arc<str>>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    fn too_large(limit: usize) -> Self {
        let message = format!("larger than {limit} bytes");
        Self::new(io::ErrorKind::FileTooLarge, message)
    }

    fn interrupted() -> Self {
        Self::new(io::ErrorKind::Other, "the read was interrupted")
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::new(fault.kind, &*fault.message)
    }
}

/// A file that was read.
#[derive(Clone)]
struct Found {
    content: Content,
    /// The metadata of the opened file.
    metadata: fs::Metadata,
}

type Outcome = Result<Found, Fault>;

type Read = dyn Fn(&Path, usize) -> Outcome + Send + Sync;

static READER: LazyLock<Arc<Reader>> = LazyLock::new(|| Arc::new(Reader::new(read_regular)));

/// Reads files, with at most one thread for each path.
struct Reader {
    /// Reads a file, up to one byte beyond the limit. It may never return.
    read: Box<Read>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of reads that were started.
    begun: u64,
    outstanding: HashMap<PathBuf, Outstanding>,
}

/// A read that has not returned.
struct Outstanding {
    number: u64,
    /// Whether a caller has timed out.
    overdue: bool,
    /// Callers that came after it started. They need a newer read, because the file may have changed
    /// before they came.
    next: Vec<Waiter>,
}

struct Waiter {
    limit: usize,
    answer: Answer,
}

enum Answer {
    Task(oneshot::Sender<Outcome>),
    /// The second part is dropped when the thread stops waiting.
    Thread(mpsc::SyncSender<Outcome>, Weak<()>),
}

impl Waiter {
    fn is_gone(&self) -> bool {
        match &self.answer {
            Answer::Task(sender) => sender.is_closed(),
            Answer::Thread(_, waits) => waits.strong_count() == 0,
        }
    }

    fn tell(self, outcome: &Outcome) {
        let limit = self.limit;
        let outcome = match outcome {
            Ok(found) if found.content.len() > limit => Err(Fault::too_large(limit)),
            Err(fault) if fault.kind == io::ErrorKind::FileTooLarge => Err(Fault::too_large(limit)),
            other => other.clone(),
        };
        match self.answer {
            Answer::Task(sender) => drop(sender.send(outcome)),
            Answer::Thread(sender, _) => drop(sender.try_send(outcome)),
        }
    }
}

impl Reader {
    fn new(read: impl Fn(&Path, usize) -> Outcome + Send + Sync + 'static) -> Self {
        Self {
            read: Box::new(read),
            state: Mutex::default(),
        }
    }

    async fn read(
        self: &Arc<Self>,
        path: &Path,
        limit: usize,
        timeout: impl Future<Output = ()>,
    ) -> Outcome {
        let path = absolute(path);
        let (sender, outcome) = oneshot::channel();
        let answer = Answer::Task(sender);
        let number = self.begin(&path, Waiter { limit, answer })?;
        match before(timeout, outcome).await {
            Some(outcome) => outcome.unwrap_or_else(|_| Err(Fault::interrupted())),
            None => Err(self.give_up(&path, number, FILE_TIMEOUT)),
        }
    }

    /// The same on a thread that may have no runtime.
    fn read_now(self: &Arc<Self>, path: &Path, limit: usize, timeout: Duration) -> Outcome {
        let path = absolute(path);
        let waits = Arc::new(());
        let (sender, outcome) = mpsc::sync_channel(1);
        let answer = Answer::Thread(sender, Arc::downgrade(&waits));
        let number = self.begin(&path, Waiter { limit, answer })?;
        match outcome.recv_timeout(timeout) {
            Ok(outcome) => outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(self.give_up(&path, number, timeout)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Fault::interrupted()),
        }
    }

    /// Starts a read, or joins the next one of this path. Returns the number of the outstanding read.
    fn begin(self: &Arc<Self>, path: &Path, waiter: Waiter) -> Result<u64, Fault> {
        let mut state = self.state();
        let number = state.begun + 1;
        match state.outstanding.entry(path.to_owned()) {
            hash_map::Entry::Occupied(mut outstanding) => {
                let outstanding = outstanding.get_mut();
                if outstanding.overdue {
                    let message = "an earlier read has not returned yet";
                    return Err(Fault::new(io::ErrorKind::TimedOut, message));
                }
                if outstanding.next.len() == outstanding.next.capacity() {
                    outstanding.next.retain(|waiter| !waiter.is_gone());
                }
                outstanding.next.push(waiter);
                return Ok(outstanding.number);
            }
            hash_map::Entry::Vacant(vacant) => {
                let (reader, path) = (self.clone(), path.to_owned());
                // Not a thread of a runtime, which has a limited number and waits for them at its end.
                std::thread::Builder::new()
                    .name("biped-file".into())
                    .spawn(move || reader.work(&path, waiter))?;
                vacant.insert(Outstanding {
                    number,
                    overdue: false,
                    next: Vec::new(),
                });
            }
        }
        state.begun = number;
        Ok(number)
    }

    /// Reads a path until no caller waits for it.
    fn work(&self, path: &Path, first: Waiter) {
        let mut waiting = vec![first];
        while !waiting.is_empty() {
            let limit = waiting.iter().map(|waiter| waiter.limit).max();
            let outcome = (self.read)(path, limit.unwrap_or(0));
            let next = self.finish(path);
            for waiter in waiting {
                waiter.tell(&outcome);
            }
            waiting = next;
        }
    }

    /// Ends a read. Returns the callers that wait for the next one, which is outstanding from now on.
    fn finish(&self, path: &Path) -> Vec<Waiter> {
        let mut state = self.state();
        let number = state.begun + 1;
        let mut next = Vec::new();
        if let Some(outstanding) = state.outstanding.get_mut(path) {
            outstanding.number = number;
            outstanding.overdue = false;
            next = std::mem::take(&mut outstanding.next);
        }
        next.retain(|waiter| !waiter.is_gone());
        if next.is_empty() {
            state.outstanding.remove(path);
        } else {
            state.begun = number;
        }
        next
    }

    /// Marks a read as overdue, because a caller has timed out.
    fn give_up(&self, path: &Path, number: u64, timeout: Duration) -> Fault {
        if let Some(outstanding) = self.state().outstanding.get_mut(path) {
            outstanding.overdue |= outstanding.number == number;
        }
        let seconds = timeout.as_secs_f64();
        let message = format!("the file system does not respond within {seconds} s");
        Fault::new(io::ErrorKind::TimedOut, message)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The absolute path, which stays the same if the process changes its directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn read_regular(path: &Path, limit: usize) -> Outcome {
    // Checked before it is opened: opening a device may have effects, and a socket can't be opened.
    require_regular(&fs::metadata(path)?)?;
    let mut file = open(path)?;
    let metadata = file.metadata()?;
    require_regular(&metadata)?;
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if size > limit {
        return Err(Fault::too_large(limit));
    }
    // Some files are larger than their metadata says, and others grow.
    let mut content = Zeroizing::new(Vec::with_capacity(size));
    let mut chunk = Zeroizing::new(vec![0; CHUNK.min(limit.saturating_add(1))]);
    while content.len() <= limit {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => append(&mut content, &chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Found { content, metadata })
}

/// Opens the file without waiting, even if it was replaced by a pipe or a terminal after the check.
fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // CLOEXEC is the default.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(flags.bits().cast_signed());
    }
    options.open(path)
}

fn require_regular(metadata: &fs::Metadata) -> Result<(), Fault> {
    let (kind, what) = match metadata.file_type() {
        regular if regular.is_file() => return Ok(()),
        directory if directory.is_dir() => (io::ErrorKind::IsADirectory, "directory"),
        other => (io::ErrorKind::InvalidInput, special(other)),
    };
    let message = format!("a {what}, not a regular file");
    Err(Fault::new(kind, message))
}

#[cfg(unix)]
fn special(kind: fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_fifo() {
        "pipe"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

#[cfg(not(unix))]
fn special(_: fs::FileType) -> &'static str {
    "device"
}

#[cfg(test)]
mod tests;
