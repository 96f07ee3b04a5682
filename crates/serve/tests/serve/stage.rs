//! A sidecar for a vendor, and a caller that writes raw bytes.

use std::{net::SocketAddr, time::Duration};

use biped::{
    Biped,
    provider::{Clock, SystemClock},
};
use biped_serve::{Running, Server, section};
use biped_testing::TimeLimit;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::vendor::{Vendor, find};

/// A vendor and a sidecar for it.
pub(crate) struct Stage {
    pub(crate) vendor: Vendor,
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) _limit: TimeLimit,
}

/// The configuration of a vendor's provider `shop`, whose API is at `/base`.
pub(crate) fn provider(vendor: &Vendor) -> String {
    provider_at(vendor.address)
}

/// The same for a vendor at this address.
pub(crate) fn provider_at(at: SocketAddr) -> String {
    provider_of(at, &format!("{at}/base"))
}

/// The same for a token endpoint at this address and an API elsewhere.
pub(crate) fn provider_of(at: SocketAddr, api: &str) -> String {
    format!(
        "[providers.shop]\nkind = 'oauth2'\ntoken_endpoint = 'http://{at}/token'\n\
         api_base_url = 'http://{api}'\nclient_id = 'me'\nclient_secret = 'vendor-secret'\n"
    )
}

/// A provider that is not asked.
pub(crate) const UNUSED: &str = "[providers.unused]\nkind = 'envelope'\nclient_id = 'a'\n\
                                 client_secret = 'b'\nbase_url = 'http://127.0.0.1:1'\n";

pub(crate) fn biped(toml: &str) -> Biped {
    Biped::builder()
        .section(section())
        .without_environment()
        .toml(toml)
        .build()
        .unwrap()
}

impl Stage {
    /// With these lines in `[serve]`, and these below all.
    pub(crate) async fn with(serve: &str, rest: &str) -> Self {
        let limit = TimeLimit::start();
        let vendor = Vendor::start().await;
        let toml = format!(
            "[serve]\nlisten = ['127.0.0.1:0']\n{serve}\n{}\n{rest}\n",
            provider(&vendor)
        );
        let running = Server::new(biped(&toml)).start().await.unwrap();
        let address = address(&running.addresses()[0]);
        Self {
            vendor,
            running,
            address,
            _limit: limit,
        }
    }

    pub(crate) async fn new() -> Self {
        Self::with("", "").await
    }

    pub(crate) async fn caller(&self) -> Caller<TcpStream> {
        Caller::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends a request with these header lines, and reads the answer.
    pub(crate) async fn ask(&self, line: &str, headers: &str) -> Answer {
        let mut caller = self.caller().await;
        caller.ask(line, headers).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "").await
    }
}

/// How long something may take that the test waits for: far longer than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until this holds. If that never happens, the failure says `what` was waited for.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = SystemClock.now().mono;
    while !holds().await {
        let waited = SystemClock.now().mono - start;
        assert!(waited < PATIENCE, "it never happened that {what}");
        SystemClock.sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) fn address(shown: &str) -> SocketAddr {
    shown.strip_prefix("http://").unwrap().parse().unwrap()
}

/// One connection of a caller.
pub(crate) struct Caller<S> {
    stream: S,
    buffer: Vec<u8>,
}

/// What a caller got.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end.
    pub(crate) is_whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        let body = serde_json::from_slice(&self.body);
        body.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The word of the problem, whether the API may have acted, and the status.
    pub(crate) fn problem(&self) -> (u16, String, bool) {
        let json = self.json();
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let status = self.header("proxy-status").unwrap();
        assert!(status.starts_with("biped; error="), "{status}");
        assert_eq!(json["status"], self.status);
        let word = json["problem"].as_str().unwrap().to_owned();
        assert!(
            json["type"]
                .as_str()
                .unwrap()
                .ends_with(&format!("#{word}"))
        );
        (self.status, word, json["sent"].as_bool().unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Caller<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, line: &str, headers: &str) -> Answer {
        self.write(format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
        ))
        .await;
        self.answer().await
    }

    /// The next piece of a chunked body.
    pub(crate) async fn piece(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let size = std::str::from_utf8(&self.buffer[..at]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                let end = at + 2 + size + 2;
                if self.buffer.len() >= end {
                    let piece = self.buffer[at + 2..end - 2].to_vec();
                    self.buffer.drain(..end);
                    return (size > 0).then(|| String::from_utf8(piece).unwrap());
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        match self.stream.read(&mut chunk).await {
            Ok(read) if read > 0 => {
                self.buffer.extend_from_slice(&chunk[..read]);
                true
            }
            _ => false,
        }
    }

    /// The next so many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> String {
        while self.buffer.len() < count {
            assert!(self.more().await, "the connection ended");
        }
        String::from_utf8(self.buffer.drain(..count).collect()).unwrap()
    }

    /// All that comes until the connection ends.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8(std::mem::take(&mut self.buffer)).unwrap()
    }

    /// The head of the next answer, final or not.
    pub(crate) async fn head(&mut self) -> Option<String> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if !self.more().await {
                return None;
            }
        };
        let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
        self.buffer.drain(..end + 4);
        Some(head)
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.next()
            .await
            .expect("the connection ended without an answer")
    }

    /// The next answer, unless the connection ends first.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
            is_whole: true,
        };
        if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length {
                if !self.more().await {
                    answer.is_whole = false;
                    answer.body = std::mem::take(&mut self.buffer);
                    return Some(answer);
                }
            }
            answer.body = self.buffer.drain(..length).collect();
        } else if answer.header("transfer-encoding") == Some("chunked") {
            answer.is_whole = self.chunks(&mut answer.body).await;
        } else if status != 204 && status != 304 {
            while self.more().await {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        Some(answer)
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let Some(at) = find(&self.buffer, b"\r\n") else {
                if !self.more().await {
                    return false;
                }
                continue;
            };
            let size = std::str::from_utf8(&self.buffer[..at]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            while self.buffer.len() < at + 2 + size + 2 {
                if !self.more().await {
                    return false;
                }
            }
            body.extend_from_slice(&self.buffer[at + 2..at + 2 + size]);
            self.buffer.drain(..at + 2 + size + 2);
            if size == 0 {
                return true;
            }
        }
    }
}
