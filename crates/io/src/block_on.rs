//! [`block_on`]: asynchronous work for synchronous callers.

use std::{io, thread};

/// Does `work` on a new thread with a new tokio runtime, and blocks until it is done. The caller may
/// have no runtime, or be a thread of one.
///
/// ```
/// let seven = biped_io::block_on(async { 7 })?;
/// assert_eq!(seven, 7);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// If no runtime can be started, or if `work` panics.
pub fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> io::Result<T> {
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Ok(runtime.enable_all().build()?.block_on(work))
    };
    thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|_| Err(io::Error::other("the work panicked")))
}
