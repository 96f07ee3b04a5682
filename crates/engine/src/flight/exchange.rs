//! Asking the vendor: for a token, about the credentials, or to forget a token; with each of several
//! secrets in turn, as long as the vendor knows none of them.

use std::sync::Arc;

use biped_core::{
    ClientIdentity, Error, ErrorKind, ExposeSecret, FetchContext, IdentityKey, IdentityRef, Input,
    Inspection, Now, Proof, Provider, RequestObserver, SecretRef, SecretString, SecretUse, Token,
    TokenRequest, name_credentials,
};

use crate::{
    engine::Engine,
    failure::FetchFailure,
    fleet::vet,
    input::{Lender, Lent},
    key::{cached::CallCredentials, table::Key},
    sync::{Mutex, atomic::Ordering::Relaxed, lock},
    telemetry::{self, Requests},
};

/// What is asked of a vendor.
#[derive(Clone, Copy)]
pub(crate) enum Ask<'a> {
    /// A token, and marks of what is read for it under the store's key, if it has one.
    Token(&'a TokenRequest, Option<&'a IdentityKey>),
    Inspection(&'a TokenRequest),
    Proof(&'a TokenRequest),
    Revocation(&'a Token),
}

/// The credential of an account, as one refresh presents it.
pub(crate) struct Presented {
    token: SecretString,
    replacement: Mutex<Option<SecretString>>,
}

impl Presented {
    pub(crate) fn new(token: SecretString) -> Self {
        Self {
            token,
            replacement: Mutex::default(),
        }
    }

    fn replace(&self, new: SecretString) {
        *lock(&self.replacement) = Some(new);
    }

    /// Takes the credential that replaces the one that was presented.
    pub(crate) fn take_replacement(&self) -> Option<SecretString> {
        lock(&self.replacement).take()
    }
}

/// What it answered.
pub(crate) enum Answer {
    Token(Box<Token>, Now, CallCredentials, Vec<SecretUse>),
    Inspection(Option<Inspection>),
    Proof(Box<Proof>),
    Revoked,
}

impl Engine {
    /// Asks the vendor, with the secret that worked last, and with the others in order if that one
    /// can't be read or is refused (`invalid_client`).
    pub(crate) async fn ask(
        &self,
        provider: &Arc<dyn Provider>,
        key: &Key,
        ask: Ask<'_>,
        lent: &[Lent],
        presented: Option<&Presented>,
    ) -> Result<Answer, FetchFailure> {
        let remembered = &key.client.candidate;
        let mut candidate = remembered.load(Relaxed);
        let mut tried = Vec::new();
        let mut secrets: Vec<SecretUse> = Vec::new();
        let mut unread = Vec::new();
        let mut failed = None;
        let mut sent = false;
        let requests = Requests::of(key.client.id.name());
        let mut refused_inputs = Vec::new();
        let mut is_own = false;
        loop {
            let marks = match ask {
                Ask::Token(_, marks) => marks.cloned(),
                _ => None,
            };
            let mut cx = self.context(&**provider, candidate, marks);
            cx = cx.observed_by(requests.as_ref().map(|it| it as &dyn RequestObserver));
            if !lent.is_empty() {
                let lent = lent.iter().map(|it| (it.input.clone(), it.text.clone()));
                cx = cx.with_inputs(lent.collect());
            }
            cx = cx.with_refresh_token(presented.map(|it| it.token.clone()));
            let answer = redacted(ask_once(&mut cx, &**provider, ask).await, &cx);
            if let Some(new) = cx.take_replacement() {
                match presented {
                    Some(presented) => presented.replace(new),
                    None => telemetry::unexpected_rotation(provider.id().name()),
                }
            }
            let error = match answer {
                Ok(answer) => {
                    remembered.store(candidate, Relaxed);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            secrets.extend(cx.take_secrets_used());
            refused_inputs.extend(cx.take_refused_inputs());
            is_own |= cx.keeps_refusal();
            sent |= cx.last_sent().is_some();
            tried.push(candidate);
            let is_unread = error.kind() == ErrorKind::Secret;
            let named = secrets.iter().map(|used| used.secret().candidates()).max();
            let all = match cx.unread_candidates() {
                // The place of another reference is no substitute.
                unread if unread > 0 && failed.is_none() => unread,
                _ => named.unwrap_or(1),
            };
            let next = (0..all).find(|other| !tried.contains(other));
            let goes_on = is_unread || error.refuses_client() || cx.tries_next_secret();
            match is_unread {
                true => unread.push(error),
                false => failed = Some(error),
            }
            if let Some(next) = next.filter(|_| goes_on) {
                candidate = next;
                continue;
            }
            // Of several, one that can't be read says nothing about the others' refusal.
            let error = match failed {
                Some(error) => name_credentials(error, &secrets, &unread),
                None => SecretRef::all_unread(&unread),
            };
            return Err(FetchFailure {
                error: error.unsent(!sent),
                secrets,
                sent,
                lenders: lenders(lent, &refused_inputs),
                is_own,
                is_in_entry: false,
            });
        }
    }

    pub(crate) fn context<'a>(
        &'a self,
        provider: &'a dyn Provider,
        candidate: usize,
        marks: Option<IdentityKey>,
    ) -> FetchContext<'a> {
        FetchContext::new(self.http.of(provider.id()), &*self.clock)
            .with_plain_http(provider.plain_http())
            .with_candidate(candidate)
            .with_identity_key(marks)
    }
}

/// The keys of the inputs that the vendor refused.
fn lenders(lent: &[Lent], refused: &[Input]) -> Vec<Arc<dyn Lender>> {
    let is_refused = |it: &&Lent| refused.contains(&it.input);
    let refused = lent.iter().filter(is_refused);
    refused.map(|it| it.lender.clone()).collect()
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
    let credentials = call_credentials(cx, provider).await?;
    Ok(match ask {
        Ask::Token(request, _) => {
            let token = provider.fetch(request, cx).await?;
            if token.base_url().is_some() {
                // Boxed: most tokens have none.
                Box::pin(vet::check_base_url(&token, provider, cx)).await?;
            }
            let sent = cx.last_sent().unwrap_or_else(|| cx.clock().now());
            Answer::Token(Box::new(token), sent, credentials, cx.take_secrets_used())
        }
        Ask::Inspection(request) => Answer::Inspection(provider.inspect(request, cx).await?),
        Ask::Proof(request) => Answer::Proof(Box::new(provider.proof(request, cx).await?)),
        Ask::Revocation(token) => {
            cx.conceal(token.expose_secret());
            provider.revoke(token, cx).await?;
            Answer::Revoked
        }
    })
}

/// Reads what goes along with the token on API calls, and has the context present the client
/// certificate with the requests to come.
pub(crate) async fn call_credentials(
    cx: &mut FetchContext<'_>,
    provider: &dyn Provider,
) -> Result<CallCredentials, Error> {
    if provider.attach_secrets().is_empty() && provider.client_identity().is_none() {
        return Ok(CallCredentials::default());
    }
    // Boxed, since most providers have none.
    Box::pin(read_credentials(cx, provider)).await
}

async fn read_credentials(
    cx: &mut FetchContext<'_>,
    provider: &dyn Provider,
) -> Result<CallCredentials, Error> {
    let mut secrets = Vec::new();
    for reference in provider.attach_secrets() {
        secrets.push((reference.clone(), cx.secret(reference).await?));
    }
    let mut identity = None;
    if let Some(IdentityRef { certificate, key }) = provider.client_identity() {
        let certificate = cx.secret(certificate).await?;
        let key = cx.secret(key).await?;
        let parts = [certificate.expose_secret(), "\n", key.expose_secret(), "\n"];
        // All of it at once: a text that grows leaves copies of the key behind.
        identity = Some(ClientIdentity::from_pem(parts.concat()));
        cx.set_identity(identity.clone());
    }
    Ok(CallCredentials {
        secrets: secrets.into(),
        identity,
    })
}
