//! [`Outgoing`]: a request on its way to the API, whose path and query are the caller's bytes.

use std::{borrow::Cow, sync::Arc};

use biped::{Error, client::BASE_URL_PLACEHOLDER, provider::ApiRequestParts, tower::Body};
use http::{HeaderMap, Method, Request, Uri};
use url::{Position, Url};

/// A request on its way.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    path: Arc<Path>,
    /// As the provider sees it; relative to the placeholder until a token says where the API is.
    url: Url,
    /// The query when the address was known, before the token was put on.
    placed: Option<Option<String>>,
}

/// Where a request goes, as the caller wrote it.
#[derive(Clone, Debug)]
pub(crate) enum Path {
    /// Below the base URL.
    Below { rest: String, query: Option<String> },
    /// A complete URL.
    Complete {
        url: Url,
        path: String,
        query: Option<String>,
    },
}

impl Outgoing {
    pub(crate) fn new(
        method: Method,
        headers: HeaderMap,
        body: Body,
        path: Path,
    ) -> Result<Self, Error> {
        let (url, placed) = match &path {
            Path::Below { rest, query } => {
                let query = query.as_ref();
                let query = query.map_or_else(String::new, |query| format!("?{query}"));
                let text = format!("{BASE_URL_PLACEHOLDER}{rest}{query}");
                let url = Url::parse(&text).map_err(|_| {
                    Error::configuration("the request's path can't be part of a URL")
                })?;
                (url, None)
            }
            Path::Complete { url, .. } => {
                let query = url.query().map(str::to_owned);
                (url.clone(), Some(query))
            }
        };
        Ok(Self {
            method,
            headers,
            body,
            path: Arc::new(path),
            url,
            placed,
        })
    }

    pub(crate) fn duplicate(&self) -> Option<Self> {
        Some(Self {
            body: self.body.duplicate()?,
            method: self.method.clone(),
            headers: self.headers.clone(),
            path: self.path.clone(),
            url: self.url.clone(),
            placed: self.placed.clone(),
        })
    }

    /// The request to the address that is sent to, and the URL that it stands for. A provider that signs
    /// URLs, or that puts its token into the query, decides over what it touched; all else is as the
    /// caller wrote it.
    pub(crate) fn addressed(
        self,
        base: Option<&Url>,
        signs_url: bool,
    ) -> Result<(Request<Body>, Url), Error> {
        let uri = self.uri(base, signs_url)?;
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers;
        Ok((request, self.url))
    }

    fn uri(&self, base: Option<&Url>, signs_url: bool) -> Result<Uri, Error> {
        let unusable = || Error::configuration("the request's URL is too long or not a valid URI");
        let text = if signs_url {
            let mut url = self.url.clone();
            url.set_fragment(None);
            String::from(url)
        } else {
            let (path, query) = match &*self.path {
                Path::Below { rest, query } => {
                    (join(base.map_or("", Url::path), rest), query.as_deref())
                }
                Path::Complete { path, query, .. } => (path.clone(), query.as_deref()),
            };
            let is_touched =
                (self.placed.as_ref()).is_some_and(|placed| placed.as_deref() != self.url.query());
            let query = if is_touched { self.url.query() } else { query };
            let query = query.map_or_else(String::new, |query| format!("?{query}"));
            format!("{}{path}{query}", &self.url[..Position::BeforePath])
        };
        // The URI takes the text over.
        Uri::from_maybe_shared(text).map_err(|_| unusable())
    }
}

/// A base path and what follows, with one slash between them.
fn join(base: &str, rest: &str) -> String {
    if rest.is_empty() {
        return match base {
            "" => "/".into(),
            base => base.into(),
        };
    }
    format!("{}{rest}", base.trim_end_matches('/'))
}

impl ApiRequestParts for &mut Outgoing {
    fn method(&self) -> &Method {
        &self.method
    }

    fn url(&self) -> Cow<'_, Url> {
        Cow::Borrowed(&self.url)
    }

    fn set_url(&mut self, url: Url) -> Result<(), Error> {
        if self.placed.is_none() {
            self.placed = Some(url.query().map(str::to_owned));
        }
        self.url = url;
        Ok(())
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    fn body(&self) -> Option<&[u8]> {
        self.body.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(base: &str, rest: &str, query: Option<&str>) -> String {
        let path = Path::Below {
            rest: rest.into(),
            query: query.map(Into::into),
        };
        let body = Body::whole(bytes::Bytes::new());
        let mut request = Outgoing::new(Method::GET, HeaderMap::new(), body, path).unwrap();
        let base: Url = base.parse().unwrap();
        let mut placed = base.clone();
        placed.set_path(&join(base.path(), request.url.path()));
        placed.set_query(request.url.query());
        let mut parts = &mut request;
        parts.set_url(placed).unwrap();
        request.uri(Some(&base), false).unwrap().to_string()
    }

    #[test]
    fn the_path_and_the_query_are_the_callers_bytes() {
        let every = "/v1/-._~!$&'()*+,;=:@%41%2f%C3%A9//x";
        let api = "https://api.example";
        assert_eq!(sent(api, every, None), format!("{api}{every}"));
        let query = "a='%27&b=[x]&c=a/b?d&e=%7B";
        assert_eq!(
            sent("https://api.example/base/", "/x", Some(query)),
            format!("{api}/base/x?{query}")
        );
    }

    #[test]
    fn without_a_rest_the_base_stays_as_it_is() {
        assert_eq!(sent("https://a.example", "", None), "https://a.example/");
        assert_eq!(
            sent("https://a.example/b", "", Some("q")),
            "https://a.example/b?q"
        );
        assert_eq!(
            sent("https://a.example/b/", "", None),
            "https://a.example/b/"
        );
        assert_eq!(
            sent("https://a.example/b/", "/", None),
            "https://a.example/b/"
        );
    }
}
