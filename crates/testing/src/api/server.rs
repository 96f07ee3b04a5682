//! [`TestApi`]: an API on loopback.

use std::{
    collections::HashSet,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// An API on loopback. It returns 200 unless the token is to be rejected, and records the requests. It
/// stops when it is dropped.
pub struct TestApi {
    url: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    rejected: HashSet<String>,
    redirect: Option<String>,
    seen: Vec<Seen>,
}

/// A recorded request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The token without its scheme; empty if there was none.
    pub token: String,
    /// The body.
    pub body: Vec<u8>,
}

impl TestApi {
    /// Starts on a free port.
    ///
    /// # Errors
    /// Fails if no port is free.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                // A client that closes the connection needs no response.
                tokio::spawn(async move { serve(stream, &state).await.ok() });
            }
        });
        Ok(Self { url, state, server })
    }

    /// Returns its base URL, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Rejects this token with status 401 from now on.
    pub fn reject(&self, token: &str) {
        lock(&self.state).rejected.insert(token.into());
    }

    /// Redirects every request to this location, with status 307, from now on.
    pub fn redirect(&self, location: &str) {
        lock(&self.state).redirect = Some(location.into());
    }

    /// Returns the requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state).seen.clone()
    }

    /// Returns the tokens of the requests so far.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.token).collect()
    }
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for TestApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestApi")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

const EXPIRED: &str =
    r#"{"success":false,"errorMessage":"Auth token is expired.","errorCode":"JWT_EXPIRED"}"#;

/// One request per connection: the parts of HTTP/1.1 that clients need.
async fn serve(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let seen = read(&mut stream).await?;
    let (status, location) = {
        let mut state = lock(state);
        let status = match &state.redirect {
            Some(_) => "307 Temporary Redirect",
            None if state.rejected.contains(&seen.token) => "401 Unauthorized",
            None => "200 OK",
        };
        state.seen.push(seen);
        let location = state.redirect.as_ref();
        (status, location.map(|url| format!("location: {url}\r\n")))
    };
    let body = if status.starts_with("401") {
        EXPIRED
    } else {
        "{}"
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{}content-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        location.unwrap_or_default(),
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Seen> {
    let first = line(stream).await?;
    let mut words = first.split(' ').map(str::to_owned);
    let mut seen = Seen {
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        ..Seen::default()
    };
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(stream).await?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => seen.token = value.trim().trim_start_matches("Bearer ").into(),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "transfer-encoding" => chunked = true,
            _ => {}
        }
    }
    if chunked {
        loop {
            let size = usize::from_str_radix(line(stream).await?.trim(), 16).unwrap_or(0);
            body(stream, &mut seen.body, size).await?;
            line(stream).await?;
            if size == 0 {
                break;
            }
        }
    } else {
        body(stream, &mut seen.body, length).await?;
    }
    Ok(seen)
}

async fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().into())
}

async fn body(
    stream: &mut BufReader<TcpStream>,
    into: &mut Vec<u8>,
    length: usize,
) -> io::Result<()> {
    let mut piece = vec![0; length];
    stream.read_exact(&mut piece).await?;
    into.extend(piece);
    Ok(())
}
