//! A vendor's response may be anything: the provider returns a token, or an error that does not show it.
#![no_main]

use biped_core::{
    Error, FetchContext, HttpClient, Provider, SecretRef, SystemClock, TokenRequest, async_trait,
};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

#[derive(Debug)]
struct Answering(u16, Bytes);

#[async_trait]
impl HttpClient for Answering {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let mut response = http::Response::new(self.1.clone());
        *response.status_mut() = http::StatusCode::from_u16(self.0).unwrap_or_default();
        Ok(response)
    }
}

fuzz_target!(|data: (u16, &[u8])| {
    let http = Answering(200 + data.0 % 400, Bytes::copy_from_slice(data.1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let secret = || SecretRef::inline("s");
        let base = url::Url::parse("https://api.vendor.example").unwrap();
        let envelope = biped::envelope::Envelope::new(&base, secret(), secret());
        let contentsquare = biped::contentsquare::Contentsquare::new(secret(), secret());
        let endpoint = url::Url::parse("https://login.vendor.example/token").unwrap();
        let oauth2 = biped::oauth2::OAuth2::at(endpoint, secret()).client_secret(secret());
        let providers: [&dyn Provider; 3] = [&envelope, &contentsquare, &oauth2];
        for provider in providers {
            let cx = FetchContext::new(&http, &SystemClock);
            let request = TokenRequest::new().scope("data-export");
            let _ = provider
                .fetch(&request, &cx)
                .await
                .map_err(|error| format!("{error:?}"));
            let _ = provider
                .inspect(&request, &cx)
                .await
                .map_err(|error| format!("{error:?}"));
        }
    });
});
