//! A service on axum that reads from two vendors.
//!
//! ```sh
//! cargo run --example axum_service
//! ```

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // an example prints, and waits

mod local_vendors;

use std::{error::Error, process::ExitCode};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use biped::{
    ApiClient, Biped,
    reqwest::{reqwest, reqwest_middleware},
    token_error,
};
use biped_sandbox::Sandbox;
use local_vendors::{LocalVendors, PAUSE};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The clients of the handlers; each call has a fresh token.
#[derive(Clone)]
struct Vendors {
    analytics: ApiClient,
    shop: ApiClient,
}

fn service(biped: &Biped) -> Result<Router, biped::Error> {
    let vendors = Vendors {
        analytics: biped.client("exports")?,
        shop: biped.client("shop")?,
    };
    Ok(Router::new()
        .route("/report", get(report))
        .with_state(vendors))
}

async fn report(State(vendors): State<Vendors>) -> Result<Json<Value>, Failure> {
    let (exports, orders) = tokio::try_join!(
        read(&vendors.analytics, "/v1/exports"),
        read(&vendors.shop, "/v1/orders"),
    )?;
    Ok(Json(json!({
        "exports": exports["payload"],
        "orders": orders["data"]["orders"],
    })))
}

async fn read(client: &ApiClient, path: &str) -> Result<Value, Failure> {
    let response = client.get(path).send().await?.error_for_status()?;
    Ok(response.json().await?)
}

/// The response of this service if a vendor's call fails.
struct Failure(reqwest_middleware::Error);

impl<E: Into<reqwest_middleware::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Some(error) = token_error(&self.0) else {
            return (StatusCode::BAD_GATEWAY, self.0.to_string()).into_response();
        };
        let mut response = (StatusCode::BAD_GATEWAY, error.to_string()).into_response();
        if let Some(wait) = error.retry_after() {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            let seconds = wait.as_secs().saturating_add(1).into();
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut vendors = LocalVendors::start(Sandbox::builder()).await?;

    // Biped::from_file("biped.toml")? in an application.
    let biped = Biped::builder().toml(vendors.config()).build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/report", listener.local_addr()?);
    let service = service(&biped)?;
    tokio::spawn(async move { axum::serve(listener, service).await });

    // A caller of the service.
    let client = reqwest::Client::builder().no_proxy().build()?;
    while vendors.has_time_left() {
        vendors.revoke_half_way();
        let answer = client.get(&url).send().await;
        vendors.note(answer.and_then(reqwest::Response::error_for_status));
        tokio::time::sleep(PAUSE).await;
    }
    println!("{}", client.get(&url).send().await?.text().await?);
    Ok(vendors.end())
}
