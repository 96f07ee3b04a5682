//! Operations that their caller drops, as one does whose time is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use biped_core::{AccountKey, Clock, DurableStore, SystemClock, TokenStore};
use biped_postgres::PostgresStore;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    faults::{losing, stored},
    postgres::Postgres,
};

const ACCOUNT: AccountKey = AccountKey::from_bytes([5; 32]);

/// Keeps the next `COMMIT` back that is sent.
#[derive(Default)]
struct Keeper {
    is_set: AtomicBool,
    has_kept: Notify,
}

impl Keeper {
    fn keeps(&self, bytes: &[u8]) -> bool {
        let is_commit = bytes.windows(6).any(|word| word == b"COMMIT");
        let keeps = is_commit && self.is_set.swap(false, SeqCst);
        if keeps {
            self.has_kept.notify_one();
        }
        keeps
    }
}

/// The way to a server, which a keeper watches.
async fn watched(server: u16, keeper: Arc<Keeper>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let keeper = keeper.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
                    if !keeper.keeps(&bytes[..read]) {
                        to_server.write_all(&bytes[..read]).await.unwrap();
                    }
                }
            });
            tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
        }
    });
    port
}

fn store_on(way: u16, server: &Postgres) -> PostgresStore {
    let (port, way) = (server.port.to_string(), way.to_string());
    PostgresStore::new(&server.url().replace(&port, &way).into()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_lock_whose_caller_left_before_its_commit_is_nobodys() {
    let server = Postgres::start("").await;
    let keeper = Arc::new(Keeper::default());
    let way = watched(server.port, keeper.clone()).await;
    let accounts: Arc<dyn DurableStore> = store_on(way, &server).durable().unwrap();
    accounts.load(&ACCOUNT).await.unwrap();

    keeper.is_set.store(true, SeqCst);
    tokio::select! {
        _ = accounts.lock(&ACCOUNT) => panic!("it was answered"),
        () = keeper.has_kept.notified() => {}
    }
    let lock = accounts.lock(&ACCOUNT).await.unwrap();
    lock.expect("the lock that was not committed is nobody's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_silent_connection_is_replaced_though_its_operations_are_dropped() {
    let server = Postgres::start("").await;
    let lost = Arc::new(AtomicBool::new(false));
    let store = store_on(losing(server.port, lost.clone()).await, &server);
    let key = stored(&store).await;
    lost.store(true, SeqCst);
    for _ in 0..40 {
        // A caller's time may be a little shorter than that of the store.
        tokio::select! {
            found = store.get(&key) => return assert!(found.unwrap().is_some()),
            () = SystemClock.sleep(Duration::from_millis(225)) => {}
        }
    }
    panic!("no other connection was made");
}
