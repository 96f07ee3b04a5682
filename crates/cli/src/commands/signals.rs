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
type BoxedEnding = std::pin::Pin<Box<dyn Future<Output = Ending> + Send>>;

/// The signals that a child gets. They are kept for it from the call of [`listen`](Self::listen) on: one that
/// comes before would end this process, and leave a child behind.
#[cfg(unix)]
pub(crate) struct Forwarded {
    passed: [(tokio::signal::unix::Signal, rustix::process::Signal); 4],
    ended: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Forwarded {
    pub(crate) fn listen() -> io::Result<Self> {
        use rustix::process::Signal;
        use tokio::signal::unix::{SignalKind, signal};
        // Ctrl-C and Ctrl-\\ reach the child through the terminal. From here on they do nothing to this process.
        for kind in [SignalKind::interrupt(), SignalKind::quit()] {
            drop(signal(kind)?);
        }
        Ok(Self {
            passed: [
                (signal(SignalKind::terminate())?, Signal::TERM),
                (signal(SignalKind::hangup())?, Signal::HUP),
                (signal(SignalKind::user_defined1())?, Signal::USR1),
                (signal(SignalKind::user_defined2())?, Signal::USR2),
            ],
            ended: signal(SignalKind::child())?,
        })
    }

    /// Waits for a child, and passes signals on to it.
    pub(crate) async fn wait(
        self,
        child: &mut tokio::process::Child,
    ) -> io::Result<std::process::ExitStatus> {
        let pid = pid(child);
        let Self { passed, .. } = self;
        tokio::select! {
            status = child.wait() => status,
            never = pass(passed, pid) => match never {},
        }
    }

    /// Waits as [`wait`](Self::wait) does, and for every process that lost its parent: they are left to the
    /// first process of a container. This process must have no other child.
    pub(crate) async fn wait_for_all(
        self,
        child: &tokio::process::Child,
    ) -> io::Result<std::process::ExitStatus> {
        use rustix::process::{WaitOptions, wait};
        use std::os::unix::process::ExitStatusExt as _;
        let pid = pid(child);
        let Self {
            passed, mut ended, ..
        } = self;
        let all = async {
            loop {
                while let Some((one, status)) = wait(WaitOptions::NOHANG)? {
                    if Some(one) == pid {
                        return Ok(std::process::ExitStatus::from_raw(status.as_raw()));
                    }
                }
                ended.recv().await;
            }
        };
        tokio::select! {
            status = all => status,
            never = pass(passed, pid) => match never {},
        }
    }
}

#[cfg(unix)]
fn pid(child: &tokio::process::Child) -> Option<rustix::process::Pid> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    pid.and_then(rustix::process::Pid::from_raw)
}

/// Passes signals on for ever.
#[cfg(unix)]
async fn pass(
    signals: [(tokio::signal::unix::Signal, rustix::process::Signal); 4],
    pid: Option<rustix::process::Pid>,
) -> std::convert::Infallible {
    let [
        (mut first, one),
        (mut second, two),
        (mut third, three),
        (mut fourth, four),
    ] = signals;
    loop {
        let signal = tokio::select! {
            _ = first.recv() => one,
            _ = second.recv() => two,
            _ = third.recv() => three,
            _ = fourth.recv() => four,
        };
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// This platform has no signals to pass on.
#[cfg(not(unix))]
pub(crate) struct Forwarded;

#[cfg(not(unix))]
impl Forwarded {
    #[allow(clippy::unnecessary_wraps)] // as where there are signals
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for a child.
    pub(crate) async fn wait(
        self,
        child: &mut tokio::process::Child,
    ) -> io::Result<std::process::ExitStatus> {
        child.wait().await
    }
}
