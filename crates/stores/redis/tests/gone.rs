//! A server that is not there, doesn't answer, or hangs up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use biped_core::{StoredToken, TokenKey, TokenStore};
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

/// At a port that no process has.
fn nowhere() -> Arc<RedisStore> {
    let url = "redis://127.0.0.1:1".to_owned();
    Arc::new(RedisStore::new(&url.into()).unwrap())
}

/// What comes of looking a key up. On a machine that is busy, 250 ms may pass before the server's
/// answer is here: then once more.
async fn found(store: &RedisStore) -> Result<Option<StoredToken>, String> {
    loop {
        let found = store.get(&KEY).await.map_err(|error| error.to_string());
        match found {
            Err(error) if error.contains("does not respond within") => {}
            found => return found,
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_in_time() {
    let store = nowhere();
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
    let error = store.get(&KEY).await.unwrap_err().to_string();
    assert!(error.contains("rediss://"), "{error}");
    a_store_that_is_down_says_so_in_time(store).await;
}

#[tokio::test]
async fn a_server_that_hangs_after_it_has_answered_is_not_taken_for_a_wrong_address() {
    let (listener, store) = listening().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                for answer in [WELCOME, NOTHING] {
                    let _ = socket.read(&mut request).await;
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
                std::future::pending::<()>().await;
            });
        }
    });
    assert_eq!(found(&store).await, Ok(None));
    let error = store.get(&KEY).await.unwrap_err().to_string();
    assert!(error.contains("does not respond within"), "{error}");
    assert!(!error.contains("rediss://"), "{error}");
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

/// A server that answers each request of a connection with the next of these; what there is no
/// more of, with the last.
async fn answering(connections: Vec<Vec<&'static str>>) -> Arc<RedisStore> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut connections = connections.into_iter();
        let mut answers = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            answers = connections.next().unwrap_or(answers);
            let answers = answers.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                for at in 0.. {
                    let answer = answers.get(at).or(answers.last()).unwrap();
                    let read = socket.read(&mut request).await;
                    if read.is_err() || read.is_ok_and(|read| read == 0) {
                        return;
                    }
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    let url = format!("redis://somebody:hunter2@127.0.0.1:{port}");
    Arc::new(RedisStore::new(&url.into()).unwrap())
}

const KEY: TokenKey = TokenKey::from_bytes([7; 32]);
const WELCOME: &str = "+OK\r\n";
const NOTHING: &str = "_\r\n";
const SILENCE: &str = "";

#[tokio::test]
async fn what_a_server_refuses_is_told_by_its_code_and_without_what_was_sent() {
    for (answers, words) in [
        (
            &["-NOAUTH HELLO must be called with AUTH hunter2\r\n"][..],
            &["NOAUTH", "password"][..],
        ),
        (
            &["-WRONGPASS invalid username-password pair hunter2\r\n"],
            &["WRONGPASS", "user"],
        ),
        (
            &[WELCOME, "-NOPERM hunter2 has no permissions\r\n"],
            &["NOPERM", "rights"],
        ),
        (
            &[WELCOME, "-READONLY You can't write hunter2\r\n"],
            &["READONLY", "primary"],
        ),
        (&[WELCOME, "-LOADING hunter2 in memory\r\n"], &["LOADING"]),
        (&[WELCOME, "-BUSY hunter2 a script\r\n"], &["BUSY"]),
        (&[WELCOME, "-OOM hunter2\r\n"], &["OOM", "memory"]),
        (&[WELCOME, "-MOVED 7 hunter2:1\r\n"], &["cluster"]),
        (
            &["-ERR unknown command `HELLO`, with args hunter2\r\n"],
            &["version 6"],
        ),
        (
            &[WELCOME, "-ERR unknown command 'EVALSHA' 'hunter2'\r\n"],
            &["command"],
        ),
        (&[WELCOME, "-hunter2 is no code\r\n"], &["can't be used"]),
        (
            &["HTTP/1.1 400 Bad Request\r\n\r\nhunter2"],
            &["not a Redis"],
        ),
    ] {
        let store = answering(vec![answers.to_vec()]).await;
        let error = found(&store).await.unwrap_err();
        assert!(error.contains("127.0.0.1"), "{error}");
        for word in words {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// As a PostgreSQL does, and a port with TLS.
#[tokio::test]
async fn a_server_that_hangs_up_before_it_answers_is_taken_for_no_redis() {
    let (listener, store) = listening().await;
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
        }
    });
    let error = found(&store).await.unwrap_err();
    assert!(error.contains("may not be a Redis"), "{error}");
    assert!(error.contains("rediss://"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_as_such() {
    let error = found(&nowhere()).await.unwrap_err();
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn nodes_that_are_not_there_are_told_as_such() {
    let urls = ["redis://127.0.0.1:1", "redis://127.0.0.1:2"].map(|url| url.to_owned().into());
    let store = RedisStore::cluster(&urls, None).unwrap();
    let error = found(&store).await.unwrap_err();
    assert!(error.contains("no node of the cluster answers"), "{error}");
}

/// As a firewall does that has forgotten a connection: nobody is told that it leads nowhere.
#[tokio::test]
async fn a_connection_that_has_gone_silent_is_replaced() {
    let silent = vec![WELCOME, NOTHING, SILENCE];
    let store = answering(vec![silent, vec![WELCOME, NOTHING]]).await;
    assert_eq!(found(&store).await, Ok(None));
    for _ in 0..40 {
        match store.get(&KEY).await {
            Ok(found) => return assert_eq!(found, None),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("does not respond within"), "{error}");
                assert!(!error.contains("rediss://"), "{error}");
            }
        }
    }
    panic!("no other connection was made");
}

#[tokio::test]
async fn a_server_that_refused_once_is_asked_again() {
    for refused in [
        vec!["-NOAUTH wait\r\n"],
        vec!["-WRONGPASS wait\r\n"],
        vec!["-ERR DB index is out of range\r\n"],
        vec![WELCOME, "-LOADING wait\r\n"],
    ] {
        let store = answering(vec![refused, vec![WELCOME, NOTHING]]).await;
        store.get(&KEY).await.unwrap_err();
        assert_eq!(found(&store).await, Ok(None));
    }
}
