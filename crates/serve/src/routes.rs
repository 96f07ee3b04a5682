//! The routes below `/-/`, and which of them are for whom.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header::ALLOW};
use hyper::body::Incoming;

use crate::{
    body::AnswerBody,
    events, guard, health, oauth, page,
    peer::Peer,
    problem::Problem,
    reply::{json, text},
    route_context::RouteContext,
    scrape, status, tokens,
};

/// A route of the sidecar's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    Health,
    Ready,
    Metrics,
    Page,
    Status,
    Events,
    Quit,
    Token(&'p str),
    Header(&'p str),
    Oauth(&'p str),
    Metadata(&'p str),
    Unknown,
}

/// The route of a path; `None` for the path of a provider.
pub(crate) fn of(path: &str) -> Option<Route<'_>> {
    const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";
    if let Some(issuer) = path.strip_prefix(WELL_KNOWN) {
        let name = issuer
            .strip_prefix("/-/oauth/")
            .filter(|name| is_name(name));
        return Some(name.map_or(Route::Unknown, Route::Metadata));
    }
    let own = match path.strip_prefix("/-") {
        Some("") => return Some(Route::Unknown),
        Some("/") => return Some(Route::Page),
        Some(own) => own.strip_prefix('/')?,
        None => return None,
    };
    Some(match own {
        "health" => Route::Health,
        "ready" => Route::Ready,
        "metrics" => Route::Metrics,
        "status" => Route::Status,
        "events" => Route::Events,
        "quit" => Route::Quit,
        own => {
            let named = |start, end| {
                let name = own.strip_prefix(start)?.strip_suffix(end)?;
                is_name(name).then_some(name)
            };
            if let Some(name) = named("token/", "") {
                Route::Token(name)
            } else if let Some(name) = named("header/", "") {
                Route::Header(name)
            } else if let Some(name) = named("oauth/", "/token") {
                Route::Oauth(name)
            } else if let Some(name) = named("oauth/", "/.well-known/oauth-authorization-server") {
                Route::Metadata(name)
            } else {
                Route::Unknown
            }
        }
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/')
}

impl Route<'_> {
    /// Whether the route needs no caller, even where callers are configured.
    pub(crate) fn is_open(self, peer: &Peer) -> bool {
        match self {
            // Credentials may be in the body.
            Route::Health | Route::Ready | Route::Metadata(_) | Route::Oauth(_) => true,
            Route::Metrics | Route::Page | Route::Status | Route::Events => peer.is_local,
            _ => false,
        }
    }

    /// Whether a browser shows it, or reads it for what it shows.
    pub(crate) fn is_page(self) -> bool {
        matches!(self, Route::Page | Route::Status | Route::Events)
    }

    pub(crate) fn is_probe(self) -> bool {
        matches!(self, Route::Health | Route::Ready | Route::Metrics)
    }
}

/// Returns the response of one of these routes.
pub(crate) async fn answer(
    context: &RouteContext<'_>,
    route: Route<'_>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Problem> {
    if let Route::Events = route
        && context.live.serve.page
    {
        only(&request, &[Method::GET])?;
        return events::follow(context);
    }
    Ok(whole(context, route, request).await?.map(AnswerBody::own))
}

async fn whole(
    context: &RouteContext<'_>,
    route: Route<'_>,
    request: Request<Incoming>,
) -> Result<Response<Bytes>, Problem> {
    match route {
        Route::Health => {
            only(&request, &[Method::GET, Method::HEAD])?;
            Ok(text("ok\n"))
        }
        Route::Ready => {
            only(&request, &[Method::GET, Method::HEAD])?;
            Ok(health::ready(context.shared))
        }
        Route::Metrics if context.live.serve.metrics => {
            only(&request, &[Method::GET])?;
            let render = context
                .shared
                .render
                .as_ref()
                .ok_or_else(|| Problem::unknown_route("this program has no metrics"))?;
            scrape::scraped(context.live);
            Ok(text((render.0)()))
        }
        Route::Page if context.live.serve.page => {
            only(&request, &[Method::GET])?;
            Ok(page::of(context.shared, context.live))
        }
        Route::Status if context.live.serve.page => {
            only(&request, &[Method::GET])?;
            Ok(json(&status::of(context.shared, context.live)))
        }
        Route::Quit if context.live.serve.quit => {
            only(&request, &[Method::POST])?;
            if !context.peer.is_local {
                return Err(Problem::new(
                    "not-allowed",
                    "this route is for callers on this machine only",
                ));
            }
            context.shared.quit.notify_one();
            Ok(text("stopping\n"))
        }
        Route::Token(name) => {
            let served = context.token_provider(name, &request)?;
            only(&request, &[Method::GET])?;
            guard::check_header(request.headers())?;
            tokens::token(context, served, &request).await
        }
        Route::Header(name) => {
            let served = context.token_provider(name, &request)?;
            only(&request, &[Method::GET])?;
            guard::check_header(request.headers())?;
            tokens::header(context, served, &request).await
        }
        Route::Oauth(name) => {
            context.check_forwarded(&request)?;
            let served = context.served(name)?.clone();
            only(&request, &[Method::POST])?;
            oauth::token(context, &served, request).await
        }
        Route::Metadata(name) => {
            only(&request, &[Method::GET])?;
            let served = context.served(name)?;
            oauth::metadata(context, served, &request)
        }
        Route::Metrics => Err(Problem::unknown_route(
            "metrics are off; set metrics = true in [serve]",
        )),
        Route::Page | Route::Status | Route::Events => Err(Problem::unknown_route(
            "the page is off; set page = true in [serve]",
        )),
        Route::Quit => Err(Problem::unknown_route(
            "the route is off; set quit = true in [serve], or send SIGTERM to the sidecar",
        )),
        Route::Unknown => Err(Problem::unknown_route(
            "the sidecar has no such route below /-/",
        )),
    }
}

fn only(request: &Request<Incoming>, methods: &[Method]) -> Result<(), Problem> {
    if methods.contains(request.method()) {
        return Ok(());
    }
    let all: Vec<_> = methods.iter().map(Method::as_str).collect();
    let all = all.join(", ");
    let problem = Problem::new("method", format!("this route takes {all}"));
    match HeaderValue::from_str(&all) {
        Ok(all) => Err(problem.header(ALLOW, all)),
        Err(_) => Err(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_dash_are_the_sidecars_own() {
        assert_eq!(of("/-/health"), Some(Route::Health));
        assert_eq!(of("/-/token/shop"), Some(Route::Token("shop")));
        assert_eq!(of("/-/token/"), Some(Route::Unknown));
        assert_eq!(of("/-/token/a/b"), Some(Route::Unknown));
        assert_eq!(of("/-/oauth/shop/token"), Some(Route::Oauth("shop")));
        let name = "/.well-known/oauth-authorization-server";
        assert_eq!(
            of(&format!("/-/oauth/shop{name}")),
            Some(Route::Metadata("shop"))
        );
        assert_eq!(
            of(&format!("{name}/-/oauth/shop")),
            Some(Route::Metadata("shop"))
        );
        assert_eq!(of("/-"), Some(Route::Unknown));
        assert_eq!(of("/shop/-/health"), None);
        assert_eq!(of("/-x/health"), None);
    }
}
