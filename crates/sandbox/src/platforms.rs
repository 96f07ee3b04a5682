//! [`Platforms`]: the services of platforms, an issuer that trusts them, and an API.

#[cfg(unix)]
mod agent;
mod api;
mod config;
mod directory;
mod issuer;
mod keys;
mod kubelet;
mod services;
mod state;

use std::{fmt, fs, io, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State as Of},
    middleware::{self, Next},
    response::Response,
};
use biped_core::{Clock, SystemClock};
use tokio::task::JoinHandle;

pub use self::{config::Environment, state::Seen};
use self::{
    keys::Key,
    state::{Party, ROTATING, State},
};
use crate::{
    listen::{End, Loopback},
    sandbox::DEFAULT_LIFETIME,
    stop::Stop,
    token::random_hex,
};

/// The services of platforms that say who a workload is, an issuer that verifies what they sign, and an
/// API. All of them run on 127.0.0.1 until this is dropped.
///
/// | path | what it is |
/// | --- | --- |
/// | `/github/token`, `/forgejo/api/…` | the endpoints of a job of GitHub Actions and of Forgejo Actions |
/// | `/computeMetadata/v1/…` | Google's metadata server |
/// | `/metadata/identity/oauth2/token` | Azure's, of virtual machines |
/// | `/msi/token` | that of App Service and Container Apps |
/// | `/arc/metadata/identity/oauth2/token` | that of Azure Arc's agent, with its key files |
/// | `/any/token` | an endpoint of no platform in particular |
/// | `/issuer`, `/issuer/token`, `/issuer/jwks` | the issuer: client credentials with client assertions, `jwt-bearer` (RFC 7523), token exchange (RFC 8693), refresh tokens that rotate; its metadata is at RFC 8414's address |
/// | `POST /issuer/_sandbox/lose-answer` | the answer to the next refresh is lost ([`lose_answer`](Self::lose_answer)) |
/// | `POST /issuer/_sandbox/consent/ACCOUNT` | a new refresh token of `rotating` or `rotating-grace`, as a person's consent gives it |
/// | `/api/hello` | the API; its metadata is at RFC 9728's address |
///
/// The [directory](Self::directory) has the socket of a SPIFFE Workload API, a projected token that a
/// kubelet replaces every 5 s, and key files. It also has the first refresh tokens of two accounts, of
/// which one has a grace period ([`RotatingAccount`](crate::RotatingAccount)), and the store that
/// [`config_toml`](Self::config_toml) keeps them in.
///
/// The issuer verifies signature, issuer, audience, type and expiry. Each platform refuses a request
/// without the header that its documentation demands.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use biped_sandbox::Platforms;
///
/// let platforms = Platforms::builder().start().await?;
/// let config = platforms.config_toml(); // a biped.toml with an entry for each platform
/// // … the application runs …
/// for seen in platforms.seen() {
///     println!("{} {}", seen.status, seen.request);
/// }
/// # Ok(()) }
/// ```
pub struct Platforms {
    state: Arc<State>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts [`Platforms`]; see [`Platforms::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PlatformsBuilder {
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    port: u16,
}

impl Platforms {
    /// Returns a builder with a free port, the machine's clock, and tokens of the issuer that live for
    /// an hour.
    pub fn builder() -> PlatformsBuilder {
        PlatformsBuilder {
            clock: Arc::new(SystemClock),
            lifetime: DEFAULT_LIFETIME,
            port: 0,
        }
    }

    /// Returns the base URL of all services: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.state.url
    }

    /// Returns the directory of the socket, of the projected token and of the key files. It is readable
    /// to its user only, and removed with this.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.state.directory()
    }

    /// Returns a `biped.toml` with an entry for each platform and each way to present a token.
    #[must_use]
    pub fn config_toml(&self) -> String {
        config::toml(&self.state)
    }

    /// Returns the variables that each platform sets. If all are set in this order, every entry of
    /// [`config_toml`](Self::config_toml) works.
    #[must_use]
    pub fn environments(&self) -> Vec<Environment> {
        config::environments(&self.state)
    }

    /// Returns the last 4096 requests, the oldest first.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen()
    }

    /// Replaces the projected token at once, as the sandbox's kubelet does every 5 s.
    ///
    /// # Errors
    /// Fails if the file can't be written.
    pub fn replace_projected_token(&self) -> io::Result<()> {
        kubelet::replace(&self.state)
    }

    /// Loses the answer to the next refresh: the refresh token is replaced, and the connection is reset in
    /// the middle of the response.
    pub fn lose_answer(&self) {
        self.state.lose_answer();
    }

    /// Stops all of it, and returns when the port is free and all connections are closed.
    pub async fn stop(mut self) {
        self.state.stop.stop();
        for task in std::mem::take(&mut self.tasks) {
            // A task that panicked has stopped as well.
            let _ = task.await;
        }
    }
}

impl Drop for Platforms {
    fn drop(&mut self) {
        self.state.stop.stop();
    }
}

impl fmt::Debug for Platforms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platforms")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl PlatformsBuilder {
    /// Sets the clock for lifetimes and for the kubelet. Default: the machine's clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how long the issuer's tokens live, in whole seconds, at least one. Default:
    /// [`DEFAULT_LIFETIME`].
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the port; 0 chooses a free one. Default: 0.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Binds the port and the socket, writes the files, and serves them on the current tokio runtime.
    ///
    /// # Errors
    /// Fails if the port is in use, or if the files or the socket can't be created in a temporary
    /// directory; the path of a socket has a limit of about 100 bytes.
    pub async fn start(self) -> io::Result<Platforms> {
        let stop = Stop::default();
        let listener = Loopback::bind(self.port, &stop).await?;
        let lifetime = Duration::from_secs(self.lifetime.as_secs().max(1));
        let state = Arc::new(State::new(self.clock, lifetime, listener.url()?, stop)?);
        kubelet::replace(&state)?;
        let directory = state.directory();
        let pem = state.key(Party::Client).map(Key::pem).unwrap_or_default();
        fs::write(directory.join("client.key.pem"), pem)?;
        let account = config::service_account(&state);
        fs::write(directory.join("service-account.json"), account)?;
        for ((name, _), seed) in ROTATING.iter().zip(state.refresh_tokens()) {
            fs::write(directory.join(format!("{name}.seed")), seed)?;
        }
        fs::write(directory.join("seal.key"), random_hex(64))?;
        // Nothing runs before all that can fail is done.
        #[cfg(unix)]
        let socket = agent::bind(&state)?;
        let tasks = vec![
            serve(listener, &state),
            tokio::spawn(kubelet::run(Arc::clone(&state))),
            #[cfg(unix)]
            tokio::spawn(agent::run(socket, Arc::clone(&state))),
        ];
        Ok(Platforms { state, tasks })
    }
}

fn serve(listener: Loopback, state: &Arc<State>) -> JoinHandle<()> {
    let app = Router::new()
        .merge(services::routes())
        .merge(issuer::routes())
        .merge(api::routes())
        .layer(middleware::from_fn_with_state(Arc::clone(state), note))
        .with_state(Arc::clone(state));
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<End>())
        .with_graceful_shutdown(state.stopped());
    tokio::spawn(async move {
        // The server ends only when it is stopped.
        let _ = server.await;
    })
}

/// Remembers a request and the status of its response.
async fn note(Of(state): Of<Arc<State>>, request: Request, next: Next) -> Response {
    let shown = format!("{} {}", request.method(), request.uri());
    let response = next.run(request).await;
    state.note(shown, response.status().as_u16());
    response
}
