//! Where secrets and tokens may be sent, and how an address is shown.

use url::{Host, Url};

use crate::Error;

/// Whether a token or a secret may be sent to `url`: https, or http to this very machine, and no
/// user name in it.
///
/// # Errors
/// [`Configuration`](crate::ErrorKind::Configuration), saying what is wrong with it.
pub fn check_secure(url: &Url) -> Result<(), Error> {
    let refuse = |what: &str| Error::configuration(format!("{} {what}", redacted_url(url)));
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("has a user name in it")
            .with_remedy("give credentials as client_id and client_secret"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(refuse("is not https").with_remedy(
            "secrets and tokens travel over https only (http to loopback is allowed)",
        )),
        _ => Err(refuse("is not an https address")),
    }
}

/// Whether `url` names this very machine: `localhost`, `127.0.0.0/8` or `::1`. Names below
/// `localhost` are not: where the system's resolver doesn't know better, a name server answers.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A URL as it may be shown: without user name, query and fragment, where secrets hide.
#[must_use]
pub fn redacted_url(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}
