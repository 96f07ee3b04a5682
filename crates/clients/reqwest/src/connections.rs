//! [`ApiClients`]: the connections that API calls go over.

use std::sync::Arc;

use async_trait::async_trait;
use biped_core::Error;
use http::Extensions;
use reqwest::{Client, Request, Response, Url, redirect};
use reqwest_middleware::{Middleware, Next};

use crate::{HttpSettings, failure, needs::Needs, pool::Pool, settings::Route};

/// A chain of redirects longer than this is handed to the caller at its next one.
const MAX_REDIRECTS: usize = 10;

/// A request body longer than this may be on its way for longer than an API may be silent.
const SHORT_BODY: usize = 64 * 1024;

/// Makes [`ApiClient`](crate::ApiClient)s that share their connections.
///
/// An application needs one, whatever the number of vendors and projects it calls.
///
/// - Redirects are followed within one origin only; any other is handed to the caller as a
///   response. Requests whose URL is signed or holds the token follow none. No `Referer` is sent.
/// - A connection may take 10 s, and an API may be silent for 30 s ([`HttpSettings`] changes both).
///   Nothing else is limited: a call may take as long as its body does. While a body of more than
///   64 KiB or a stream is sent, the limit on silence doesn't hold before the headers of the
///   answer; [`timeout`](reqwest_middleware::RequestBuilder::timeout) sets one for the call.
/// - A token that is bound to a certificate goes over connections of that certificate.
/// - Errors carry no URL, since a token may be in it.
///
/// It is a [`Middleware`] too, for the end of somebody's own stack: see
/// [`TokenMiddleware`](crate::TokenMiddleware).
#[derive(Clone, Debug)]
pub struct ApiClients(Arc<Connections>);

#[derive(Debug)]
struct Connections {
    settings: HttpSettings,
    clients: Pool<ApiRoute>,
    default: Client,
}

impl ApiClients {
    /// Clients with the default settings.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) where the platform has no
    /// certificates to trust.
    pub fn new() -> Result<Self, Error> {
        Self::with(HttpSettings::new())
    }

    /// Clients with these settings.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a proxy or a CA that can't be
    /// read, and where the platform has no certificates to trust.
    pub fn with(settings: HttpSettings) -> Result<Self, Error> {
        let clients = Pool::new({
            let settings = settings.clone();
            move |route: &ApiRoute| make(&settings, route)
        });
        let default = clients.client(&ApiRoute::default())?;
        Ok(Self(Arc::new(Connections {
            settings,
            clients,
            default,
        })))
    }

    /// The reqwest client for requests that need nothing special. What is sent with it carries no
    /// token.
    pub(crate) fn reqwest_client(&self) -> Client {
        self.0.default.clone()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ApiRoute {
    route: Route,
    no_redirects: bool,
    long_upload: bool,
}

fn make(settings: &HttpSettings, route: &ApiRoute) -> Result<Client, Error> {
    let mut builder = settings.client_builder(&route.route)?;
    builder = builder.redirect(if route.no_redirects {
        redirect::Policy::none()
    } else {
        redirect::Policy::custom(within_origin)
    });
    if !route.long_upload {
        builder = builder.read_timeout(settings.read_timeout);
    }
    builder.build().map_err(failure::client)
}

fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let stays = attempt.previous().last().map(Url::origin) == Some(attempt.url().origin());
    if stays && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Sends the request itself, over the connections described above: nothing that stands after it in
/// a stack is reached, the stack's own reqwest client neither.
#[async_trait]
impl Middleware for ApiClients {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        // They stay: a retry between the token and here comes again.
        let Needs {
            identity,
            no_redirects,
        } = extensions.get::<Needs>().cloned().unwrap_or_default();
        let is_short = match request.body() {
            Some(body) => body.as_bytes().is_some_and(|body| body.len() <= SHORT_BODY),
            None => true,
        };
        let route = self.0.settings.route(request.url(), identity.as_ref());
        let route = ApiRoute {
            route,
            no_redirects,
            long_upload: !is_short,
        };
        let client = self.0.clients.client(&route).map_err(failure::failed)?;
        client
            .execute(request)
            .await
            .map_err(|error| error.without_url().into())
    }
}
