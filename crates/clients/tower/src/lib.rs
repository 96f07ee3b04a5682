//! Biped for [tower](tower_service): [`TokenLayer`] puts a fresh token on each request to an API, for
//! any HTTP client.
//!
//! | case | behaviour |
//! | --- | --- |
//! | a request to a path (`/v1/orders`) | the path is appended to the API's base URL |
//! | a request to another origin | an error; no request is sent |
//! | a response that rejects the token | one fetch; the request is sent once more if its body was complete |
//! | a failed fetch | an error that [`token_error`] finds; no request is sent |
//! | every other response or error | returned unchanged |
//!
//! Put retries, time limits and tracing above the layer, so that each attempt has its own token; put
//! limits on connections below it. An application gets the layer from `biped` with the feature `tower`,
//! and its source with `biped.token_source("shop")?`.
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
//!         None => println!("no response: {error}"),
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
//! A tonic `Channel` always sends to its own endpoint and ignores the request's address. Give the
//! generated client the same address with `with_origin`, so that the layer can refuse a request to
//! another origin than the API's before it is sent.

mod body;
mod grpc;
mod layer;
mod response;
mod transport;

pub use self::{
    body::{Body, READ_AHEAD},
    layer::{ResponseFuture, TokenLayer, TokenService, token_error},
    response::ResponseBody,
    transport::TransportResponse,
};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
