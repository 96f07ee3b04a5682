//! Asking the vendor: for a token, about the credentials, or to forget a token; with each of several
//! secrets in turn, as long as the vendor knows none of them.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::{Engine, keys::Entry, state::Setback, sync::atomic::Ordering::Relaxed, vet};
use crate::{
    Error, ErrorKind, FetchContext, IdentityKey, Inspection, Now, Provider, Token, TokenRequest,
    provider::NotedSecret, token::Companions,
};

/// What is asked of a vendor.
#[derive(Clone, Copy)]
pub(crate) enum Ask<'a> {
    /// A token, and marks of what is read for it under the store's key, if it has one.
    Token(&'a TokenRequest, Option<&'a IdentityKey>),
    Inspection(&'a TokenRequest),
    Revocation(&'a Token),
}

/// What it answered.
pub(crate) enum Answer {
    Token(Box<Token>, Now, Companions, Vec<NotedSecret>),
    Inspection(Option<Inspection>),
    Revoked,
}

impl Engine {
    /// Asks the vendor, with the secret that worked last, and on `invalid_client` with the others
    /// in order.
    pub(crate) async fn ask(
        &self,
        provider: &Arc<dyn Provider>,
        entry: &Entry,
        ask: Ask<'_>,
    ) -> Result<Answer, Setback> {
        let remembered = &entry.client.candidate;
        let mut candidate = remembered.load(Relaxed);
        let mut tried = Vec::new();
        let mut secrets = Vec::new();
        let mut refused = None;
        let mut sent = false;
        let setback = |error, secrets, sent| Setback {
            error,
            secrets,
            sent,
        };
        loop {
            let marks = match ask {
                Ask::Token(_, marks) => marks.cloned(),
                _ => None,
            };
            let mut cx = self.context(candidate, marks);
            let answer = redacted(ask_once(&mut cx, &**provider, ask).await, &cx);
            let error = match answer {
                Ok(answer) => {
                    remembered.store(candidate, Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            secrets.extend(cx.take_noted_secrets());
            sent |= cx.has_sent();
            tried.push(candidate);
            let all = secrets
                .iter()
                .map(|noted| noted.secret.candidates())
                .max()
                .unwrap_or(1);
            let next = (0..all).find(|other| !tried.contains(other));
            // Of several, one that isn't there says nothing about the others' refusal.
            let missing = refused.is_some() && error.kind() == ErrorKind::Secret;
            match next.filter(|_| missing || error.refuses_client()) {
                Some(next) => candidate = next,
                None if missing => {
                    return Err(setback(refused.unwrap_or(error), secrets, sent));
                }
                None => return Err(setback(error, secrets, sent)),
            }
            if !missing {
                refused = Some(error);
            }
        }
    }

    pub(crate) fn context(&self, candidate: usize, marks: Option<IdentityKey>) -> FetchContext<'_> {
        let fingerprints = self.fingerprints.clone();
        FetchContext::for_candidate(&*self.http, &*self.clock, candidate, fingerprints, marks)
    }
}

/// What was answered, without the secrets of the fetch in anything that people read.
fn redacted(answer: Result<Answer, Error>, cx: &FetchContext<'_>) -> Result<Answer, Error> {
    match answer {
        Ok(Answer::Inspection(Some(inspection))) => {
            let inspection = inspection.redacting(&cx.redactor());
            Ok(Answer::Inspection(Some(inspection)))
        }
        Ok(answer) => Ok(answer),
        Err(error) => Err(error.redacting(&cx.redactor())),
    }
}

async fn ask_once(
    cx: &mut FetchContext<'_>,
    provider: &dyn Provider,
    ask: Ask<'_>,
) -> Result<Answer, Error> {
    let companions = cx.companions(provider).await?;
    Ok(match ask {
        Ask::Token(request, _) => {
            let token = provider.fetch(request, cx).await?;
            if token.base_url().is_some() {
                // Boxed: most tokens have none.
                Box::pin(vet::check_base_url(&token, provider, cx)).await?;
            }
            let secrets = cx.take_noted_secrets();
            Answer::Token(Box::new(token), cx.sent(), companions, secrets)
        }
        Ask::Inspection(request) => Answer::Inspection(provider.inspect(request, cx).await?),
        Ask::Revocation(token) => {
            cx.conceal(token.expose_secret());
            provider.revoke(token, cx).await?;
            Answer::Revoked
        }
    })
}
