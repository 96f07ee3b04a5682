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

/// SIGHUP. Listens from the call on.
#[cfg(unix)]
pub(crate) fn reloads() -> io::Result<impl FnMut() -> Boxed> {
    use std::sync::Arc;
    use tokio::{
        signal::unix::{SignalKind, signal},
        sync::Mutex,
    };
    let hangup = Arc::new(Mutex::new(signal(SignalKind::hangup())?));
    Ok(move || -> Boxed {
        let hangup = hangup.clone();
        Box::pin(async move {
            let _ = hangup.lock().await.recv().await;
        })
    })
}

/// This platform has no such signal.
#[cfg(not(unix))]
pub(crate) fn reloads() -> io::Result<impl FnMut() -> Boxed> {
    Ok(|| -> Boxed { Box::pin(std::future::pending()) })
}

type Boxed = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Completes with the next signal.
pub(crate) type BoxedEnding = std::pin::Pin<Box<dyn Future<Output = Ending> + Send>>;

/// Waits for a child, and passes on to it the signals that are meant for it. Ctrl-C and Ctrl-\\ reach it
/// through the terminal.
#[cfg(unix)]
pub(crate) async fn forwarded(
    child: &mut tokio::process::Child,
) -> io::Result<std::process::ExitStatus> {
    use rustix::process::{Pid, Signal, kill_process};
    use tokio::signal::unix::{SignalKind, signal};

    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut first = signal(SignalKind::user_defined1())?;
    let mut second = signal(SignalKind::user_defined2())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    loop {
        let passed = tokio::select! {
            status = child.wait() => return status,
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
            _ = first.recv() => Signal::USR1,
            _ = second.recv() => Signal::USR2,
            _ = interrupt.recv() => continue,
            _ = quit.recv() => continue,
        };
        if let Some(pid) = pid {
            let _ = kill_process(pid, passed);
        }
    }
}

/// Waits for a child.
#[cfg(not(unix))]
pub(crate) async fn forwarded(
    child: &mut tokio::process::Child,
) -> io::Result<std::process::ExitStatus> {
    child.wait().await
}
