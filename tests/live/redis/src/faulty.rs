//! [`Faulty`]: a server to which faults happen.

/// What happens to a server.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// It ends, and starts again.
    Stopped,
    /// It stands still, and goes on.
    Paused,
    /// It takes no more.
    Full,
    /// Connections end in the middle of its answers: the proxy's doing.
    Cut,
}

/// A server to which faults happen.
pub(crate) trait Faulty {
    /// The faults, and what they are called.
    const FAULTS: &[(Fault, &str)];
    fn port(&self) -> u16;
    /// What a worker is told of the server that is reached by this port.
    fn store(port: u16) -> String;
    async fn begin(&mut self, fault: Fault);
    async fn end(&mut self, fault: Fault);
}
