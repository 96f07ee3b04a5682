use std::{future::Future, pin::Pin};

use biped_core::async_trait;
use biped_engine::TokenSource;
use biped_testing::api::matrix::{Call, Failure, Integration, Payload};
use biped_tower::{Body, BoxError, TokenLayer, TokenService, token_error};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Either, Full, combinators::UnsyncBoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, Service, ServiceExt};

use crate::stage::{Pieces, Trickle};

type Hyper = Client<HttpConnector, Body>;

fn hyper() -> Hyper {
    Client::builder(TokioExecutor::new()).build_http()
}

mod over_hyper_util {
    use super::*;

    struct OverHyper(TokenService<Hyper>);

    fn client(source: TokenSource) -> OverHyper {
        OverHyper(TokenLayer::new(source).layer(hyper()))
    }

    #[async_trait]
    impl Integration for OverHyper {
        async fn call(&self, call: Call) -> Result<u16, Failure> {
            send(self.0.clone(), call).await
        }
    }

    biped_testing::api_matrix!(client);
}

/// The API says in gRPC's terms what it has to say of a token: at once.
mod with_grpcs_status_in_headers {
    use super::*;

    fn client(source: TokenSource) -> Grpc {
        grpc(source, |status| {
            let response = Response::builder().header("grpc-status", status);
            response.body(Pieces::default()).unwrap()
        })
    }

    biped_testing::api_matrix!(client);
}

/// The same after its headers, and before any message.
mod with_grpcs_status_in_trailers {
    use super::*;

    fn client(source: TokenSource) -> Grpc {
        grpc(source, |status| {
            Response::new(Pieces::default().trailer("grpc-status", status))
        })
    }

    biped_testing::api_matrix!(client);
}

struct Grpc(TokenService<InGrpcsTerms>);

fn grpc(source: TokenSource, refusal: fn(&'static str) -> Response<Pieces>) -> Grpc {
    let api = InGrpcsTerms {
        client: hyper(),
        refusal,
    };
    Grpc(TokenLayer::new(source).grpc().layer(api))
}

#[async_trait]
impl Integration for Grpc {
    async fn call(&self, call: Call) -> Result<u16, Failure> {
        send(self.0.clone(), call).await
    }
}

/// Sends with hyper-util, and makes a gRPC answer of a 401.
#[derive(Clone)]
struct InGrpcsTerms {
    client: Hyper,
    refusal: fn(&'static str) -> Response<Pieces>,
}

impl Service<Request<Body>> for InGrpcsTerms {
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        self.client.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.client.call(request);
        let refusal = self.refusal;
        Box::pin(async move {
            let answer = answer.await?;
            Ok(match answer.status().as_u16() {
                401 => refusal("16").map(BodyExt::boxed_unsync),
                _ => answer.map(|body| body.map_err(Into::into).boxed_unsync()),
            })
        })
    }
}

/// Makes a call; gRPC's status 16 comes back as the 401 that it stands for.
async fn send<S, P>(client: S, call: Call) -> Result<u16, Failure>
where
    S: Service<Request<Either<Full<Bytes>, Trickle>>, Response = Response<P>, Error = BoxError>,
    P: HttpBody<Data = Bytes>,
    P::Error: std::fmt::Display,
{
    let body = match call.body {
        Payload::Empty => Either::Left(Full::default()),
        Payload::Whole(text) => Either::Left(Full::from(text)),
        Payload::Stream(text) => Either::Right(Trickle::new(text)),
        other => return Err(Failure::Other(format!("cannot send {other:?}"))),
    };
    let request = Request::builder()
        .method(call.method)
        .uri(call.target)
        .body(body)
        .unwrap();
    let response = client
        .oneshot(request)
        .await
        .map_err(|error| failure(&error))?;
    let (head, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| Failure::Other(error.to_string()))?;
    let is_refused = |said: &HeaderMap| said.get("grpc-status").is_some_and(|it| it == "16");
    if is_refused(&head.headers) || body.trailers().is_some_and(is_refused) {
        return Ok(401);
    }
    Ok(head.status.as_u16())
}

fn failure(error: &BoxError) -> Failure {
    match token_error(&**error) {
        Some(error) => Failure::Token(error.clone()),
        None => Failure::Other(error.to_string()),
    }
}
