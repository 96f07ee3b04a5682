//! Biped for [tower](tower_service): [`TokenLayer`] calls an API with a fresh token at each
//! request, whatever sends it.
//!
//! | what | how |
//! | --- | --- |
//! | a request to a path (`/v1/orders`) | goes below the API's base URL |
//! | a request to another origin | is an error before anything is sent |
//! | an answer that rejects the token | costs one fetch; the request is sent once more, if its body was all there |
//! | no token to be had | is an error that [`token_error`] finds; nothing is sent |
//! | every other answer and error | is handed over as it is |
//!
//! Retries, time limits and tracing belong above the layer, so that each attempt has a token of its
//! own; limits on connections belong below it. An application gets it from `biped` with the feature
//! `tower`, and its source with `biped.token_source("shop")?`.
//!
//! # hyper-util
//!
//! ```
//! use biped_engine::TokenSource;
//! use biped_tower::{TokenLayer, token_error};
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::{Layer, ServiceExt};
//!
//! # async fn example(source: TokenSource) -> Result<(), biped_tower::BoxError> {
//! let client = TokenLayer::new(source).layer(Client::builder(TokioExecutor::new()).build_http());
//! let request = Request::post("/v1/orders").body(Full::<Bytes>::from("{}"))?;
//! match client.oneshot(request).await {
//!     Ok(response) => println!("{}", response.status()),
//!     Err(error) => match token_error(&*error) {
//!         Some(error) => println!("no token: {error}"),
//!         None => println!("no answer: {error}"),
//!     },
//! }
//! # Ok(()) }
//! ```
//!
//! # tonic
//!
//! ```
//! # use std::convert::Infallible;
//! # mod tonic { pub mod body { pub struct Body(biped_tower::Body); impl Body {
//! #     pub fn new(body: biped_tower::Body) -> Self { Self(body) } } } }
//! # type Reply = http::Response<biped_tower::Body>;
//! # fn example<C>(source: biped_engine::TokenSource, channel: C)
//! # where C: tower::Service<http::Request<tonic::body::Body>, Response = Reply, Error = Infallible>
//! # {
//! use biped_tower::TokenLayer;
//! use tower::Layer;
//!
//! let tokens = TokenLayer::new(source).grpc().request_body(tonic::body::Body::new);
//! let channel = tokens.layer(channel);
//! // EchoClient::with_origin(channel, origin)
//! # let _ = channel; }
//! ```
//!
//! A tonic `Channel` sends to the endpoint that it was made with, whatever the request says. Give
//! the generated client that same address with `with_origin`: the layer then refuses every request
//! whose address is not at the API's origin, before anything is sent.

mod body;
mod grpc;
mod layer;
mod response;
mod transport;

pub use self::{
    body::{Body, READ_AHEAD},
    layer::{ResponseFuture, TokenLayer, TokenService, token_error},
    response::ResponseBody,
};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
