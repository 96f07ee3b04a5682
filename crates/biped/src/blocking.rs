//! Clients and tokens for threads without a runtime: command-line tools, scripts, thread pools.
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
//! A blocking [`Biped`] is an asynchronous [`Biped`](crate::Biped) with a thread, which sends, receives
//! and refreshes. Each call waits for that thread.
//!
//! A call inside a runtime would stop that runtime. It fails with a
//! [`Configuration`](crate::ErrorKind::Configuration) error, in tasks and in tokio's `spawn_blocking`.
//! Asynchronous applications use [`crate::Biped`], in `spawn_blocking` with tokio's
//! `Handle::block_on`.

mod client;
mod worker;

use std::{future::Future, path::PathBuf, sync::Arc};

use biped_core::Error;
use biped_engine::CachedToken;

pub use self::client::{ApiClient, Reader, RequestBuilder, Response};
use self::worker::Worker;

/// [`crate::Biped`] for threads without a runtime.
///
/// It is cheap to clone; all clones share tokens, connections and the thread.
#[derive(Clone, Debug)]
pub struct Biped {
    biped: crate::Biped,
    worker: Worker,
}

impl Biped {
    /// Reads a biped.toml, and the `BIPED_…` variables of the environment.
    ///
    /// # Errors
    /// Fails like [`Builder::build`](crate::Builder::build), and if no thread can be started.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::new(crate::Biped::from_file(path)?)
    }

    /// Adds a thread to what a [`Builder`](crate::Builder) built.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) if no thread can be started.
    pub fn new(biped: crate::Biped) -> Result<Self, Error> {
        let worker = Worker::start()?;
        Ok(Self { biped, worker })
    }

    /// Returns a client of a provider's API.
    ///
    /// # Errors
    /// Fails like [`crate::Biped::client`].
    pub fn client(&self, name: &str) -> Result<ApiClient, Error> {
        let client = self.biped.client(name)?;
        Ok(ApiClient::over(client, self.worker.clone()))
    }

    /// Returns a usable token of a provider.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) if no provider has this name. Otherwise fails like
    /// [`TokenSource::token`](crate::TokenSource::token), and always inside a runtime.
    pub fn token(&self, name: &str) -> Result<Arc<CachedToken>, Error> {
        let source = self.biped.token_source(name)?;
        self.wait(async { source.token().await.map(crate::TokenRef::into_owned) })?
    }

    /// Waits for a future, such as one of [`asynchronous`](Self::asynchronous).
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

    /// Returns the asynchronous [`Biped`](crate::Biped) with the same vendors, tokens and
    /// connections.
    #[must_use]
    pub fn asynchronous(&self) -> &crate::Biped {
        &self.biped
    }
}
