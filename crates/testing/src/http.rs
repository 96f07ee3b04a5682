//! [`ScriptedHttp`]: an HTTP client with scripted replies.
#![allow(clippy::panic)] // a script that can't be played says so

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use biped_core::{Error, HttpClient};
use bytes::Bytes;
use tokio::sync::Notify;

/// An [`HttpClient`] that sends nothing. It records the requests and returns scripted replies, at once
/// or when its gate opens.
///
/// ```
/// use biped_core::HttpClient;
/// use biped_testing::{Reply, ScriptedHttp};
/// # use bytes::Bytes;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let http = ScriptedHttp::new();
/// http.push(Reply::token("t-1", 3600));
/// let request = http::Request::post("https://login.example/token").body(Bytes::new()).unwrap();
/// let answer = http.send(request).await.unwrap();
/// assert_eq!(answer.status(), 200);
/// assert_eq!(http.count(), 1);
/// # });
/// ```
pub struct ScriptedHttp {
    state: Mutex<State>,
    arrived: Notify,
    opened: Notify,
}

#[derive(Default)]
struct State {
    script: VecDeque<Reply>,
    rule: Option<Arc<Rule>>,
    requests: Vec<Recorded>,
    closed: bool,
}

type Rule = dyn Fn(usize, &Recorded) -> Reply + Send + Sync;

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method.
    pub method: http::Method,
    /// The complete URL.
    pub url: String,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A reply of a [`ScriptedHttp`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply {
    /// A response.
    Response(http::Response<Bytes>),
    /// An error instead of a response.
    Failure(Error),
    /// A panic, as from a bug in a provider.
    Panic,
    /// No reply at all.
    Silence,
}

impl Reply {
    /// Returns a response with a status and a JSON body.
    ///
    /// # Panics
    /// If the status is not one of HTTP, 100 to 999; so do [`error`](Self::error) and
    /// [`status`](Self::status).
    #[must_use]
    #[track_caller]
    pub fn json(status: u16, body: &str) -> Self {
        let json = http::HeaderValue::from_static("application/json");
        let mut response = response(status, Bytes::copy_from_slice(body.as_bytes()));
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, json);
        Self::Response(response)
    }

    /// Returns a response with a token and its lifetime in seconds.
    #[must_use]
    pub fn token(text: &str, seconds: u64) -> Self {
        let body =
            format!(r#"{{"access_token":"{text}","token_type":"Bearer","expires_in":{seconds}}}"#);
        Self::json(200, &body)
    }

    /// Returns an error response (RFC 6749 §5.2).
    #[must_use]
    #[track_caller]
    pub fn error(status: u16, code: &str) -> Self {
        Self::json(
            status,
            &format!(r#"{{"error":"{code}","error_description":"says {code}"}}"#),
        )
    }

    /// Returns a response with a status and no body.
    #[must_use]
    #[track_caller]
    pub fn status(status: u16) -> Self {
        Self::Response(response(status, Bytes::new()))
    }

    /// Returns a failed connection.
    #[must_use]
    pub fn unreachable() -> Self {
        Self::Failure(Error::unreachable("connection refused"))
    }

    /// Adds a header to the response.
    ///
    /// # Panics
    /// If this is not a response, or `value` can't be in a header.
    #[must_use]
    #[track_caller]
    pub fn with_header(self, name: &'static str, value: &str) -> Self {
        let Self::Response(mut response) = self else {
            panic!("only a response has headers, so {name} can't be added");
        };
        let Ok(value) = http::HeaderValue::from_str(value) else {
            panic!("the value of {name} can't be in a header: {value:?}");
        };
        response.headers_mut().append(name, value);
        Self::Response(response)
    }
}

/// Otherwise a test of a failure would test something else.
#[track_caller]
fn response(status: u16, body: Bytes) -> http::Response<Bytes> {
    let Ok(status) = http::StatusCode::from_u16(status) else {
        panic!("{status} is not a status of HTTP; expected 100 to 999");
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    response
}

impl Default for ScriptedHttp {
    fn default() -> Self {
        Self::new()
    }
}

impl ScriptedHttp {
    /// Returns a client without a script: every request fails until there is one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            arrived: Notify::new(),
            opened: Notify::new(),
        }
    }

    /// Adds a reply to the script.
    pub fn push(&self, reply: Reply) {
        self.state().script.push_back(reply);
    }

    /// Computes every reply with this function once the script is over. The function is given the
    /// request and its number, counted from 1.
    pub fn answer_with(&self, rule: impl Fn(usize, &Recorded) -> Reply + Send + Sync + 'static) {
        self.state().rule = Some(Arc::new(rule));
    }

    /// Holds back all replies from now on.
    pub fn close_gate(&self) {
        self.state().closed = true;
    }

    /// Releases the replies that were held back, and all later ones.
    pub fn open_gate(&self) {
        self.state().closed = false;
        self.opened.notify_waiters();
    }

    /// Waits until this many requests have arrived in total.
    pub async fn arrivals(&self, count: usize) {
        loop {
            let mut arrived = std::pin::pin!(self.arrived.notified());
            arrived.as_mut().enable();
            if self.count() >= count {
                return;
            }
            arrived.await;
        }
    }

    /// Returns the number of requests.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().requests.len()
    }

    /// Returns the requests in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HttpClient for ScriptedHttp {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let (parts, body) = request.into_parts();
        let recorded = Recorded {
            method: parts.method,
            url: parts.uri.to_string(),
            headers: parts.headers,
            body,
        };
        let reply = {
            let mut state = self.state();
            state.requests.push(recorded.clone());
            let number = state.requests.len();
            let scripted = state.script.pop_front();
            let rule = state.rule.clone();
            drop(state);
            scripted.or_else(|| rule.map(|rule| rule(number, &recorded)))
        };
        self.arrived.notify_waiters();
        loop {
            let mut opened = std::pin::pin!(self.opened.notified());
            opened.as_mut().enable();
            if !self.state().closed {
                break;
            }
            opened.await;
        }
        match reply {
            Some(Reply::Response(response)) => Ok(response),
            Some(Reply::Failure(error)) => Err(error),
            Some(Reply::Panic) => panic!("as scripted"),
            Some(Reply::Silence) => std::future::pending().await,
            None => Err(Error::internal("the script has ended")),
        }
    }
}

impl fmt::Debug for ScriptedHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedHttp")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::Reply;

    #[test]
    fn what_is_no_response_of_http_is_not_replaced_by_another() {
        for make in [
            || Reply::status(99),
            || Reply::error(1000, "invalid_client"),
            || Reply::status(200).with_header("retry-after", "a\nb"),
            || Reply::unreachable().with_header("retry-after", "7"),
        ] {
            assert!(catch_unwind(make).is_err());
        }
    }
}
