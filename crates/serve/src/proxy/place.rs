//! [`Wanted`]: where a request wants to go: below the base URL, or to a complete URL of the API.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Uri};
use url::Url;

use crate::{
    params::one,
    problem::Problem,
    target::{self, BadPath, Target},
    transport::Path,
};

const URL: HeaderName = HeaderName::from_static("biped-url");

/// Where a request wants to go.
#[derive(Debug)]
pub(super) enum Wanted {
    Below {
        rest: String,
        query: Option<String>,
    },
    /// As `Biped-Url` says.
    Complete {
        url: Url,
        path: String,
        query: Option<String>,
    },
}

impl Wanted {
    pub(super) fn read(
        target: &Target<'_>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let Some(text) = one(headers, &URL)? else {
            return Ok(Self::Below {
                rest: target.rest.to_owned(),
                query: uri.query().map(str::to_owned),
            });
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
        Ok(Self::Complete {
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            url,
        })
    }

    /// The path after the base URL's, for the rules. What is elsewhere on the API's origin matches no
    /// rule but one for everything.
    pub(super) fn rest_of(&self, base: Option<&Url>) -> Result<Cow<'_, str>, Problem> {
        let (url, path) = match self {
            Self::Below { rest, .. } => return Ok(Cow::Borrowed(rest)),
            Self::Complete { url, path, .. } => (url, path),
        };
        let is_api = base.is_some_and(|base| base.origin() == url.origin());
        let Some(base) = base.filter(|_| is_api) else {
            let what =
                "Biped-Url leads away from the API; call other addresses with a plain client";
            return Err(Problem::new("other-origin", what));
        };
        let below = path.strip_prefix(base.path().trim_end_matches('/'));
        let below = below.filter(|rest| rest.is_empty() || rest.starts_with('/'));
        // An encoded slash matches no rule.
        Ok(below.map_or(Cow::Borrowed("/%2F"), Cow::Borrowed))
    }

    pub(super) fn into_path(self) -> Path {
        match self {
            Self::Below { rest, query } => Path::Below { rest, query },
            Self::Complete { url, path, query } => Path::Complete { url, path, query },
        }
    }
}
