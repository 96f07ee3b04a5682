//! Where callers connect: TCP addresses, and Unix sockets.

mod failed;
mod set;
#[cfg(unix)]
mod socket;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use biped::{
    Error,
    provider::{Clock, SystemClock},
};
use tokio::{net::TcpListener, sync::watch};

use self::failed::Failed;
pub(crate) use self::set::Listeners;
use crate::{
    config::Serve,
    connection,
    limiter::Permit,
    peer::{ListenerInfo, Peer},
    shared::{Shared, Stage},
};

/// How long accepting pauses where the system has no more room.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections of probes are open at a time.
const MAX_PROBES: usize = 64;

/// How often it is told at most that no connection can be accepted.
const TOLD: Duration = Duration::from_secs(60);

/// A listener that is bound.
#[derive(Debug)]
pub(crate) struct Bound {
    kind: Kind,
    info: Arc<ListenerInfo>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    /// With its path as it was written.
    #[cfg(unix)]
    Unix(socket::Socket, String),
}

/// What a listener is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    All,
    Probe,
    Provider(Arc<str>),
}

/// A listener that another process made.
#[derive(Debug)]
pub(crate) enum Inherited {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

/// Takes over a listener.
fn take(serve: &Serve, listener: Inherited, is_probe: bool) -> Result<Bound, Error> {
    let unusable = |error: io::Error| {
        Error::configuration(format!("an inherited listener can't be used: {error}"))
    };
    let purpose = if is_probe {
        Purpose::Probe
    } else {
        Purpose::All
    };
    match listener {
        Inherited::Tcp(listener) => {
            listener.set_nonblocking(true).map_err(unusable)?;
            let listener = TcpListener::from_std(listener).map_err(unusable)?;
            let bound = listener.local_addr().map_err(unusable)?;
            check_local(serve, bound, is_probe)?;
            Ok(Bound {
                kind: Kind::Tcp(listener),
                info: info(Ok(bound), &purpose),
            })
        }
        #[cfg(unix)]
        Inherited::Unix(listener) => {
            let address = listener.local_addr().map_err(unusable)?;
            let path = address
                .as_pathname()
                .map_or_else(String::new, |path| path.display().to_string());
            let socket = socket::inherited(listener).map_err(unusable)?;
            let shown = format!("unix:{path}");
            Ok(Bound {
                info: info(Err(&shown), &purpose),
                kind: Kind::Unix(socket, shown),
            })
        }
    }
}

/// Of an address, or of a socket that is written so.
fn info(at: Result<SocketAddr, &str>, purpose: &Purpose) -> Arc<ListenerInfo> {
    let address = at.ok();
    Arc::new(ListenerInfo {
        label: at.map_or_else(str::to_owned, |address| address.to_string()),
        port: address.map(|address| address.port()),
        is_local: address.is_none_or(|address| address.ip().is_loopback()),
        is_probe: *purpose == Purpose::Probe,
        provider: match purpose {
            Purpose::Provider(name) => Some(name.clone()),
            _ => None,
        },
        removed: watch::Sender::new(false),
    })
}

/// A listener as callers write it.
fn shown(serve: &Serve, bound: &Bound) -> String {
    let info = &bound.info;
    let shown = match &bound.kind {
        Kind::Tcp(listener) => {
            let is_secure = serve.tls.is_some() && !info.is_probe;
            let scheme = if is_secure { "https" } else { "http" };
            let address = listener.local_addr();
            address.map_or_else(|_| String::new(), |address| format!("{scheme}://{address}"))
        }
        #[cfg(unix)]
        Kind::Unix(_, shown) => shown.clone(),
    };
    match &info.provider {
        Some(name) => format!("{name} {shown}"),
        None => shown,
    }
}

/// Refuses an address that other machines can reach, but for probes, and where TLS and callers say who
/// may call.
fn check_local(serve: &Serve, address: SocketAddr, is_probe: bool) -> Result<(), Error> {
    let is_guarded = serve.tls.is_some() && !serve.callers.is_empty();
    if address.ip().is_loopback() || is_probe || is_guarded {
        return Ok(());
    }
    let error = Error::configuration(format!("{address} can be reached from other machines"));
    Err(error.with_remedy(
        "configure [serve] tls and [[serve.callers]], or listen at 127.0.0.1, [::1] or a Unix socket",
    ))
}

fn is_missing(error: &io::Error) -> bool {
    // Without IPv6 the errors differ by system, and by how it was switched off.
    !matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

async fn bind(serve: &Serve, address: &str, purpose: &Purpose) -> Result<Bound, Failed> {
    if let Some(path) = address.strip_prefix("unix:") {
        #[cfg(unix)]
        {
            let socket = socket::bind(path.as_ref(), serve)?;
            return Ok(Bound {
                kind: Kind::Unix(socket, address.to_owned()),
                info: info(Err(address), purpose),
            });
        }
        #[cfg(not(unix))]
        {
            let _ = (serve, path);
            let error = Error::configuration("this platform has no Unix sockets");
            return Err(Failed::Refused(error));
        }
    }
    let parsed: SocketAddr = address.parse().map_err(|_| {
        Failed::Refused(
            Error::configuration(format!(
                "listen: expected ADDRESS:PORT or unix:PATH, not {}",
                biped::provider::wire::Escaped(address)
            ))
            .with_remedy("write an IP address, such as 127.0.0.1:7417"),
        )
    })?;
    check_local(serve, parsed, *purpose == Purpose::Probe).map_err(Failed::Refused)?;
    let listener = TcpListener::bind(parsed).await.map_err(Failed::Io)?;
    let bound = listener.local_addr().map_err(Failed::Io)?;
    Ok(Bound {
        kind: Kind::Tcp(listener),
        info: info(Ok(bound), purpose),
    })
}

impl Bound {
    fn address(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Kind::Unix(..) => None,
        }
    }

    /// Gives a socket the group and the permissions of the settings.
    fn restrict(&self, serve: &Serve) {
        match &self.kind {
            Kind::Tcp(_) => {}
            #[cfg(unix)]
            Kind::Unix(socket, shown) => {
                if let Err(error) = socket.restrict(serve) {
                    let error = Failed::Io(error).of(shown);
                    tracing::warn!("socket_mode and socket_group are not applied: {error}");
                }
            }
        }
    }

    /// Takes connections until the sidecar closes, or the listener is removed.
    pub(crate) async fn run(self: Arc<Self>, shared: Arc<Shared>) {
        let mut stage = shared.stage.subscribe();
        let mut removed = self.info.removed.subscribe();
        let mut told_at = None;
        loop {
            let accepted = async {
                if let Err(error) = self.accept(&shared).await {
                    pause(&error, &mut told_at).await;
                }
            };
            tokio::select! {
                biased;
                _ = stage.wait_for(|stage| *stage >= Stage::Closing) => return,
                _ = removed.wait_for(|is_removed| *is_removed) => return,
                () = accepted => {}
            }
        }
    }

    /// Accepts a connection, and serves it as soon as there are fewer than the limit.
    async fn accept(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let (shared, info) = (shared.clone(), self.info.clone());
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                let peer = Peer {
                    is_local: info.is_local,
                    is_socket: false,
                    uid: None,
                    secured: None,
                };
                let taken = self.admit(&shared).await;
                tokio::spawn(async move {
                    connection::open(shared, info, peer, stream).await;
                    drop(taken);
                });
            }
            #[cfg(unix)]
            Kind::Unix(socket, _) => {
                let stream = socket.accept().await?;
                let peer = Peer {
                    is_local: true,
                    is_socket: true,
                    uid: stream.peer_cred().ok().map(|peer| peer.uid()),
                    secured: None,
                };
                let taken = self.admit(&shared).await;
                tokio::spawn(async move {
                    connection::serve(shared, info, peer, stream).await;
                    drop(taken);
                });
            }
        }
        Ok(())
    }

    /// Probes and callers don't take each other's connections.
    async fn admit(&self, shared: &Shared) -> Permit {
        match self.info.is_probe {
            true => shared.probes.take(|| MAX_PROBES).await,
            false => {
                let limit = || shared.live.load().serve.max_connections;
                shared.connected.take(limit).await
            }
        }
    }
}

/// Waits until there may be room again, and logs now and then that there is none.
async fn pause(error: &io::Error, told_at: &mut Option<Duration>) {
    let is_callers = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    );
    if is_callers {
        return;
    }
    let now = SystemClock.now().mono;
    if told_at.is_none_or(|at| now.saturating_sub(at) >= TOLD) {
        *told_at = Some(now);
        tracing::warn!("can't accept a connection: {error}");
    }
    SystemClock.sleep(PAUSE).await;
}
