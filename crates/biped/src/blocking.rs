//! The same for threads without a runtime: command-line tools, scripts, thread pools.
//!
//! ```no_run
//! use biped::blocking::Biped;
//!
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let biped = Biped::from_file("biped.toml")?;
//! let shop = biped.client("shop")?;
//! let orders = shop.get("/v1/orders").query(&[("limit", "10")]).send()?.text()?;
//! let token = biped.token("shop")?;
//! # let _ = (orders, token);
//! # Ok(()) }
//! ```
//!
//! Everything here is the asynchronous [`Biped`](crate::Biped) and one thread of its own, which
//! sends, receives and refreshes; what is called waits for it.
//!
//! Waiting inside a runtime would stop that runtime. A call there is a
//! [`Configuration`](crate::ErrorKind::Configuration) error, in a task as well as in tokio's
//! `spawn_blocking`: an asynchronous application uses [`crate::Biped`] (in `spawn_blocking` with
//! tokio's `Handle::block_on`).

mod client;
mod worker;

use std::{future::Future, path::PathBuf, sync::Arc};

use biped_core::Error;
use biped_engine::CachedToken;

pub use self::client::{ApiClient, Reader, RequestBuilder, Response};
use self::worker::Worker;

/// [`crate::Biped`] for threads without a runtime.
///
/// Cheap to clone; all clones share tokens, connections and the one thread.
#[derive(Clone, Debug)]
pub struct Biped {
    biped: crate::Biped,
    worker: Worker,
}

impl Biped {
    /// Reads a biped.toml, and the `BIPED_…` variables of the environment.
    ///
    /// # Errors
    /// As [`Builder::build`](crate::Builder::build), and where there can be no further thread.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::new(crate::Biped::from_file(path)?)
    }

    /// What a [`Builder`](crate::Builder) built, with a thread to work on.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) where there can be no further thread.
    pub fn new(biped: crate::Biped) -> Result<Self, Error> {
        let worker = Worker::start()?;
        Ok(Self { biped, worker })
    }

    /// A client of a provider's API.
    ///
    /// # Errors
    /// As [`crate::Biped::client`].
    pub fn client(&self, name: &str) -> Result<ApiClient, Error> {
        let client = self.biped.client(name)?;
        Ok(ApiClient::over(client, self.worker.clone()))
    }

    /// A usable token of a provider.
    ///
    /// # Errors
    /// As [`TokenSource::token`](crate::TokenSource::token); inside a runtime always.
    pub fn token(&self, name: &str) -> Result<Arc<CachedToken>, Error> {
        let source = self.biped.token_source(name)?;
        self.wait(async { source.token().await.map(crate::TokenRef::into_owned) })?
    }

    /// Waits for whatever else [`asynchronous`](Self::asynchronous) offers.
    ///
    /// ```no_run
    /// # fn example(biped: biped::blocking::Biped) -> Result<(), biped::Error> {
    /// let source = biped.asynchronous().token_source("analytics")?;
    /// let inspection = biped.wait(source.inspect())??;
    /// # let _ = inspection;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) inside a runtime.
    pub fn wait<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        self.worker.wait(future)
    }

    /// The same vendors, tokens and connections, to be awaited.
    #[must_use]
    pub fn asynchronous(&self) -> &crate::Biped {
        &self.biped
    }
}
