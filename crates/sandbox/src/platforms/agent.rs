//! A SPIFFE Workload API on a Unix socket (`workload.proto`): `FetchJWTSVID`, by gRPC over HTTP/2.

use std::{io, path::PathBuf, sync::Arc};

use axum::serve::Listener;
use bytes::Bytes;
use h2::{RecvStream, server};
use http::{HeaderMap, HeaderValue, Request, Response};
use prost::Message;
use serde_json::json;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use super::state::{PLATFORM_LIFETIME, Party, State};

const METHOD: &str = "/SpiffeWorkloadAPI/FetchJWTSVID";

/// Statuses of gRPC.
const INVALID_ARGUMENT: u8 = 3;
const PERMISSION_DENIED: u8 = 7;
const UNIMPLEMENTED: u8 = 12;

/// The longest request, in bytes.
const LONGEST: usize = 64 * 1024;

/// A byte that says that nothing is compressed, and four for the length.
const HEAD: usize = 5;

#[derive(Clone, PartialEq, Message)]
struct Asked {
    #[prost(string, repeated, tag = "1")]
    audience: Vec<String>,
    #[prost(string, tag = "2")]
    spiffe_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<Svid>,
}

#[derive(Clone, PartialEq, Message)]
struct Svid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(string, tag = "2")]
    svid: String,
}

/// The socket of the agent.
pub(super) fn socket(state: &State) -> PathBuf {
    state.directory().join("agent.sock")
}

pub(super) fn bind(state: &State) -> io::Result<UnixListener> {
    UnixListener::bind(socket(state))
}

/// Serves the socket until the sandbox stops, and closes its connections then.
pub(super) async fn run(mut listener: UnixListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, _) = Listener::accept(&mut listener) => {
                let state = Arc::clone(&state);
                // A client that speaks something else is the client's problem.
                connections.spawn(async move { converse(stream, &state).await });
            }
            Some(_) = connections.join_next() => {}
            () = state.stopped() => break,
        }
    }
    connections.shutdown().await;
}

async fn converse(stream: UnixStream, state: &Arc<State>) -> Result<(), h2::Error> {
    let mut connection = server::handshake(stream).await?;
    let mut requests = JoinSet::new();
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        let state = Arc::clone(state);
        requests.spawn(async move { serve(request, respond, &state).await });
        while requests.try_join_next().is_some() {}
    }
    Ok(())
}

async fn serve(
    request: Request<RecvStream>,
    mut respond: server::SendResponse<Bytes>,
    state: &State,
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let mut sent = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        if sent.len() + data.len() > LONGEST {
            return Ok(());
        }
        sent.extend_from_slice(&data);
    }
    let path = parts.uri.path();
    let answer = answer(path, &parts.headers, &sent, state);
    state.note(format!("POST {path}"), 200);
    let mut head = Response::new(());
    let grpc = HeaderValue::from_static("application/grpc");
    head.headers_mut().insert("content-type", grpc);
    let mut sending = respond.send_response(head, false)?;
    let mut trailers = HeaderMap::new();
    let status = match answer {
        Ok(answer) => {
            let message = answer.encode_to_vec();
            let length = u32::try_from(message.len()).unwrap_or_default();
            let mut frame = vec![0];
            frame.extend(length.to_be_bytes());
            frame.extend(message);
            sending.send_data(frame.into(), false)?;
            0
        }
        Err((status, message)) => {
            trailers.insert("grpc-message", HeaderValue::from_static(message));
            status
        }
    };
    trailers.insert("grpc-status", HeaderValue::from(u16::from(status)));
    sending.send_trailers(trailers)
}

fn answer(
    path: &str,
    headers: &HeaderMap,
    sent: &[u8],
    state: &State,
) -> Result<Answer, (u8, &'static str)> {
    if path != METHOD {
        return Err((UNIMPLEMENTED, "only FetchJWTSVID is here"));
    }
    if headers
        .get("workload.spiffe.io")
        .is_none_or(|it| it != "true")
    {
        return Err((INVALID_ARGUMENT, "security header missing from request"));
    }
    let asked = sent.get(HEAD..).and_then(|it| Asked::decode(it).ok());
    let asked = asked.filter(|asked| !asked.audience.is_empty());
    let asked = asked.ok_or((INVALID_ARGUMENT, "audience must be specified"))?;
    let id = Party::Spiffe.subject();
    if !asked.spiffe_id.is_empty() && asked.spiffe_id != id {
        return Err((PERMISSION_DENIED, "no identity issued"));
    }
    let audience = json!(asked.audience);
    let svid = state.signed(Party::Spiffe, &audience, PLATFORM_LIFETIME);
    let spiffe_id = id.to_owned();
    Ok(Answer {
        svids: vec![Svid { spiffe_id, svid }],
    })
}
