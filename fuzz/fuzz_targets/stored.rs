//! What a store returns may be anything: the engine reads a token, a reason to wait, or nothing.
#![no_main]

use std::{sync::Arc, time::Duration};

use biped_core::{
    Claim, Error, FetchContext, Generation, HttpClient, Lease, LeaseFailure, Provider, ProviderId,
    StoreError, StoredToken, Token, TokenKey, TokenRequest, TokenStore, async_trait,
};
use biped_engine::TokenManager;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

#[derive(Debug)]
struct Holding(Vec<u8>, u64);

#[async_trait]
impl TokenStore for Holding {
    async fn get(&self, _: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        Ok(Some(StoredToken {
            generation: Generation(self.1),
            keep: Duration::from_secs(self.1),
            bytes: self.0.clone(),
        }))
    }

    async fn put(
        &self,
        _: &TokenKey,
        _: &StoredToken,
        _: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn forget(&self, _: &TokenKey, _: Generation, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn lease(
        &self,
        _: &TokenKey,
        _: Duration,
        _: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        Ok(Claim::CoolingDown {
            // A shorter one is waited out.
            left: Duration::from_secs(self.1.max(2)),
            why: self.0.clone(),
        })
    }

    async fn release(
        &self,
        _: &TokenKey,
        _: &Lease,
        _: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

#[derive(Debug)]
struct NoVendor(ProviderId);

#[async_trait]
impl Provider for NoVendor {
    fn id(&self) -> &ProviderId {
        &self.0
    }

    async fn fetch(&self, _: &TokenRequest, _: &FetchContext<'_>) -> Result<Token, Error> {
        Err(Error::internal("this test sends no request"))
    }
}

#[async_trait]
impl HttpClient for NoVendor {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        Err(Error::internal("this test sends no request"))
    }
}

fuzz_target!(|data: (u64, &[u8])| {
    let id = || ProviderId::new("fuzz", "https://login.example/token", "client");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let manager = TokenManager::builder(Arc::new(NoVendor(id())))
            .store(Arc::new(Holding(data.1.to_vec(), data.0)))
            .build();
        let source = manager.source(Arc::new(NoVendor(id())), TokenRequest::new());
        let token = source.token().await;
        let _ = format!(
            "{:?} {:?}",
            token.map(|token| token.expires_at()),
            source.stored().await
        );
    });
});
