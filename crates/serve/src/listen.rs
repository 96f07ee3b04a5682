//! Where callers connect: TCP addresses, and Unix sockets.

mod failed;
#[cfg(unix)]
mod socket;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use biped::{
    Error,
    provider::{Clock, SystemClock},
};
use tokio::{net::TcpListener, sync::Semaphore};

use self::failed::Failed;
use crate::{
    config::Serve,
    connection,
    peer::{ListenerInfo, Peer},
    shared::{Shared, Stage},
};

/// How long accepting pauses where the system has no more room.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener that is bound.
#[derive(Debug)]
pub(crate) struct Bound {
    kind: Kind,
    info: Arc<ListenerInfo>,
    /// As callers write it.
    pub(crate) shown: String,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(socket::Socket),
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose<'n> {
    All,
    Probe,
    Provider(&'n str),
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
    match listener {
        Inherited::Tcp(listener) => {
            listener.set_nonblocking(true).map_err(unusable)?;
            let listener = TcpListener::from_std(listener).map_err(unusable)?;
            let bound = listener.local_addr().map_err(unusable)?;
            check_local(serve, bound, is_probe)?;
            Ok(Bound {
                kind: Kind::Tcp(listener),
                info: Arc::new(ListenerInfo {
                    port: Some(bound.port()),
                    is_local: bound.ip().is_loopback(),
                    is_probe,
                    provider: None,
                }),
                shown: shown(serve, bound, is_probe),
            })
        }
        #[cfg(unix)]
        Inherited::Unix(listener) => {
            let address = listener.local_addr().map_err(unusable)?;
            let path = address
                .as_pathname()
                .map_or_else(String::new, |path| path.display().to_string());
            Ok(Bound {
                kind: Kind::Unix(socket::inherited(listener).map_err(unusable)?),
                info: Arc::new(ListenerInfo {
                    port: None,
                    is_local: true,
                    is_probe,
                    provider: None,
                }),
                shown: format!("unix:{path}"),
            })
        }
    }
}

/// An address as callers write it.
fn shown(serve: &Serve, bound: SocketAddr, is_probe: bool) -> String {
    let is_secure = serve.tls.is_some() && !is_probe;
    format!("{}://{bound}", if is_secure { "https" } else { "http" })
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

/// Binds every address of the settings.
///
/// Inherited listeners take the place of `listen`.
pub(crate) async fn bind_all(
    serve: &Serve,
    names: &[Arc<str>],
    inherited: Vec<(Inherited, bool)>,
) -> Result<Vec<Bound>, Error> {
    let mut all = Vec::new();
    let is_given = !inherited.is_empty();
    for (listener, is_probe) in inherited {
        all.push(take(serve, listener, is_probe)?);
    }
    for address in serve.listen.iter().filter(|_| !is_given) {
        match bind(serve, address, Purpose::All).await {
            Ok(bound) => all.push(bound),
            // A machine may have no IPv6, and the default needs none.
            Err(Failed::Io(error))
                if serve.is_default_listen && !all.is_empty() && is_missing(&error) => {}
            Err(failed) => return Err(failed.of(address)),
        }
    }
    for address in &serve.probe_listen {
        let bound = bind(serve, address, Purpose::Probe).await;
        all.push(bound.map_err(|failed| failed.of(address))?);
    }
    let served = |name: &str| names.iter().any(|known| **known == *name);
    for (name, settings) in serve.providers.iter().filter(|(name, _)| served(name)) {
        for address in &settings.listen {
            let bound = bind(serve, address, Purpose::Provider(name)).await;
            all.push(bound.map_err(|failed| failed.of(address))?);
        }
    }
    if all.is_empty() {
        let error = Error::configuration("there is no address to listen at");
        return Err(error.with_remedy("name one in [serve] listen"));
    }
    Ok(all)
}

fn is_missing(error: &io::Error) -> bool {
    // Without IPv6 the errors differ by system, and by how it was switched off.
    !matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

async fn bind(serve: &Serve, address: &str, purpose: Purpose<'_>) -> Result<Bound, Failed> {
    let provider = match purpose {
        Purpose::Provider(name) => Some(Arc::from(name)),
        _ => None,
    };
    let is_probe = purpose == Purpose::Probe;
    let named = |shown: String| match purpose {
        Purpose::Provider(name) => format!("{name} {shown}"),
        _ => shown,
    };
    if let Some(path) = address.strip_prefix("unix:") {
        #[cfg(unix)]
        {
            let socket = socket::bind(path.as_ref(), serve)?;
            return Ok(Bound {
                kind: Kind::Unix(socket),
                info: Arc::new(ListenerInfo {
                    port: None,
                    is_local: true,
                    is_probe,
                    provider,
                }),
                shown: named(address.to_owned()),
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
    check_local(serve, parsed, is_probe).map_err(Failed::Refused)?;
    let listener = TcpListener::bind(parsed).await.map_err(Failed::Io)?;
    let bound = listener.local_addr().map_err(Failed::Io)?;
    Ok(Bound {
        kind: Kind::Tcp(listener),
        info: Arc::new(ListenerInfo {
            port: Some(bound.port()),
            is_local: bound.ip().is_loopback(),
            is_probe,
            provider,
        }),
        shown: named(shown(serve, bound, is_probe)),
    })
}

impl Bound {
    /// Whether the address is for probes only.
    pub(crate) fn is_probe(&self) -> bool {
        self.info.is_probe
    }

    /// Whether other processes of the machine can connect, whoever they are.
    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self.kind, Kind::Tcp(_))
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    /// Takes connections until the sidecar closes.
    pub(crate) async fn run(self, shared: Arc<Shared>, room: Arc<Semaphore>) {
        let mut stage = shared.stage.subscribe();
        loop {
            let accepted = async {
                let permit = room.clone().acquire_owned().await.ok()?;
                self.accept(&shared, permit).await;
                Some(())
            };
            tokio::select! {
                biased;
                over = stage.wait_for(|stage| *stage >= Stage::Closing) => {
                    drop(over);
                    return;
                }
                accepted = accepted => if accepted.is_none() {
                    return;
                }
            }
        }
    }

    async fn accept(&self, shared: &Arc<Shared>, permit: tokio::sync::OwnedSemaphorePermit) {
        let (shared, info) = (shared.clone(), self.info.clone());
        match &self.kind {
            Kind::Tcp(listener) => match listener.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let peer = Peer {
                        is_local: info.is_local,
                        is_socket: false,
                        uid: None,
                        secured: None,
                    };
                    tokio::spawn(async move {
                        connection::open(shared, info, peer, stream).await;
                        drop(permit);
                    });
                }
                Err(error) => pause(&error).await,
            },
            #[cfg(unix)]
            Kind::Unix(socket) => match socket.accept().await {
                Ok(stream) => {
                    let peer = Peer {
                        is_local: true,
                        is_socket: true,
                        uid: stream.peer_cred().ok().map(|peer| peer.uid()),
                        secured: None,
                    };
                    tokio::spawn(async move {
                        connection::serve(shared, info, peer, stream).await;
                        drop(permit);
                    });
                }
                Err(error) => pause(&error).await,
            },
        }
    }
}

async fn pause(error: &io::Error) {
    let is_callers = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    );
    if !is_callers {
        tracing::warn!("a connection can't be taken: {error}");
        SystemClock.sleep(PAUSE).await;
    }
}
