//! What tests of Biped stand on.
//!
//! | for | use |
//! | --- | --- |
//! | time that only moves when the test says so | [`ManualClock`] |
//! | a vendor that answers by script, and waits at a gate | [`ScriptedHttp`], [`Reply`] |
//! | a plain provider for tests that are about something else | [`TestProvider`] |
//! | a provider's promises, one check each | [`provider::conformance`] |
//! | what every way to call an API must do | [`api::matrix`], [`api_matrix!`] |
//! | a store's promises, one check each | [`store::conformance`] |
//! | how vendors repeat a secret, and what is left of one in a text | [`secrets`] |
//! | letting spawned tasks get as far as they can | [`settle`] |
//! | a hang that is a failure with a name | [`TimeLimit`] |

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

/// What a check that ran in a task of its own says is wrong: it says so by panicking.
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

/// Lets every task of a single-threaded runtime get as far as it can without time passing.
///
/// On `#[tokio::test]` without further arguments, whatever is ready has run when this returns.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}
