//! [`ApiClients`]: the connections of API calls.

use std::sync::Arc;

use async_trait::async_trait;
use biped_core::Error;
use http::{Extensions, Method, StatusCode};
use reqwest::{Client, Request, Response, Url, redirect};
use reqwest_middleware::{Middleware, Next};

use crate::{
    HttpSettings,
    body::{Impatient, wrapped},
    failure,
    needs::Needs,
    pool::Pool,
    settings::Route,
};

/// How many redirects are followed; the next one is returned to the caller.
const MAX_REDIRECTS: usize = 10;

/// Sending a body larger than this may take longer than an API may send nothing.
const SHORT_BODY: usize = 64 * 1024;

/// Creates [`ApiClient`](crate::ApiClient)s that share their connections.
///
/// An application needs only one, for any number of vendors and projects.
///
/// - A redirect is followed within one origin, if it keeps method and body: 307 and 308, and of a GET or
///   HEAD without a body also 301, 302 and 303. Any other redirect is returned to the caller. A request
///   whose URL is signed or contains the token follows none. No `Referer` is sent.
/// - Connecting may take 10 s, and an API may send nothing for 30 s; [`HttpSettings`] changes both.
///   Nothing else is limited: a call may take as long as its body needs. While a stream, or a body of
///   more than 64 KiB, is sent, the second limit starts with the headers of the response;
///   [`timeout`](reqwest_middleware::RequestBuilder::timeout) sets a limit for the call.
/// - An HTTP/2 connection that went silent is found by a ping and replaced; see
///   [`HttpSettings::ping_interval`].
/// - A token that is bound to a certificate uses connections with that certificate.
/// - Errors do not contain the URL, because it may contain a token.
///
/// It is also a [`Middleware`] for the end of your own stack; see
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
    /// Returns clients with the default settings.
    ///
    /// # Errors
    /// Returns a [`Configuration`](biped_core::ErrorKind::Configuration) error if the platform has no
    /// trusted certificates.
    pub fn new() -> Result<Self, Error> {
        Self::with(HttpSettings::new())
    }

    /// Returns clients with these settings.
    ///
    /// # Errors
    /// Returns a [`Configuration`](biped_core::ErrorKind::Configuration) error for an invalid proxy or
    /// CA, and if the platform has no trusted certificates.
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

    /// Returns the reqwest client for ordinary requests. It adds no token to them.
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
        redirect::Policy::custom(same_request)
    });
    if !route.long_upload {
        builder = builder.read_timeout(settings.read_timeout);
    }
    builder.build().map_err(failure::client)
}

tokio::task_local! {
    /// Whether the request of this task is a GET or HEAD without a body. Every redirect keeps those, but
    /// reqwest tells a policy neither method nor body.
    static IS_PLAIN: bool;
}

/// Follows a redirect that repeats the same request at the same origin. reqwest would turn a POST into a
/// GET without its body, whose response looks like success.
fn same_request(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let keeps_any = matches!(
        attempt.status(),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    let keeps = keeps_any || IS_PLAIN.try_with(|plain| *plain).unwrap_or(false);
    let stays = attempt.previous().last().map(Url::origin) == Some(attempt.url().origin());
    if keeps && stays && attempt.previous().len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Sends the request itself, over the connections described above. Nothing after it in a stack is used,
/// including the stack's own reqwest client.
#[async_trait]
impl Middleware for ApiClients {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        // They stay in the extensions, because a retry may send the request again.
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
        let is_plain =
            request.body().is_none() && matches!(*request.method(), Method::GET | Method::HEAD);
        let response = IS_PLAIN
            .scope(is_plain, client.execute(request))
            .await
            .map_err(|error| failure::with_origin(error.into()))?;
        if is_short {
            return Ok(response);
        }
        // Its client knows no limit, because that would count while the request is sent.
        let limit = self.0.settings.read_timeout;
        Ok(wrapped(response, |body| Impatient::new(body, limit)))
    }
}
