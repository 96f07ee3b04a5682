//! The checks for every way to call an API, with [`ApiClient`] and with an application's own stack.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_core::async_trait;
use biped_engine::TokenSource;
use biped_reqwest::{ApiClient, token_error};
use biped_testing::api::matrix::{Call, Failure, Integration, Payload};
use bytes::Bytes;
use http_body::Frame;
use reqwest::Body;
use reqwest_middleware::RequestBuilder;

async fn send(request: RequestBuilder, body: Payload) -> Result<u16, Failure> {
    let request = match body {
        Payload::Empty => request,
        Payload::Whole(text) => request.body(text),
        Payload::Stream(text) => request.body(Body::wrap(Stream(Some(text)))),
        other => return Err(Failure::Other(format!("cannot send {other:?}"))),
    };
    let response = request.send().await.map_err(|error| failure(&error))?;
    let status = response.status().as_u16();
    response
        .bytes()
        .await
        .map_err(|error| Failure::Other(error.to_string()))?;
    Ok(status)
}

fn failure(error: &reqwest_middleware::Error) -> Failure {
    match token_error(error) {
        Some(error) => Failure::Token(error.clone()),
        None => Failure::Other(error.to_string()),
    }
}

/// A body that reqwest doesn't know to be all there.
struct Stream(Option<&'static str>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let text = self.0.take();
        std::task::Poll::Ready(text.map(|text| Ok(Frame::data(text.into()))))
    }
}

mod with_an_api_client {
    use super::*;

    struct Client(ApiClient);

    fn client(source: TokenSource) -> Client {
        Client(ApiClient::new(source).unwrap())
    }

    #[async_trait]
    impl Integration for Client {
        async fn call(&self, call: Call) -> Result<u16, Failure> {
            send(self.0.request(call.method, &call.target), call.body).await
        }
    }

    biped_testing::api_matrix!(client);
}

mod with_a_middleware_in_a_stack_of_ones_own {
    use biped_engine::BASE_URL_PLACEHOLDER;
    use biped_reqwest::{ApiClients, TokenMiddleware};
    use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};

    use super::*;

    struct Stack(ClientWithMiddleware);

    fn stack(source: TokenSource) -> Stack {
        let client = ClientBuilder::new(reqwest::Client::new())
            .with(TokenMiddleware::new(source))
            .with(ApiClients::new().unwrap())
            .build();
        Stack(client)
    }

    #[async_trait]
    impl Integration for Stack {
        async fn call(&self, call: Call) -> Result<u16, Failure> {
            let url = if call.target.starts_with('/') {
                format!("{BASE_URL_PLACEHOLDER}{}", call.target)
            } else {
                call.target
            };
            send(self.0.request(call.method, url), call.body).await
        }
    }

    biped_testing::api_matrix!(stack);
}
