//! What is logged, caught for a test to read.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{Dispatch, subscriber::NoSubscriber};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that was logged, at every level, by this thread while it was listened to.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<u8>>>);

/// While there is one listener alone, what the thread of another test reaches first counts as not listened
/// to by anything.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));

impl Events {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Listens until the guard is dropped.
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        LazyLock::force(&SECOND);
        tracing::subscriber::set_default(subscriber)
    }

    /// Listens while `work` is done.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        let _listening = self.listen();
        work()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Events {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Events {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
