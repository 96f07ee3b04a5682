//! Which URLs secrets and tokens may be sent to, and how a URL is shown.

use url::{Host, Url};

use biped_error::Error;

/// Checks that a token or a secret may be sent to `url`: it is https, or http to this machine, and
/// contains no user name.
///
/// # Errors
/// [`Configuration`](biped_error::ErrorKind::Configuration), which says what is wrong with it.
pub fn check_secure(url: &Url) -> Result<(), Error> {
    let refuse = |what: &str| Error::configuration(format!("{} {what}", redacted_url(url)));
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("contains a user name")
            .with_remedy("give credentials as client_id and client_secret"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(refuse("is not https").with_remedy(
            "use https; if a service mesh encrypts the connection, list its host and port in plain_http",
        )),
        _ => Err(refuse("is not an https URL")),
    }
}

/// Returns whether `url` names this machine: `localhost`, `127.0.0.0/8` or `::1`. Names below
/// `localhost` don't count, because some resolvers ask a name server for them.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Checks that a platform's own service may be asked at `url`: https or loopback, as
/// [`check_secure`] says, or plain http to the link-local address of this machine's host
/// (`169.254.0.0/16`) or to `metadata.google.internal` at port 80.
///
/// # Errors
/// [`Configuration`](biped_error::ErrorKind::Configuration), which says what is wrong with it.
pub fn check_platform(url: &Url) -> Result<(), Error> {
    let is_plain = url.username().is_empty() && url.password().is_none();
    let is_named = url.host_str() == Some(GOOGLE_METADATA);
    let is_port = !is_named || url.port_or_known_default() == Some(80);
    if is_plain && url.scheme() == "http" && is_on_host(url) && is_port {
        return Ok(());
    }
    check_secure(url)
}

/// Where Google's machines ask who they are.
const GOOGLE_METADATA: &str = "metadata.google.internal";

/// Returns whether `url` names a service of the machine's own host, which no proxy may stand
/// before: a link-local address (`169.254.0.0/16`) or `metadata.google.internal`.
#[must_use]
pub fn is_on_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case(GOOGLE_METADATA),
        Some(Host::Ipv4(address)) => address.is_link_local(),
        _ => false,
    }
}

/// Returns a URL as it may be shown: without user name, query and fragment, which may hold secrets.
#[must_use]
pub fn redacted_url(url: &Url) -> String {
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}
