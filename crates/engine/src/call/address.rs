//! Where an API request goes, and that it does not leave the API's origin.

use biped_core::{Error, PlainHttp, redacted_url};
use url::Url;

/// The origin of requests with a relative path, until the token says where they go. Its top-level
/// domain never resolves (RFC 6761 §6.4).
pub const BASE_URL_PLACEHOLDER: &str = "https://base-url.invalid";
const PLACEHOLDER_HOST: &str = "base-url.invalid";

/// Where a request goes: the placeholder gives way to the base URL, and nothing leaves its origin.
/// `None`: where it is going already.
pub(super) fn place(
    url: &Url,
    base: Option<&Url>,
    plain_http: Option<&PlainHttp>,
) -> Result<Option<Url>, Error> {
    let is_relative = is_relative(url);
    let Some(base) = base else {
        let what = if is_relative {
            "a relative path needs a base URL"
        } else {
            "there is no base URL to compare the URL with"
        };
        return Err(Error::configuration(what)
            .with_remedy("the vendor names none with this token; set api_base_url"));
    };
    // What an answer named was checked when it came: it is in plain http only if it is configured.
    PlainHttp::check_with(plain_http, base)?;
    check_fragment(url)?;
    if base.query().is_some() || base.fragment().is_some() {
        return Err(Error::configuration(format!(
            "the base URL {} contains a query or a fragment",
            redacted_url(base)
        ))
        .with_remedy("remove it, and give a query with each request"));
    }
    if is_relative {
        let mut placed = base.clone();
        match base.path().trim_end_matches('/') {
            "" => placed.set_path(url.path()),
            before => placed.set_path(&format!("{before}{}", url.path())),
        }
        placed.set_query(url.query());
        return Ok(Some(placed));
    }
    if url.origin() != base.origin() {
        return Err(elsewhere(url, Some(base)));
    }
    check_user(url)?;
    Ok(None)
}

pub(super) fn is_relative(url: &Url) -> bool {
    url.scheme() == "https" && url.host_str() == Some(PLACEHOLDER_HOST) && url.port().is_none()
}

pub(super) fn elsewhere(url: &Url, base: Option<&Url>) -> Error {
    let url = redacted_url(url);
    let Some(base) = base else {
        return Error::configuration(format!("{url} is outside the API's origin")).with_remedy(
            "call other addresses with a plain client; if this is the API's, set api_base_url",
        );
    };
    let base = redacted_url(base);
    Error::configuration(format!("{url} is outside the API's origin, {base}"))
        .with_remedy("the token belongs there only; call other addresses with a plain client")
}

pub(super) fn check_user(url: &Url) -> Result<(), Error> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    Err(Error::configuration(format!(
        "the URL {} contains a user name",
        redacted_url(url)
    ))
    .with_remedy("leave it out; the token says who calls"))
}

/// Refuses a fragment, which is never sent: the server would see another path than the caller wrote.
pub(super) fn check_fragment(url: &Url) -> Result<(), Error> {
    if url.fragment().is_none() {
        return Ok(());
    }
    Err(Error::configuration("the path or URL contains a #")
        .with_remedy("write %23 if it is part of the path or the query, else leave it out"))
}
