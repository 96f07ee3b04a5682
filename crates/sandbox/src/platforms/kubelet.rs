//! A kubelet: a projected token in a file, which is replaced while it is read.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use tempfile::NamedTempFile;

use super::state::{PLATFORM_LIFETIME, Party, State};

/// How often the file is replaced.
const PERIOD: Duration = Duration::from_secs(5);

/// The file of the projected token.
pub(super) fn file(state: &State) -> PathBuf {
    state.directory().join("kubernetes.jwt")
}

/// Replaces the file with a new token, in one step as a kubelet does.
pub(super) fn replace(state: &State) -> io::Result<()> {
    let token = state.signed(
        Party::Kubernetes,
        &json!([state.issuer()]),
        PLATFORM_LIFETIME,
    );
    // Two at once have files of their own.
    let mut next = NamedTempFile::new_in(state.directory())?;
    next.write_all(token.as_bytes())?;
    next.persist(file(state))?;
    Ok(())
}

/// Replaces the file until the sandbox stops.
pub(super) async fn run(state: Arc<State>) {
    loop {
        tokio::select! {
            () = state.clock.sleep(PERIOD) => {}
            () = state.stopped() => return,
        }
        // If the disk is full, the file that is there stays.
        let _ = replace(&state);
    }
}
