//! [`Wanted`]: where a request wants to go: below the base URL, or to a complete URL of the API.

use http::{HeaderMap, HeaderName, Uri};
use url::Url;

use crate::{
    params::one,
    problem::Problem,
    target::{self, BadPath, Target},
};

const URL: HeaderName = HeaderName::from_static("biped-url");

/// Where a request wants to go.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Below the base URL: the path from here on, and the query.
    Below(usize),
    /// As `Biped-Url` says: the URL, and the caller's own text of it.
    Complete(Url, Uri),
}

impl Wanted {
    pub(super) fn read(
        target: &Target<'_>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let Some(text) = one(headers, &URL)? else {
            return Ok(Self::Below(uri.path().len() - target.rest.len()));
        };
        // Two parsers must agree on the host: where they differ, so may others.
        let wrong = || {
            Problem::new(
                "other-origin",
                "Biped-Url: expected a complete URL of the API",
            )
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (host, authority) = (url.host_str(), uri.authority());
        let authority = authority.ok_or_else(wrong)?;
        let agree = host.is_some_and(|host| host.eq_ignore_ascii_case(authority.host()))
            && uri
                .scheme_str()
                .is_some_and(|scheme| scheme == url.scheme())
            && (authority.port_u16().is_none()
                || authority.port_u16() == url.port_or_known_default());
        let has_user = !url.username().is_empty()
            || url.password().is_some()
            || authority.as_str().contains('@');
        if !agree || has_user || url.fragment().is_some() {
            return Err(wrong());
        }
        target::check(uri.path(), uri.query())
            .map_err(|BadPath(what)| Problem::new("bad-path", what))?;
        Ok(Self::Complete(url, uri))
    }

    /// The path after the base URL's, for the rules. What is elsewhere on the API's origin matches no
    /// rule but one for everything.
    pub(super) fn rest_of<'u>(
        url: &Url,
        uri: &'u Uri,
        base: Option<&Url>,
    ) -> Result<&'u str, Problem> {
        let is_api = base.is_some_and(|base| base.origin() == url.origin());
        let Some(base) = base.filter(|_| is_api) else {
            let what =
                "Biped-Url leads away from the API; call other addresses with a plain client";
            return Err(Problem::new("other-origin", what));
        };
        let below = uri.path().strip_prefix(base.path().trim_end_matches('/'));
        let below = below.filter(|rest| rest.is_empty() || rest.starts_with('/'));
        // An encoded slash matches no rule.
        Ok(below.unwrap_or("/%2F"))
    }
}
