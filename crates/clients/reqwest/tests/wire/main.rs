//! What this crate does on the wire, against servers on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api_client;
mod chain;
mod compressed;
mod early;
mod servers;
mod silent;
mod tls;
mod token_client;
mod vendor;

use std::{future::Future, time::Duration};

use biped_core::{Clock as _, SystemClock};

/// Waits for work that may hang, however busy the machine is.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::select! {
        done = work => done,
        () = SystemClock.sleep(Duration::from_secs(120)) => panic!("it hangs"),
    }
}

/// What comes of `work`, which has to end before `other`: that has a longer limit, and is begun before it.
async fn sooner_than<O, T>(other: impl Future<Output = O>, work: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        _ = other => panic!("the shorter limit does not count"),
        done = work => done,
    }
}

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
