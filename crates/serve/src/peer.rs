//! Where a connection came to, and who is at its other end.

use std::sync::Arc;

use tokio::sync::watch;

use crate::tls::Secured;

/// The listener that a connection came to.
#[derive(Debug)]
pub(crate) struct ListenerInfo {
    /// The address, as metrics name it.
    pub(crate) label: String,
    /// `None` for a Unix socket.
    pub(crate) port: Option<u16>,
    /// Whether only this machine can connect.
    pub(crate) is_local: bool,
    /// Whether only health, readiness and metrics are answered.
    pub(crate) is_probe: bool,
    /// The one provider that is served there.
    pub(crate) provider: Option<Arc<str>>,
    /// Whether a reload closed it. What its connections have begun ends.
    pub(crate) removed: watch::Sender<bool>,
}

/// Where the sidecar listens, as callers and probes write it.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) addresses: Vec<String>,
    pub(crate) probes: Vec<String>,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) is_local: bool,
    pub(crate) is_socket: bool,
    /// The user, where the system tells.
    pub(crate) uid: Option<u32>,
    /// Where the connection is encrypted.
    pub(crate) secured: Option<Secured>,
}
