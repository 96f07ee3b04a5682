//! What agents and signing commands answer, and addresses, read as the sources read them. Only the fuzz
//! targets use this, with the feature `fuzzing`; it may change in any release.

use crate::signer::command;

/// Reads the message of a SPIFFE agent: the token of this identity, or the first one.
#[cfg(feature = "spiffe")]
#[must_use]
pub fn svid(message: &[u8], id: Option<&str>) -> Option<String> {
    crate::spiffe::read_svid(message, id)
}

/// Reads the address of a SPIFFE agent, and returns it as it is shown.
#[cfg(feature = "spiffe")]
#[must_use]
pub fn agent(text: &str) -> Option<String> {
    crate::spiffe::read_socket(text)
}

/// Reads the signature that a command printed for a key of ECDSA with coordinates of `length` bytes.
#[must_use]
pub fn ecdsa(printed: &[u8], length: usize) -> Option<Vec<u8>> {
    command::read_ecdsa(printed, length)
}

/// Reads a `pkcs11:` URI, and returns it as it is shown.
#[cfg(feature = "pkcs11")]
#[must_use]
pub fn pkcs11(text: &str) -> Option<String> {
    crate::signer::pkcs11::read_uri(text)
}
