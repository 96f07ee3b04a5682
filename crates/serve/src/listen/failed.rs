//! [`Failed`]: why an address can't be listened at.

use std::io;

use biped::Error;

/// Why an address can't be listened at.
#[derive(Debug)]
pub(super) enum Failed {
    Io(io::Error),
    Refused(Error),
}

impl Failed {
    pub(super) fn of(self, address: &str) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Io(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Error::configuration(format!("{address} is in use"))
                    .with_remedy("stop the other process, or listen elsewhere with --listen")
            }
            Self::Io(error) => Error::configuration(format!("can't listen at {address}: {error}")),
        }
    }
}
