//! What this crate does on the wire, against servers on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api_client;
mod compressed;
mod early;
mod servers;
mod silent;
mod tls;
mod token_client;
mod vendor;

/// Everything that an error shows, down to its last cause.
fn everything(error: &(dyn std::error::Error + 'static)) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown += &format!(" {error} {error:?}");
        cause = error.source();
    }
    shown
}
