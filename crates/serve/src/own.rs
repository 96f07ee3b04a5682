//! [`Own`]: a request for a route of the sidecar's own, and who may have tokens there.

use std::sync::Arc;

use biped::TokenSource;
use http::{HeaderName, Request, StatusCode, header::FORWARDED};
use hyper::body::Incoming;

use crate::{
    callers::{Identity, unproven},
    config::TokenUse,
    live::{Live, Served},
    params::Wish,
    peer::Peer,
    problem::Problem,
    shared::Shared,
};

/// A request for one of these routes.
pub(crate) struct Own<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) live: &'a Live,
    pub(crate) identity: &'a Identity,
    pub(crate) peer: &'a Peer,
}

impl Own<'_> {
    /// The provider whose tokens a route hands out, if this caller may have them.
    pub(crate) fn token_provider(
        &self,
        name: &str,
        request: &Request<Incoming>,
    ) -> Result<&Arc<Served>, Problem> {
        let served = self.served(name)?;
        self.check_forwarded(request)?;
        let forbidden = |what: &str| {
            let problem = Problem::new("caller", what).provider(&served.name);
            Err(problem.status(StatusCode::FORBIDDEN))
        };
        match self.identity {
            Some(caller) if !caller.may_use(name) => {
                forbidden("this caller may not use the provider")
            }
            Some(caller) if !self.hands_out_to(Some(caller.may_have_tokens())) => {
                forbidden("this caller may not have tokens; set tokens = true in its table")
            }
            None if !self.hands_out_to(None) => Err(unproven(
                "tokens are handed out on Unix sockets and to configured callers only",
            )),
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
        let served = match self.live.serve.tokens {
            TokenUse::Off => None,
            _ => self.live.served(name),
        };
        served.ok_or_else(|| {
            let what =
                "tokens are not handed out, or there is no such provider; set [serve] tokens";
            Problem::new("unknown-provider", what)
        })
    }

    /// Refuses what another server passed on.
    pub(crate) fn check_forwarded(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
        let headers = request.headers();
        if headers.contains_key(FORWARDED) || headers.contains_key(X_FORWARDED_FOR) {
            let what = "a forwarded request gets no token";
            return Err(Problem::new("not-allowed", what));
        }
        Ok(())
    }

    /// A forged request can't have a header of its own.
    pub(crate) fn check_header(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        let header = request.headers().get("biped-request");
        if header.is_some_and(|value| value.as_bytes() == b"1") {
            return Ok(());
        }
        let what = "the header Biped-Request: 1 is missing";
        Err(Problem::new("not-allowed", what))
    }

    /// The source that a wish is for, within the caller's limit of new ones.
    pub(crate) fn source(&self, wish: &Wish, served: &Served) -> Result<TokenSource, Problem> {
        let named = |problem: Problem| problem.provider(&served.name);
        let source = wish.source(served, self.identity).map_err(named)?;
        if !wish.is_plain() {
            let key = wish.key(&served.name);
            let admitted = self.shared.admit_key(self.identity, &key, self.live);
            admitted.map_err(named)?;
        }
        Ok(source)
    }
}
