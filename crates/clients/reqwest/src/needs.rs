//! [`Needs`]: what the middleware tells the connections about a request.

use biped_core::ClientIdentity;

/// What a request needs of the connection it goes over; its token says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    pub(crate) identity: Option<ClientIdentity>,
    /// Its URL can't be left: it is signed, or holds the token.
    pub(crate) no_redirects: bool,
}
