//! What other programs tell the command. Only the fuzz targets use this, with the feature `fuzzing`; it may
//! change in any release.

use biped::Error;

use crate::commands::token::kubernetes;

/// Reads a value of `KUBERNETES_EXEC_INFO`: the version of the credential that the caller takes.
///
/// # Errors
/// [`Configuration`](biped::ErrorKind::Configuration) for a value that names none.
pub fn exec_info(value: &str) -> Result<&'static str, Error> {
    kubernetes::version(Some(value.as_ref()))
}
