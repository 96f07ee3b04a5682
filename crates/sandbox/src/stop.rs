//! [`Stop`]: the end of a sandbox, of which all its parts learn.

use std::pin::Pin;

use tokio::sync::watch;

/// Completes when the sandbox stops.
pub(crate) type Stopped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Stops all parts of a sandbox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(watch::Sender<bool>);

impl Stop {
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Completes when the sandbox stops.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut stop = self.0.subscribe();
        async move {
            // An error means that the sandbox is gone.
            let _ = stop.wait_for(|stopped| *stopped).await;
        }
    }
}
