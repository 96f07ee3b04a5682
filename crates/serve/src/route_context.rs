//! [`RouteContext`]: a request for a route of the sidecar's own, and who may have tokens there.

use std::sync::Arc;

use biped::TokenSource;
use http::{HeaderName, Request, header::FORWARDED};
use hyper::body::Incoming;

use crate::{
    callers::{Identity, check_may_use, unproven},
    config::TokenUse,
    live::{Live, Served},
    params::TokenSelection,
    peer::Peer,
    problem::Problem,
    shared::Shared,
};

/// Where tokens are handed out without `tokens = "any"`.
pub(crate) const HANDED_OUT: &str = "tokens are handed out on Unix sockets and to configured callers only; \
                                     add [[serve.callers]] with tokens = true, or connect to a Unix socket";

/// A request for one of these routes.
pub(crate) struct RouteContext<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) live: &'a Live,
    pub(crate) identity: &'a Identity,
    pub(crate) peer: &'a Peer,
}

impl RouteContext<'_> {
    /// The provider whose tokens a route hands out, if this caller may have them.
    pub(crate) fn token_provider(
        &self,
        name: &str,
        request: &Request<Incoming>,
    ) -> Result<&Arc<Served>, Problem> {
        let served = self.served(name)?;
        self.check_forwarded(request)?;
        check_may_use(self.identity, &served.name)?;
        match self.identity {
            Some(caller) if !self.hands_out_to(Some(caller.may_have_tokens())) => {
                let what = "this caller may not have tokens; set tokens = true in its table";
                Err(Problem::not_permitted(what, &served.name))
            }
            None if !self.hands_out_to(None) => Err(unproven(HANDED_OUT)),
            _ => Ok(served),
        }
    }

    /// Whether tokens go to this caller, or to whoever can connect.
    pub(crate) fn hands_out_to(&self, caller: Option<bool>) -> bool {
        match (self.live.serve.tokens, caller) {
            (TokenUse::Off, _) => false,
            (TokenUse::Any, _) => true,
            (TokenUse::On, Some(may)) => may,
            (TokenUse::On, None) => self.peer.is_socket,
        }
    }

    /// The provider, if tokens are handed out at all.
    pub(crate) fn served(&self, name: &str) -> Result<&Arc<Served>, Problem> {
        if self.live.serve.tokens == TokenUse::Off {
            let what = "tokens are not handed out; set tokens = true in [serve]";
            return Err(Problem::unknown_route(what));
        }
        let no_provider = || {
            let names = self.live.names_for(self.identity).join(", ");
            let what = match names.is_empty() {
                true => "there is no such provider".to_owned(),
                false => format!("there is no such provider; expected one of {names}"),
            };
            Problem::new("unknown-provider", what)
        };
        self.live.served(name).ok_or_else(no_provider)
    }

    /// Refuses what another server passed on.
    pub(crate) fn check_forwarded(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
        let headers = request.headers();
        if headers.contains_key(FORWARDED) || headers.contains_key(X_FORWARDED_FOR) {
            let what = "a request that another server forwarded gets no token; call the sidecar directly, \
                        without Forwarded and X-Forwarded-For";
            return Err(Problem::new("not-allowed", what));
        }
        Ok(())
    }

    /// The source that a selection is for, within the caller's limit of new ones.
    pub(crate) fn source(
        &self,
        selection: &TokenSelection,
        served: &Served,
    ) -> Result<TokenSource, Problem> {
        let named = |problem: Problem| problem.provider(&served.name);
        let source = selection.source(served, self.identity).map_err(named)?;
        if !selection.is_plain() {
            let key = selection.key(&served.name);
            let admitted = self.shared.admit_key(self.identity, &key, self.live);
            admitted.map_err(named)?;
        }
        Ok(source)
    }
}
