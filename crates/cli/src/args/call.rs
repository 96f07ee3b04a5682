//! The arguments of `biped call`.

use std::ffi::OsString;

use biped::reqwest::reqwest::Method;
use clap::ValueHint;

use super::errors::Errors;
use crate::selection::Selection;

/// Calls the vendor's API and prints the response body
///
/// If the API rejects the token, Biped fetches a new one and sends the request once more. No other
/// request is repeated. Redirects are followed only within the API's origin.
#[derive(Debug, clap::Args)]
pub(crate) struct Call {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    /// The HTTP method, such as GET or POST
    #[arg(value_parser = method)]
    pub(crate) method: Method,
    /// A path, which is appended to the API's base URL, or a URL of the same origin
    #[arg(value_name = "PATH_OR_URL", value_hint = ValueHint::Url)]
    pub(crate) target: String,
    /// The body; @FILE reads it from a regular file, @- from stdin. JSON gets its Content-Type unless
    /// -H sets one
    #[arg(short, long, value_name = "BODY|@FILE", allow_hyphen_values = true)]
    pub(crate) data: Option<OsString>,
    /// A header to send; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// Prints the status line and the headers before the body
    #[arg(short, long)]
    pub(crate) include: bool,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) errors: Errors,
}

fn method(text: &str) -> Result<Method, &'static str> {
    // Methods are case-sensitive, and `get` means GET.
    Method::from_bytes(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| "expected a method such as GET or POST before the path")
}
