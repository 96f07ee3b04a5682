//! [`Outgoing`]: a request on its way to the API, whose path and query are the caller's bytes.

use std::{borrow::Cow, mem, sync::LazyLock};

use biped::{
    CachedToken, Error, client::BASE_URL_PLACEHOLDER, provider::ApiRequestParts, tower::Body,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, uri::PathAndQuery};
use url::{Position, Url};

use crate::links::Attached;

/// What the URL of a request begins with until a token says where the API is.
#[allow(clippy::expect_used)] // a constant
static PLACEHOLDER: LazyLock<Url> =
    LazyLock::new(|| Url::parse(BASE_URL_PLACEHOLDER).expect("the placeholder is a URL"));

/// A request on its way.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// The path and the query, as the caller wrote them.
    uri: Uri,
    /// Where the part of the path begins that is below the base URL; `None` if the path is complete.
    below: Option<usize>,
    /// As the provider sees it; relative to the placeholder until a token says where the API is.
    pub(crate) url: Url,
    /// The query when the address was known, before the token was put on.
    placed: Option<Option<String>>,
}

impl Outgoing {
    /// A request to what is below the base URL: the path of `uri` from `start` on, and its query.
    pub(crate) fn below(
        method: Method,
        headers: HeaderMap,
        body: Body,
        uri: Uri,
        start: usize,
    ) -> Self {
        let mut url = PLACEHOLDER.clone();
        url.set_path(rest(&uri, start));
        url.set_query(uri.query());
        Self {
            method,
            headers,
            body,
            uri,
            below: Some(start),
            url,
            placed: None,
        }
    }

    /// A request to a complete URL, which the caller wrote as `uri`.
    pub(crate) fn complete(
        method: Method,
        headers: HeaderMap,
        body: Body,
        uri: Uri,
        url: Url,
    ) -> Self {
        Self {
            method,
            headers,
            body,
            uri,
            below: None,
            placed: Some(url.query().map(str::to_owned)),
            url,
        }
    }

    /// A second copy; `None` where the body is not complete.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        Some(Self {
            body: self.body.duplicate()?,
            method: self.method.clone(),
            headers: self.headers.clone(),
            uri: self.uri.clone(),
            below: self.below,
            url: self.url.clone(),
            placed: self.placed.clone(),
        })
    }

    /// Scheme, host and port of the server.
    pub(crate) fn origin(&self) -> &str {
        &self.url[..Position::BeforePath]
    }

    /// The path and the query that are sent. A provider that signs URLs, or that puts its token into the
    /// query, decides over what it touched; all else is as the caller wrote it.
    pub(crate) fn target(
        &self,
        base: Option<&Url>,
        signs_url: bool,
    ) -> Result<PathAndQuery, Error> {
        let text = if signs_url {
            self.url[Position::BeforePath..Position::AfterQuery].to_owned()
        } else {
            let is_touched =
                (self.placed.as_ref()).is_some_and(|placed| placed.as_deref() != self.url.query());
            let query = if is_touched {
                self.url.query()
            } else {
                self.uri.query()
            };
            let (base, rest) = match self.below {
                Some(start) => (base.map_or("", Url::path), rest(&self.uri, start)),
                None => ("", self.uri.path()),
            };
            join(base, rest, query)
        };
        // It takes the text over.
        PathAndQuery::from_maybe_shared(text)
            .map_err(|_| Error::configuration("the request's URL is too long or not a valid URI"))
    }

    /// What was put into the query for the token.
    pub(crate) fn attached(&self, token: &CachedToken) -> Attached {
        let placed = self.placed.as_ref().and_then(Option::as_deref);
        Attached::new(placed, self.url.query(), token)
    }

    /// The request as it is sent, which leaves nothing to send again.
    pub(crate) fn take(&mut self, target: PathAndQuery) -> Box<Request<Body>> {
        let body = mem::replace(&mut self.body, Body::whole(Bytes::new()));
        let headers = mem::take(&mut self.headers);
        self.request(target, headers, body)
    }

    /// The request as it is sent; `None` where the body can be sent only once.
    pub(crate) fn copy(&self, target: PathAndQuery) -> Option<Box<Request<Body>>> {
        let body = self.body.duplicate()?;
        Some(self.request(target, self.headers.clone(), body))
    }

    /// Boxed, because the value is moved often.
    fn request(&self, target: PathAndQuery, headers: HeaderMap, body: Body) -> Box<Request<Body>> {
        let mut request = Box::new(Request::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target.into();
        *request.headers_mut() = headers;
        request
    }
}

/// The part of a path that begins at `start`; empty if there is none.
fn rest(uri: &Uri, start: usize) -> &str {
    uri.path().get(start..).unwrap_or_default()
}

/// A base path and what follows, with one slash between them, and a query.
fn join(base: &str, rest: &str, query: Option<&str>) -> String {
    let base = match (base, rest) {
        ("", "") => "/",
        (base, "") => base,
        (base, _) => base.trim_end_matches('/'),
    };
    let length = base.len() + rest.len() + query.map_or(0, |query| query.len() + 1);
    let mut joined = String::with_capacity(length);
    joined.push_str(base);
    joined.push_str(rest);
    if let Some(query) = query {
        joined.push('?');
        joined.push_str(query);
    }
    joined
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
        let uri = format!(
            "/name{rest}{}",
            query.map_or_else(String::new, |query| format!("?{query}"))
        );
        let uri: Uri = uri.parse().unwrap();
        let body = Body::whole(Bytes::new());
        let mut request = Outgoing::below(Method::GET, HeaderMap::new(), body, uri, "/name".len());
        let base: Url = base.parse().unwrap();
        let mut placed = base.clone();
        placed.set_path(&join(base.path(), request.url.path(), None));
        placed.set_query(request.url.query());
        let mut parts = &mut request;
        parts.set_url(placed).unwrap();
        let target = request.target(Some(&base), false).unwrap();
        format!("{}{target}", request.origin())
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
