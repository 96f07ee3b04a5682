//! The runtimes that commands run on.

use biped::Error;
use tokio::runtime::{Builder, Runtime};

/// A runtime of so many threads. One is the thread that is there anyway: nothing is handed to another.
pub(crate) fn runtime(threads: usize) -> Result<Runtime, Error> {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("the tokio runtime can't be started: {error}")))
}
