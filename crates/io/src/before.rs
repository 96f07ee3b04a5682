//! [`before`]: work with a time limit that the caller chooses.

use std::{future::poll_fn, pin::pin, task::Poll};

/// Does `work` until `end` completes. Returns the result of the work, or `None` if `end` completes
/// first, which drops the work. If both are ready, the work counts.
///
/// ```
/// use std::future::{pending, ready};
/// use biped_io::before;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(before(pending(), ready(7)).await, Some(7));
/// assert_eq!(before(ready(()), pending::<u8>()).await, None);
/// assert_eq!(before(ready(()), ready(7)).await, Some(7));
/// # }
/// ```
pub async fn before<T>(end: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut end, mut work) = (pin!(end), pin!(work));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => end.as_mut().poll(cx).map(|()| None),
    })
    .await
}
