//! [`Http1Connection`]: a connection over HTTP/1.1, moved by the call that uses it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use biped::tower::Body;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, Connection, SendRequest},
};

use tokio::runtime::Handle;

use super::{
    connector::Counted,
    failure::SendError,
    open::{Open, Use},
};

/// The largest head of a response.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// A connection that serves one request at a time. A task of its own would have to be woken for each
/// request and for each answer: the call that uses it moves it instead.
pub(super) struct Http1Connection {
    sender: SendRequest<Body>,
    open: Open,
    /// `None` where a task moves it, or where it has ended.
    connection: Option<Box<Connection<Counted, Body>>>,
}

impl Http1Connection {
    pub(super) async fn new(stream: Counted) -> Result<Self, SendError> {
        let open = stream.open().clone();
        let (sender, connection) = Builder::new()
            .max_buf_size(MAX_HEAD)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(stream)
            .await
            .map_err(SendError::Sent)?;
        let connection = Some(Box::new(connection));
        Ok(Self {
            sender,
            open,
            connection,
        })
    }

    /// Notes a use, and says whether it is not the first.
    pub(super) fn begin(&self) -> (Use, bool) {
        self.open.begin()
    }

    /// Sends a request, and waits for the head of its answer. With an error comes a request that was not
    /// begun.
    pub(super) async fn send(
        &mut self,
        request: Box<Request<Body>>,
    ) -> Result<Response<Incoming>, (Option<Box<Request<Body>>>, hyper::Error)> {
        // The API may answer while a body is on its way, and who reads that answer may stop for a while.
        if request.body().bytes().is_none() {
            self.give_task();
        }
        let mut answer = pin!(self.sender.try_send_request(*request));
        let sent = poll_fn(|cx| {
            // The answer tells an error as well.
            let _ = drive(&mut self.connection, cx);
            match self.connection {
                // What moves the connection need not be woken by it.
                Some(_) => answer.as_mut().poll(&mut unwoken()),
                None => answer.as_mut().poll(cx),
            }
        });
        sent.await.map_err(|mut error| {
            let unsent = error.take_message().map(Box::new);
            (unsent, error.into_error())
        })
    }

    /// Polls what comes from the connection, and moves it for that.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.connection.is_some() {
            if let Poll::Ready(it) = poll(&mut unwoken()) {
                return Poll::Ready(it);
            }
            // What comes from the connection tells an error as well.
            let _ = drive(&mut self.connection, cx);
        }
        match self.connection {
            Some(_) => poll(&mut unwoken()),
            None => poll(cx),
        }
    }

    /// Whether the connection can take a request. No task is woken by the connection from here on.
    pub(super) fn is_ready(&mut self) -> bool {
        drive(&mut self.connection, &mut unwoken()).is_ok() && self.sender.is_ready()
    }

    /// Whether the connection is known to have ended. If it ended unnoticed, the request is returned.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until the connection can take a request.
    pub(super) async fn ready(&mut self) -> Result<(), hyper::Error> {
        poll_fn(|cx| {
            drive(&mut self.connection, cx)?;
            self.sender.poll_ready(cx)
        })
        .await
    }

    /// Ends an unused connection, as its protocols want it.
    pub(super) fn close(mut self) {
        self.give_task();
    }

    fn give_task(&mut self) {
        // The runtime may be gone.
        let (Some(connection), Ok(runtime)) = (self.connection.take(), Handle::try_current())
        else {
            return;
        };
        runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to an API ended: {error}");
            }
        });
    }
}

/// Moves a connection, and forgets it at its end, which gives back what it did not send.
fn drive(
    connection: &mut Option<Box<Connection<Counted, Body>>>,
    cx: &mut Context<'_>,
) -> Result<(), hyper::Error> {
    let Some(Poll::Ready(end)) = connection.as_mut().map(|it| Pin::new(it).poll(cx)) else {
        return Ok(());
    };
    *connection = None;
    end
}

fn unwoken() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
