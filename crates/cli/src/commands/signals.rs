//! Signals that end a command.

use std::{future::Future, io};

/// A signal to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM, with which services are stopped.
    Terminate,
}

/// The signals to end. Listens from the call on.
#[cfg(unix)]
pub(crate) fn endings() -> io::Result<impl FnMut() -> BoxedEnding> {
    use std::sync::Arc;
    use tokio::{
        signal::unix::{SignalKind, signal},
        sync::Mutex,
    };
    let interrupt = Arc::new(Mutex::new(signal(SignalKind::interrupt())?));
    let terminate = Arc::new(Mutex::new(signal(SignalKind::terminate())?));
    Ok(move || -> BoxedEnding {
        let (interrupt, terminate) = (interrupt.clone(), terminate.clone());
        Box::pin(async move {
            let (mut interrupt, mut terminate) = (interrupt.lock().await, terminate.lock().await);
            tokio::select! {
                _ = interrupt.recv() => Ending::Interrupt,
                _ = terminate.recv() => Ending::Terminate,
            }
        })
    })
}

/// Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn endings() -> io::Result<impl FnMut() -> BoxedEnding> {
    Ok(|| -> BoxedEnding {
        Box::pin(async {
            let _ = tokio::signal::ctrl_c().await;
            Ending::Interrupt
        })
    })
}

/// Completes with the next signal.
pub(crate) type BoxedEnding = std::pin::Pin<Box<dyn Future<Output = Ending> + Send>>;
