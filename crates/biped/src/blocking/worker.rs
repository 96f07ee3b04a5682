//! [`Worker`]: the thread behind blocking calls.

use std::{fmt, future::Future, sync::Arc};

use biped_core::Error;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime with one thread. The thread ends with the last clone.
#[derive(Clone)]
pub(crate) struct Worker(Arc<Owned>);

struct Owned(Option<Runtime>);

impl Worker {
    pub(crate) fn start() -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("biped")
            .enable_all()
            .build()
            .map_err(|error| Error::internal("no thread can be started").with_source(error))?;
        Ok(Self(Arc::new(Owned(Some(runtime)))))
    }

    /// Waits for `future`, which runs on the caller's thread. Tasks that it spawns run on the worker's
    /// thread.
    pub(crate) fn wait<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        if Handle::try_current().is_ok() {
            return Err(Error::configuration(
                "a blocking call is made inside an asynchronous runtime",
            )
            .with_remedy("use biped::Biped there, and await its futures"));
        }
        let Owned(runtime) = &*self.0;
        let runtime = runtime
            .as_ref()
            .ok_or_else(|| Error::internal("the thread for blocking calls has ended"))?;
        Ok(runtime.block_on(future))
    }
}

impl Drop for Owned {
    /// Does not wait for the thread, which would panic inside a runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}
