//! The command lines of the sidecar.

use std::{path::PathBuf, time::Duration};

use clap::ValueHint;

/// Serves the vendors' APIs on this machine, for programs in any language
///
/// A call of http://127.0.0.1:7417/NAME/PATH goes to the API of the provider NAME with a token. It
/// prints the addresses to stdout, one per line, when they accept connections. [serve] in biped.toml has
/// the settings. SIGTERM stops it: it takes new calls for linger (5 s) more, and ends when no call is
/// under way, stop_timeout (25 s) after the signal at the latest. Tokens are kept in memory only, unless
/// [store] says otherwise. --timeout does not apply.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Where to listen: an address with a port, or unix:PATH; may be repeated; overrides [serve]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<String>,
    /// Hands out tokens on Unix sockets, and to callers that may have them
    #[arg(long)]
    pub(crate) tokens: bool,
    /// Reserved for the forward proxy
    #[arg(long, hide = true)]
    pub(crate) forward: bool,
}

/// Asks a running sidecar whether it is ready
///
/// The exit status is 0 if it is, else 4. A sidecar whose listeners have TLS is asked at its
/// probe_listen.
#[derive(Debug, clap::Args)]
pub(crate) struct Ready {
    /// The sidecar's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7417")]
    pub(crate) url: String,
    /// The sidecar's Unix socket
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, conflicts_with = "url")]
    pub(crate) socket: Option<PathBuf>,
    /// How long to wait for it, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub(crate) wait: Duration,
}

/// How `exec` serves its command.
#[derive(Debug, clap::Args)]
pub(crate) struct Serving {
    /// Serves the providers to the command, instead of giving it tokens
    #[arg(long)]
    pub(crate) serve: bool,
    /// Hands out tokens to the command as well, as an OAuth token endpoint (NAME_TOKEN_URL,
    /// NAME_CLIENT_ID, NAME_CLIENT_SECRET)
    #[arg(long, requires = "serve")]
    pub(crate) tokens: bool,
    /// Serves at this Unix socket instead of a port
    #[arg(long, requires = "serve", value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<PathBuf>,
    /// Runs the command even if a provider has no token yet
    #[arg(long, requires = "serve")]
    pub(crate) start_anyway: bool,
    /// Keeps the variables that hold secrets of the configuration in the command's environment
    #[arg(long, requires = "serve")]
    pub(crate) keep_env: bool,
}

/// Reads a number of seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or("expected a number of seconds")
}
