//! A service on axum that reads from two vendors.
//!
//! ```sh
//! cargo run --example axum_service
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr)] // an example prints
#![allow(clippy::disallowed_methods)] // and waits

mod local_vendors;

use std::{error::Error, iter, process::ExitCode};

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
    /// Logs the error. The caller gets none of its text, which names places of the configuration and
    /// quotes the vendor.
    fn into_response(self) -> Response {
        let no_token = token_error(&self.0);
        match no_token {
            Some(error) => log(error),
            None => log(&self.0),
        }
        let mut response =
            (StatusCode::BAD_GATEWAY, "a call of a vendor's API failed").into_response();
        if let Some(wait) = no_token.and_then(biped::Error::retry_after) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            let seconds = wait.as_secs().saturating_add(1).into();
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// Shows an error and its causes to the operator.
fn log(error: &(dyn Error + 'static)) {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    let causes: String = causes.map(|cause| format!(": {cause}")).collect();
    eprintln!("{error}{causes}");
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
