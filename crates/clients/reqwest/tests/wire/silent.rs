//! HTTP/2 connections whose other end is gone without a word.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use biped_core::{ErrorKind, HttpClient};
use biped_reqwest::{HttpSettings, TokenClient};
use bytes::Bytes;
use tokio::{
    io::{copy, copy_bidirectional, sink},
    net::{TcpListener, TcpStream},
    select,
    sync::{Semaphore, watch},
};

use crate::{in_time, tls::Ca, vendor::Vendor};

/// Nothing in these tests takes so long, so that it never decides whether they pass.
const NEVER: Duration = Duration::from_secs(300);

/// An HTTP/2 server behind a forwarder that can stop forwarding.
struct Line {
    origin: String,
    connections: Arc<AtomicUsize>,
    silence: watch::Sender<usize>,
    /// A permit for each silenced connection that the client closed.
    given_up: Arc<Semaphore>,
}

impl Line {
    async fn open(ca: &Ca) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server_at = server.local_addr().unwrap();
        let acceptor = ca.leaf("localhost").http2();
        tokio::spawn(async move {
            while let Ok((stream, _)) = server.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((_, mut respond))) = connection.accept().await {
                        let _ = respond.send_response(http::Response::new(()), true);
                    }
                });
            }
        });

        let forwarder = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!(
            "https://localhost:{}",
            forwarder.local_addr().unwrap().port()
        );
        let connections = Arc::new(AtomicUsize::new(0));
        let silence = watch::Sender::new(0);
        let given_up = Arc::new(Semaphore::new(0));
        let (count, silent) = (connections.clone(), silence.subscribe());
        let closed = given_up.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = forwarder.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                let (mut silent, closed) = (silent.clone(), closed.clone());
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server_at).await.unwrap();
                    let is_silenced =
                        async { silent.wait_for(|upto| number <= *upto).await.is_ok() };
                    select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        true = is_silenced => {
                            // The socket stays open until the client closes it.
                            let _ = copy(&mut near, &mut sink()).await;
                            closed.add_permits(1);
                        }
                    }
                });
            }
        });
        Self {
            origin,
            connections,
            silence,
            given_up,
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Silences all connections that there are.
    fn silence(&self) {
        self.silence.send_replace(self.connections());
    }
}

fn settings(ca: &Ca) -> HttpSettings {
    ca.settings()
        .timeout(NEVER)
        .read_timeout(NEVER)
        .ping_interval(Duration::from_millis(200))
}

#[tokio::test]
async fn a_token_request_finds_a_silent_connection_and_the_next_one_opens_another() {
    let ca = Ca::new();
    let line = Line::open(&ca).await;
    let client = TokenClient::with(settings(&ca)).unwrap();
    let get = async || {
        let request = http::Request::get(&line.origin).body(Bytes::new()).unwrap();
        client.send(request).await
    };
    assert_eq!(get().await.unwrap().version(), http::Version::HTTP_2);
    assert_eq!(line.connections(), 1);

    line.silence();
    // A ping while idle may find it first; then the call succeeds at once.
    if let Err(error) = in_time(get()).await {
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Unreachable, true)
        );
    }
    in_time(get()).await.unwrap();
    assert_eq!(line.connections(), 2);
}

#[tokio::test]
async fn an_api_call_finds_a_silent_connection_and_the_next_one_opens_another() {
    let ca = Ca::new();
    let line = Line::open(&ca).await;
    let client = Vendor::new().client_with(settings(&ca), &line.origin);
    let get = async || client.get("/").send().await;
    assert_eq!(get().await.unwrap().version(), http::Version::HTTP_2);
    assert_eq!(line.connections(), 1);

    line.silence();
    let _ = in_time(get()).await;
    in_time(get()).await.unwrap();
    assert_eq!(line.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_goes_silent_while_idle_is_closed() {
    let ca = Ca::new();
    let line = Line::open(&ca).await;
    let client = Vendor::new().client_with(settings(&ca), &line.origin);
    client.get("/").send().await.unwrap();
    line.silence();
    in_time(line.given_up.acquire()).await.unwrap().forget();
    client.get("/").send().await.unwrap();
    assert_eq!(line.connections(), 2);
}
