//! Lines that wait for the reader of stderr in a thread of its own: a process that serves never does.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// How much waits at most, in bytes. Further lines are dropped.
const ROOM: usize = 4 * 1024 * 1024;
/// What a line takes of it at least.
const LEAST: usize = 256;

static QUEUE: OnceLock<Queue> = OnceLock::new();

struct Queue {
    lines: NonBlocking,
    taken: Arc<Taken>,
    guard: Mutex<Option<WorkerGuard>>,
}

/// What waits, and what found no room.
#[derive(Debug, Default)]
struct Taken {
    bytes: AtomicUsize,
    dropped: AtomicUsize,
}

/// From now on all that this process prints to stderr waits in a thread of its own.
pub(super) fn start() {
    QUEUE.get_or_init(|| {
        let taken = Arc::<Taken>::default();
        let (lines, guard) = NonBlockingBuilder::default()
            // It has room for the end of the thread after all lines.
            .buffered_lines_limit(ROOM / LEAST + 1)
            .lossy(true)
            .thread_name("stderr")
            .finish(Reader {
                stderr: io::stderr(),
                taken: taken.clone(),
            });
        Queue {
            lines,
            taken,
            guard: Mutex::new(Some(guard)),
        }
    });
}

/// Waits until the lines are written, a second at most: a process that ends does not wait for a reader that
/// stands still. The last thing before the end.
pub(crate) fn flush() {
    if let Some(queue) = QUEUE.get() {
        drop(
            queue
                .guard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

/// The stderr of this process. What is written at once, as a whole line is, stays together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match QUEUE.get() {
            None => io::stderr().lock().write_all(bytes),
            Some(queue) if queue.taken.take(bytes.len()) => queue.lines.clone().write_all(bytes),
            Some(_) => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Taken {
    /// Whether there is room for a line of so many bytes, which it then has.
    fn take(&self, length: usize) -> bool {
        let cost = length.max(LEAST);
        let more = |taken: usize| taken.checked_add(cost).filter(|sum| *sum <= ROOM);
        let has_room = self
            .bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok();
        if !has_room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    fn give_back(&self, length: usize) {
        self.bytes.fetch_sub(length.max(LEAST), Ordering::AcqRel);
    }
}

/// What the thread writes to.
struct Reader<W> {
    stderr: W,
    taken: Arc<Taken>,
}

impl<W: Write> Write for Reader<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    /// Writes one line.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.stderr.write_all(bytes);
        self.taken.give_back(bytes.len());
        written?;
        match self.taken.dropped.swap(0, Ordering::Relaxed) {
            0 => Ok(()),
            count => {
                let what = "were dropped, because the reader of stderr stood still";
                writeln!(self.stderr, "warning: {count} lines {what}")
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stderr.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_dropped_and_told_with_the_next_line() {
        let taken = Arc::<Taken>::default();
        let mut reader = Reader {
            stderr: Vec::new(),
            taken: taken.clone(),
        };
        assert!(taken.take(ROOM - LEAST));
        assert!(taken.take(1));
        assert!(!taken.take(1) && !taken.take(ROOM));
        reader.write_all(b"a\n").unwrap();
        assert!(taken.take(LEAST));
        assert!(!taken.take(1));
        reader.write_all(b"b\n").unwrap();
        let written = String::from_utf8(reader.stderr).unwrap();
        let lines: Vec<_> = written.lines().collect();
        assert_eq!((lines[0], lines[2]), ("a", "b"));
        assert!(lines[1].starts_with("warning: 2 lines"), "{written}");
        assert!(lines[3].starts_with("warning: 1 lines"), "{written}");
    }

    #[test]
    fn the_queue_has_a_place_for_each_line_and_for_its_end() {
        let taken = Taken::default();
        let lines = (0..).take_while(|_| taken.take(0)).count();
        assert_eq!(lines, ROOM / LEAST);
    }
}
