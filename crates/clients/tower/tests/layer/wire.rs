use biped_core::{TokenSource, async_trait};
use biped_testing::api::matrix::{Call, Failure, Integration, Payload};
use biped_tower::{Body, BoxError, TokenLayer, TokenService, token_error};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Either, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};

use crate::stage::Trickle;

/// A legacy client of hyper-util under the layer.
struct OverHyper(TokenService<Client<HttpConnector, Body>>);

fn over_hyper(source: TokenSource) -> OverHyper {
    let client = Client::builder(TokioExecutor::new()).build_http();
    OverHyper(TokenLayer::new(source).layer(client))
}

#[async_trait]
impl Integration for OverHyper {
    async fn call(&self, call: Call) -> Result<u16, Failure> {
        let body = match call.body {
            Payload::Empty => Either::Left(Full::<Bytes>::default()),
            Payload::Whole(text) => Either::Left(Full::from(text)),
            Payload::Stream(text) => Either::Right(Trickle::new(text)),
        };
        let request = Request::builder()
            .method(call.method)
            .uri(call.target)
            .body(body)
            .unwrap();
        let response = self
            .0
            .clone()
            .oneshot(request)
            .await
            .map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        response
            .into_body()
            .collect()
            .await
            .map_err(|error| Failure::Other(error.to_string()))?;
        Ok(status)
    }
}

fn failure(error: &BoxError) -> Failure {
    match token_error(&**error) {
        Some(error) => Failure::Token(error.clone()),
        None => Failure::Other(error.to_string()),
    }
}

biped_testing::api_matrix!(over_hyper);
