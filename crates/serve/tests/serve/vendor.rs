//! A vendor on loopback: a token endpoint and an API, which records what it got.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
};

/// A request as the vendor got it.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// The request line and the headers, as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// The lines after a chunked body.
    pub(crate) trailers: String,
}

impl Got {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub(crate) fn path(&self) -> &str {
        self.line().split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// What the vendor does with a request.
pub(crate) enum Act {
    /// Sends these bytes, and keeps the connection.
    Reply(Vec<u8>),
    /// Sends these bytes, and ends the connection.
    Last(Vec<u8>),
    /// Sends these bytes, and nothing more.
    Stall(Vec<u8>),
    /// Sends these bytes, and resets the connection when it is told to.
    Reset(Vec<u8>, Arc<Notify>),
    /// Sends these bytes when it is told to, and keeps the connection.
    Held(Vec<u8>, Arc<Notify>),
    /// Sends a head, and of a body a byte each time that it is told to.
    Drip(Vec<u8>, &'static [u8], Arc<Notify>),
}

type Rule = Box<dyn FnMut(&Got) -> Act + Send>;

struct State {
    api: Mutex<Rule>,
    tokens: Mutex<Rule>,
    got: Mutex<Vec<Got>>,
    fetches: AtomicUsize,
    connections: AtomicUsize,
    closed: AtomicUsize,
}

/// A vendor that runs until it is dropped.
pub(crate) struct Vendor {
    state: Arc<State>,
    pub(crate) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

pub(crate) fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

pub(crate) fn ok(body: &str) -> Act {
    Act::Reply(reply("200 OK", "", body))
}

pub(crate) fn token(text: &str, seconds: u64) -> Act {
    let body = format!(
        "{{\"access_token\":\"{text}\",\"token_type\":\"Bearer\",\"expires_in\":{seconds}}}"
    );
    let json = "Content-Type: application/json\r\n";
    Act::Reply(reply("200 OK", json, &body))
}

/// The address of a vendor that is down: connections are refused until the vendor is there.
pub(crate) fn down() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

impl Vendor {
    pub(crate) async fn start() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// A vendor that was down.
    pub(crate) fn back(socket: TcpSocket) -> Self {
        Self::at(socket.listen(1024).unwrap())
    }

    fn at(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let mut issued = 0;
        let state = Arc::new(State {
            api: Mutex::new(Box::new(|_| ok("hello"))),
            tokens: Mutex::new(Box::new(move |_| {
                issued += 1;
                token(&format!("token-{issued}"), 3600)
            })),
            got: Mutex::default(),
            fetches: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let shared = shared.clone();
                tokio::spawn(async move {
                    serve(&shared, stream).await;
                    shared.closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            state,
            address,
            task,
        }
    }

    /// What the API does from now on.
    pub(crate) fn api(&self, rule: impl FnMut(&Got) -> Act + Send + 'static) {
        *self.state.api.lock().unwrap() = Box::new(rule);
    }

    /// What the token endpoint does from now on.
    pub(crate) fn tokens(&self, rule: impl FnMut(&Got) -> Act + Send + 'static) {
        *self.state.tokens.lock().unwrap() = Box::new(rule);
    }

    /// What the API got.
    pub(crate) fn got(&self) -> Vec<Got> {
        self.state.got.lock().unwrap().clone()
    }

    /// The only request that the API got.
    pub(crate) fn only(&self) -> Got {
        let got = self.got();
        assert_eq!(got.len(), 1, "{got:#?}");
        got.into_iter().next().unwrap()
    }

    /// How many requests the token endpoint got.
    pub(crate) fn fetches(&self) -> usize {
        self.state.fetches.load(Ordering::SeqCst)
    }

    /// How many connections have ended.
    pub(crate) fn closed(&self) -> usize {
        self.state.closed.load(Ordering::SeqCst)
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(state: &State, mut stream: TcpStream) {
    let mut buffer = Vec::new();
    while let Some(got) = read(&mut stream, &mut buffer).await {
        let act = if got.path().starts_with("/token") {
            state.fetches.fetch_add(1, Ordering::SeqCst);
            (state.tokens.lock().unwrap())(&got)
        } else {
            state.got.lock().unwrap().push(got.clone());
            (state.api.lock().unwrap())(&got)
        };
        match act {
            Act::Reply(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::Last(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Act::Held(bytes, go) => {
                go.notified().await;
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::Drip(head, body, go) => {
                let _ = stream.write_all(&head).await;
                for byte in body {
                    go.notified().await;
                    let _ = stream.write_all(&[*byte]).await;
                }
            }
            Act::Reset(bytes, go) => {
                let _ = stream.write_all(&bytes).await;
                go.notified().await;
                stream.set_zero_linger().unwrap();
                return;
            }
            Act::Stall(bytes) => {
                let _ = stream.write_all(&bytes).await;
                // Until the other side goes.
                let mut rest = [0; 1024];
                while matches!(stream.read(&mut rest).await, Ok(read) if read > 0) {}
                return;
            }
        }
    }
}

/// Reads one request.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Got> {
    let end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut got = Got {
        head,
        body: Vec::new(),
        trailers: String::new(),
    };
    if let Some(length) = got.header("content-length") {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            more(stream, buffer).await?;
        }
        got.body = buffer.drain(..length).collect();
    } else if got.header("transfer-encoding").is_some() {
        loop {
            let size = line(stream, buffer).await?;
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            while buffer.len() < size + 2 {
                more(stream, buffer).await?;
            }
            got.body.extend_from_slice(&buffer[..size]);
            buffer.drain(..size + 2);
        }
        loop {
            match &*line(stream, buffer).await? {
                "" => break,
                trailer => got.trailers.push_str(trailer),
            }
        }
    }
    Some(got)
}

/// Reads one line.
async fn line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    let at = loop {
        if let Some(at) = find(buffer, b"\r\n") {
            break at;
        }
        more(stream, buffer).await?;
    };
    let line = String::from_utf8_lossy(&buffer[..at]).into_owned();
    buffer.drain(..at + 2);
    Some(line)
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 16 * 1024];
    match stream.read(&mut chunk).await {
        Ok(read) if read > 0 => {
            buffer.extend_from_slice(&chunk[..read]);
            Some(())
        }
        _ => None,
    }
}
