//! [`Needs`]: what the middleware tells the connections about a request.

use biped_core::ClientIdentity;

/// What a request needs of its connection, as its token requires.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) identity: Option<ClientIdentity>,
    /// The URL is signed or contains the token, so redirects can't be followed.
    pub(crate) no_redirects: bool,
}
