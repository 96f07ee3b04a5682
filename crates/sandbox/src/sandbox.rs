//! [`Sandbox`]: a running sandbox.

use std::{fmt, io, mem, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::Request,
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
};
use biped_core::{Clock, SystemClock};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    clients::PROJECTS,
    cloud, config, contentsquare, control, envelope,
    fault::Fault,
    gate::{failure, gate, place},
    listen::{End, Loopback},
    shared::Shared,
    stats::{KeyFilter, Stats},
    stop::Stop,
};

/// The default lifetime of tokens: an hour, as in the documentation.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

const DEFAULT_PROJECTS: usize = 2;

/// The maximum number of projects of the account: 12.
pub const MAX_PROJECTS: usize = PROJECTS.len();

/// Both vendors, which run on 127.0.0.1 until this is dropped.
///
/// Dropping it stops the listeners, and ends every request and response that waits for its client.
/// [`stop`](Self::stop) also waits for that.
pub struct Sandbox {
    shared: Arc<Shared>,
    servers: Vec<JoinHandle<()>>,
}

/// Starts a [`Sandbox`]; see [`Sandbox::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SandboxBuilder {
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    projects: usize,
    port: u16,
}

impl Sandbox {
    /// Returns a builder for a sandbox on free ports, with the machine's clock and tokens that live for
    /// an hour.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder {
            clock: Arc::new(SystemClock),
            lifetime: DEFAULT_LIFETIME,
            projects: DEFAULT_PROJECTS,
            port: 0,
        }
    }

    /// Returns the base URL of the token endpoints, the envelope vendor's API and the control
    /// endpoints: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.shared.url()
    }

    /// Returns the base URLs of Contentsquare's two clouds: that of project 42, then that of project
    /// 43.
    #[must_use]
    pub fn clouds(&self) -> [&str; 2] {
        self.shared.clouds()
    }

    /// Returns a `biped.toml` for this sandbox. Its providers are `exports` (account-level credentials,
    /// project 42), `exports-us` (the same, project 43, on the other cloud), `enrichment` (project-level
    /// credentials, integration 123), `speed-analysis`, and `shop` (the envelope vendor).
    #[must_use]
    pub fn config_toml(&self) -> String {
        config::toml(self.url(), self.clouds())
    }

    /// Returns the statistics so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Sets all counters to zero.
    pub fn reset_stats(&self) {
        self.shared.reset_stats();
    }

    /// Queues a fault.
    pub fn fail_next(&self, fault: Fault) {
        self.shared.add_fault(fault);
    }

    /// Returns the queued faults.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.shared.faults()
    }

    /// Removes the queued faults.
    pub fn clear_faults(&self) {
        self.shared.clear_faults();
    }

    /// Revokes the live tokens of the selected keys early; returns their number.
    pub fn revoke_tokens(&self, filter: &KeyFilter) -> usize {
        self.shared.revoke(filter)
    }

    /// Changes a client's secret, as a rotation in the vendor's console does. Its tokens stay valid, and
    /// [`config_toml`](Self::config_toml) keeps the first secret. Returns whether the client exists.
    pub fn change_secret(&self, client_id: &str, client_secret: &str) -> bool {
        let is_known = control::is_client(client_id);
        if is_known {
            self.shared.change_secret(client_id, client_secret);
        }
        is_known
    }

    /// Stops the sandbox, and returns when the ports are free and all connections are closed.
    pub async fn stop(mut self) {
        self.shared.stop();
        for server in mem::take(&mut self.servers) {
            // A server that panicked has stopped as well.
            let _ = server.await;
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("url", &self.url())
            .field("clouds", &self.clouds())
            .field("lifetime", &self.shared.lifetime())
            .finish_non_exhaustive()
    }
}

impl SandboxBuilder {
    /// Sets the clock for expiry, latency and dates. Default: the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how long tokens live, in whole seconds (a fraction is dropped), at least one. Default:
    /// [`DEFAULT_LIFETIME`].
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the number of projects of the account: at least two, at most [`MAX_PROJECTS`]. They are
    /// numbered from 42, and every second one is on the second cloud. Default: two.
    pub fn projects(mut self, projects: usize) -> Self {
        self.projects = projects;
        self
    }

    /// Sets the first of three consecutive ports; 0 chooses three free ports. Default: 0.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Binds the ports and serves them on the current tokio runtime.
    ///
    /// # Errors
    /// Fails if a port is in use, or if the third port would exceed 65535.
    pub async fn start(self) -> io::Result<Sandbox> {
        let stop = Stop::default();
        let first = Loopback::bind(self.port, &stop).await?;
        let clouds = [
            Loopback::bind(self.cloud(1)?, &stop).await?,
            Loopback::bind(self.cloud(2)?, &stop).await?,
        ];
        let urls = [clouds[0].url()?, clouds[1].url()?];
        let lifetime = Duration::from_secs(self.lifetime.as_secs().max(1));
        let projects = self.projects.clamp(DEFAULT_PROJECTS, MAX_PROJECTS);
        let url = first.url()?;
        let shared = Shared::new(self.clock, lifetime, projects, url, urls, stop);
        let shared = Arc::new(shared);

        let accounts = contentsquare::accounts()
            .merge(envelope::routes())
            .merge(control::routes());
        let mut servers = vec![serve(first, accounts, &shared)];
        for (index, listener) in clouds.into_iter().enumerate() {
            servers.push(serve(listener, cloud::routes(index), &shared));
        }
        Ok(Sandbox { shared, servers })
    }

    /// The port of a cloud.
    fn cloud(&self, number: u16) -> io::Result<u16> {
        if self.port == 0 {
            return Ok(0);
        }
        self.port.checked_add(number).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the clouds need two more ports after this one",
            )
        })
    }
}

fn serve(listener: Loopback, routes: Router<Arc<Shared>>, shared: &Arc<Shared>) -> JoinHandle<()> {
    let app = routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(shared), gate))
        .with_state(Arc::clone(shared));
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<End>())
        .with_graceful_shutdown(shared.stopped());
    tokio::spawn(async move {
        // The server ends only when it is stopped.
        let _ = server.await;
    })
}

async fn not_found(request: Request) -> Response {
    failed(&request, StatusCode::NOT_FOUND)
}

async fn method_not_allowed(request: Request) -> Response {
    failed(&request, StatusCode::METHOD_NOT_ALLOWED)
}

fn failed(request: &Request, status: StatusCode) -> Response {
    match place(request.uri().path()) {
        Some((vendor, place)) => failure(vendor, place, status),
        None => {
            let error = status.canonical_reason().unwrap_or_default();
            (status, Json(json!({ "error": error }))).into_response()
        }
    }
}
