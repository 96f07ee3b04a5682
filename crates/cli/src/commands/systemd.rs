//! What systemd gives a service, and what it is told. Nothing happens elsewhere.

use biped_serve::Server;

/// Takes over the listeners of a socket unit.
#[cfg(unix)]
pub(crate) fn inherit(mut server: Server) -> Result<Server, biped::Error> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut given = listenfd::ListenFd::from_env();
    let unusable = |error: std::io::Error| {
        biped::Error::configuration(format!("an inherited listener can't be used: {error}"))
    };
    for at in 0..given.len() {
        let is_probe = names.next() == Some("probe");
        if let Ok(Some(listener)) = given.take_tcp_listener(at) {
            server = server.inherit_tcp(listener, is_probe);
        } else if let Some(listener) = given.take_unix_listener(at).map_err(unusable)? {
            server = server.inherit_unix(listener, is_probe);
        }
    }
    Ok(server)
}

#[cfg(not(unix))]
pub(crate) fn inherit(server: Server) -> Result<Server, biped::Error> {
    Ok(server)
}

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Ready,
    Reloading,
    Stopping,
    Working,
}

/// Tells systemd what the service is doing.
#[cfg(unix)]
pub(crate) fn tell(doing: Doing) {
    use sd_notify::{NotifyState, notify};
    // Without systemd nothing listens.
    let _ = match doing {
        Doing::Ready => notify(&[NotifyState::Ready]),
        // A reload without its time counts as failed.
        Doing::Reloading => {
            NotifyState::monotonic_usec_now().and_then(|now| notify(&[NotifyState::Reloading, now]))
        }
        Doing::Stopping => notify(&[NotifyState::Stopping]),
        Doing::Working => notify(&[NotifyState::Watchdog]),
    };
}

#[cfg(not(unix))]
pub(crate) fn tell(_: Doing) {}

/// How often systemd wants to hear that the service works.
#[cfg(unix)]
pub(crate) fn watchdog() -> Option<std::time::Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

#[cfg(not(unix))]
pub(crate) fn watchdog() -> Option<std::time::Duration> {
    None
}
