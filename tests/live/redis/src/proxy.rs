//! [`Proxy`]: the way to the Redis, on which connections can be cut.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cutting: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            cutting: Arc::default(),
        };
        let cutting = proxy.cutting.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let cutting = cutting.clone();
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                        pass(client, server, &cutting).await;
                    }
                });
            }
        });
        proxy
    }

    /// From now on every connection ends in the middle of an answer.
    pub(crate) fn cut(&self, cutting: bool) {
        self.cutting.store(cutting, SeqCst);
    }
}

async fn pass(client: TcpStream, server: TcpStream, cutting: &AtomicBool) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match from_server.read(&mut bytes).await {
                Ok(read) if read > 0 => {
                    let cut = cutting.load(SeqCst);
                    let sent = if cut { read / 2 } else { read };
                    if to_client.write_all(&bytes[..sent]).await.is_err() || cut {
                        return;
                    }
                }
                _ => return,
            }
        }
    };
    tokio::select! {
        () = answers => {}
        _ = copy(&mut from_client, &mut to_server) => {}
    }
}
