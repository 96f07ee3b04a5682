//! [`Limit`]: how many calls may run concurrently.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use async_trait::async_trait;
use biped_core::{Error, TokenRequest};
use biped_engine::TokenSource;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use tokio::sync::Semaphore;

use crate::{
    body::{Holding, wrapped},
    failure::failed,
};

/// A limit on concurrent calls for each tenant and token request: vendors count by account and project.
#[derive(Debug)]
pub(crate) struct Limits {
    calls: usize,
    known: Mutex<HashMap<Counted, Weak<Semaphore>>>,
}

/// The calls that count together: those of one tenant with one token request.
type Counted = (Option<Box<str>>, TokenRequest);

impl Limits {
    pub(crate) fn new(calls: usize) -> Self {
        Self {
            calls: calls.clamp(1, Semaphore::MAX_PERMITS),
            known: Mutex::default(),
        }
    }

    /// Returns the limit for calls with tokens of this source.
    pub(crate) fn of(&self, source: &TokenSource) -> Limit {
        let tenant = source.provider().id().tenant().map(Into::into);
        let counted = (tenant, source.request().clone());
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&counted).and_then(Weak::upgrade) {
            return Limit(known);
        }
        if all.len() == all.capacity() {
            // About to grow: the unused ones go first. Where most are in use it grows all the same,
            // so that the next calls need not look again.
            all.retain(|_, limit| limit.strong_count() > 0);
            let used = all.len();
            all.reserve(used);
        }
        let limit = Arc::new(Semaphore::new(self.calls));
        all.insert(counted, Arc::downgrade(&limit));
        Limit(limit)
    }
}

/// Delays a call until the limit allows it. The call counts until its response body ends or is
/// dropped.
#[derive(Debug)]
pub(crate) struct Limit(Arc<Semaphore>);

#[async_trait]
impl Middleware for Limit {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let permit = self
            .0
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| failed(Error::internal("the limit on calls was closed")))?;
        let response = next.run(request, extensions).await?;
        Ok(wrapped(response, |body| Holding::new(body, permit)))
    }
}
