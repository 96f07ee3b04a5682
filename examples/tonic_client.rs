//! A tonic client whose calls carry a fresh token.
//!
//! The first lines of `main` are what an application needs; with generated code, its client replaces
//! `Grpc`. The called service is below: it accepts the shop's tokens, and a codec for texts replaces
//! protobuf.
//!
//! ```sh
//! cargo run --example tonic_client
//! ```

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // an example prints, and waits

mod local_vendors;

use std::{error::Error, process::ExitCode};

use biped::{Biped, tower::TokenLayer};
use biped_sandbox::Sandbox;
use local_vendors::{LocalVendors, PAUSE};
use tonic::{Request, client::Grpc, transport::Endpoint};
use tower::Layer;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut vendors = LocalVendors::start(Sandbox::builder()).await?;
    let origin = orders::serve(vendors.url())?;
    let config = format!(
        "{}\napi_base_url = {origin:?}", // the last entry is the shop's
        vendors.config()
    );

    // Biped::from_file("biped.toml")? in an application.
    let biped = Biped::builder().toml(config).build()?;
    let tokens = TokenLayer::new(biped.token_source("shop")?)
        .grpc()
        .request_body(tonic::body::Body::new);
    let channel = tokens.layer(Endpoint::new(origin.clone())?.connect().await?);
    let mut client = Grpc::with_origin(channel, origin.parse()?);

    let mut latest = None;
    while vendors.has_time_left() {
        vendors.revoke_half_way();
        client.ready().await.map_err(|error| error.to_string())?;
        let request = Request::new("all of them".to_owned());
        let answer = client.unary(request, orders::LIST.parse()?, orders::Texts);
        latest = vendors.note(answer.await);
        tokio::time::sleep(PAUSE).await;
    }
    println!("{}", latest.ok_or("no response")?.into_inner());
    Ok(vendors.end())
}

/// A gRPC service that accepts the shop's tokens.
mod orders {
    use std::{
        convert::Infallible,
        error::Error,
        future::Future,
        pin::Pin,
        task::{Context, Poll},
    };

    use biped::reqwest::reqwest::{Client, header::AUTHORIZATION};
    use bytes::{Buf, BufMut};
    use tonic::{
        Request, Response, Status,
        body::Body,
        codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
        server::{Grpc, UnaryService},
        transport::{Server, server::TcpIncoming},
    };
    use tower::Service;

    pub(crate) const LIST: &str = "/shop.Orders/List";

    pub(crate) fn serve(shop: &str) -> Result<String, Box<dyn Error>> {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
        let origin = format!("http://{}", incoming.local_addr()?);
        let service = Orders {
            url: format!("{shop}/v1/orders"),
            client: Client::builder().no_proxy().build()?,
        };
        tokio::spawn(Server::builder().serve_with_incoming(service, incoming));
        Ok(origin)
    }

    #[derive(Clone)]
    struct Orders {
        url: String,
        client: Client,
    }

    type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

    impl UnaryService<String> for Orders {
        type Response = String;
        type Future = Answer<Response<String>, Status>;

        fn call(&mut self, request: Request<String>) -> Self::Future {
            let mut asked = self.client.get(&self.url);
            let token = request.metadata().get("authorization");
            if let Some(token) = token.and_then(|token| token.to_str().ok()) {
                asked = asked.header(AUTHORIZATION, token);
            }
            Box::pin(async move {
                let unavailable = |_| Status::unavailable("the shop does not respond");
                let answer = asked.send().await.map_err(unavailable)?;
                if answer.status() == 401 {
                    return Err(Status::unauthenticated("the token is not valid"));
                }
                Ok(Response::new(answer.text().await.map_err(unavailable)?))
            })
        }
    }

    impl Service<axum::http::Request<Body>> for Orders {
        type Response = axum::http::Response<Body>;
        type Error = Infallible;
        type Future = Answer<Self::Response, Infallible>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: axum::http::Request<Body>) -> Self::Future {
            let service = self.clone();
            Box::pin(async move { Ok(Grpc::new(Texts).unary(service, request).await) })
        }
    }

    /// A codec whose messages are texts.
    #[derive(Clone, Copy, Default)]
    pub(crate) struct Texts;

    impl Codec for Texts {
        type Encode = String;
        type Decode = String;
        type Encoder = Self;
        type Decoder = Self;

        fn encoder(&mut self) -> Self {
            Self
        }

        fn decoder(&mut self) -> Self {
            Self
        }
    }

    impl Encoder for Texts {
        type Item = String;
        type Error = Status;

        fn encode(&mut self, text: String, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
            into.put_slice(text.as_bytes());
            Ok(())
        }
    }

    impl Decoder for Texts {
        type Item = String;
        type Error = Status;

        fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
            let bytes = from.copy_to_bytes(from.remaining());
            let text = String::from_utf8(bytes.into());
            text.map(Some)
                .map_err(|_| Status::invalid_argument("the message is not text"))
        }
    }
}
