//! Servers that do what a well-behaved one would not.

use std::{future::Future, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Gives every connection to `serve`, with the head of its first request. Returns the origin.
pub(crate) async fn raw<F, Fut>(serve: F) -> String
where
    F: Fn(TcpStream, String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let serve = serve.clone();
            tokio::spawn(async move {
                let head = head(&mut stream).await;
                serve(stream, head).await;
            });
        }
    });
    origin
}

/// Reads a request up to the empty line.
pub(crate) async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Writes `text` and leaves the connection open for as long as the test runs.
pub(crate) async fn write_and_stall(mut stream: TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    std::future::pending::<()>().await;
}

/// Returns an address without a server. Another process may take a port that was released, but never
/// this one.
pub(crate) fn no_server() -> String {
    "http://127.0.0.1:1".into()
}
