//! [`block_on`]: asynchronous work for callers that are not asynchronous.

use std::{io, thread};

/// Does `work` on a thread and a tokio runtime of its own, and blocks until it is done. The caller may
/// have no runtime, or be a thread of one.
///
/// ```
/// let seven = biped_io::block_on(async { 7 })?;
/// assert_eq!(seven, 7);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Where no runtime can be started, or `work` panics.
pub fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> io::Result<T> {
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Ok(runtime.enable_all().build()?.block_on(work))
    };
    thread::scope(|scope| scope.spawn(run).join())
        .unwrap_or_else(|_| Err(io::Error::other("the work was interrupted by a panic")))
}
