//! Ten thousand fetches over plain HTTP/1.1, against a bare reqwest loop: CPU time per token.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{Json, Router, routing::post};
use biped_core::TokenRequest;
use biped_engine::{Settings, TokenManager};
use biped_reqwest::TokenClient;
use tokio::task::JoinSet;

use crate::{
    report::{Figure, Goal},
    vendor::Plain,
};

/// The argument that makes this program the server, in a process of its own so that its CPU time
/// doesn't count.
pub(crate) const SERVER: &str = "--token-server";

const FETCHES: u32 = 10_000;
const AT_A_TIME: u32 = 8;
const ROUNDS: usize = 5;

pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        let token = post(async || {
            Json(serde_json::json!({
                "access_token": "tok-0000000000000000000000000000",
                "token_type": "Bearer",
                "expires_in": 3600,
            }))
        });
        axum::serve(listener, Router::new().route("/token", token))
            .await
            .expect("to serve");
    });
}

struct Server(Child, String);

impl Server {
    fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg(SERVER)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output)
            .read_line(&mut address)
            .expect("its address");
        Self(child, format!("http://{}/token", address.trim()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn ten_thousand_fetches() -> Vec<Figure> {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // Made once, as an application does: reading the platform's certificates is not part of a fetch.
    let http = Arc::new(TokenClient::new().expect("a client"));
    let client = reqwest_client();
    let mut pairs: Vec<_> = (0..=ROUNDS)
        .map(|_| {
            (
                cpu_each(|| runtime.block_on(with_biped(&http, &server.1))),
                cpu_each(|| runtime.block_on(bare(&client, &server.1))),
            )
        })
        .collect();
    // The first round connects.
    pairs.remove(0);
    vec![Figure::beside(
        "M",
        "10 000 keys fetched over HTTP/1.1: CPU",
        "µs",
        Goal::Ratio(1.15),
        &pairs,
    )]
}

/// Every key once, and what is left of it dropped.
async fn with_biped(http: &Arc<TokenClient>, url: &str) {
    let settings = Settings::default().concurrent_fetches(AT_A_TIME as usize);
    let manager = TokenManager::builder(http.clone())
        .settings(settings)
        .build();
    let provider = Arc::new(Plain::new(url));
    let mut callers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let (manager, provider) = (manager.clone(), provider.clone());
        callers.spawn(async move {
            for tenant in (worker..FETCHES).step_by(AT_A_TIME as usize) {
                let request = TokenRequest::new().param("tenant", i64::from(tenant));
                manager
                    .source(provider.clone(), request)
                    .token()
                    .await
                    .expect("a token");
            }
        });
    }
    callers.join_all().await;
}

/// A client with the settings that [`TokenClient`] gives its own.
fn reqwest_client() -> reqwest::Client {
    reqwest::Client::builder()
        .user_agent("biped-bench")
        .referer(false)
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client")
}

async fn bare(client: &reqwest::Client, url: &str) {
    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    struct Answer {
        access_token: String,
        expires_in: u64,
    }
    let mut callers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let (client, url) = (client.clone(), url.to_owned());
        callers.spawn(async move {
            for _ in (worker..FETCHES).step_by(AT_A_TIME as usize) {
                let form = [
                    ("client_id", "client"),
                    ("client_secret", "a-secret-of-some-length"),
                ];
                let response = client
                    .post(&url)
                    .header(http::header::ACCEPT, "application/json")
                    .form(&form)
                    .send()
                    .await
                    .expect("a response");
                let answer: Answer = response.json().await.expect("an answer");
                std::hint::black_box(&answer);
            }
        });
    }
    callers.join_all().await;
}

/// Microseconds of this process's CPU time for each fetch.
fn cpu_each(act: impl FnOnce()) -> f64 {
    let before = cpu_time();
    act();
    (cpu_time() - before).as_secs_f64() * 1e6 / f64::from(FETCHES)
}

#[cfg(target_os = "linux")]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Duration {
    panic!("this bench needs Linux's process clock")
}
