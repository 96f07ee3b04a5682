//! A server that is not there, doesn't answer, or hangs up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use biped_redis::RedisStore;
use biped_testing::store::conformance::a_store_that_is_down_says_so_in_time;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

async fn listening() -> (TcpListener, Arc<RedisStore>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("redis://127.0.0.1:{port}");
    (listener, Arc::new(RedisStore::new(&url.into()).unwrap()))
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_in_time() {
    let (listener, store) = listening().await;
    drop(listener);
    a_store_that_is_down_says_so_in_time(store).await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_an_error_in_time() {
    let (listener, store) = listening().await;
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            open.push(socket);
        }
    });
    a_store_that_is_down_says_so_in_time(store).await;
}

#[tokio::test]
async fn a_server_that_hangs_up_in_the_middle_of_an_answer_is_an_error_in_time() {
    let (listener, store) = listening().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = socket.read(&mut request).await;
            let _ = socket.write_all(b"*3\r\n$16\r\n17723664").await;
        }
    });
    a_store_that_is_down_says_so_in_time(store).await;
}
