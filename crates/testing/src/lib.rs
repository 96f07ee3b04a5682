//! Tools for tests of Biped.
//!
//! | for | use |
//! | --- | --- |
//! | a clock that the test moves | [`ManualClock`] |
//! | a scripted vendor whose responses can be delayed | [`ScriptedHttp`], [`Reply`] |
//! | a plain provider for tests of something else | [`TestProvider`] |
//! | checks of a provider's promises | [`provider::conformance`] |
//! | checks of a way to call an API | [`api::matrix`], [`api_matrix!`] |
//! | checks of a store's promises | [`store::conformance`] |
//! | the encodings of a secret, and finding parts of one in a text | [`secrets`] |
//! | letting spawned tasks run | [`settle`] |
//! | a limit that makes a hanging test fail by name | [`TimeLimit`] |

pub mod api;
mod clock;
mod http;
pub mod provider;
pub mod secrets;
pub mod store;
mod time_limit;

pub use self::{
    clock::ManualClock,
    http::{Recorded, Reply, ScriptedHttp},
    provider::TestProvider,
    time_limit::TimeLimit,
};

/// Returns the panic message of a check that ran in its own task, if it has failed.
async fn verdict(check: tokio::task::JoinHandle<()>) -> Result<(), String> {
    check.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()))
            .unwrap_or_else(|| "it panicked".into()),
        Err(error) => error.to_string(),
    })
}

/// Lets every task of a single-threaded runtime run as far as it can without time passing.
///
/// With plain `#[tokio::test]`, all ready tasks have run when this returns.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
