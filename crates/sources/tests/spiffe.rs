//! A SPIFFE Workload API on a Unix socket, as an agent speaks it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use biped_config::{ConfigTable, Origin, ProviderConfig};
use biped_core::{Error, ErrorKind, ExposeSecret, FetchContext, SystemClock};
use biped_sources::{Asking, ExternalToken};
use biped_testing::ScriptedHttp;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use prost::Message;
use tokio::net::UnixListener;

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
    #[prost(string, tag = "3")]
    hint: String,
}

fn svid(id: &str, svid: &str) -> Svid {
    Svid {
        spiffe_id: id.into(),
        svid: svid.into(),
        hint: "internal".into(),
    }
}

struct Agent {
    _directory: tempfile::TempDir,
    socket: PathBuf,
    asked: Arc<Mutex<Vec<(String, HeaderMap, Asked)>>>,
}

impl Agent {
    /// An agent that answers so, or with this gRPC status.
    fn answering(answer: Result<Vec<Svid>, u8>) -> Self {
        Self::named("agent.sock", answer)
    }

    fn named(name: &str, answer: Result<Vec<Svid>, u8>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join(name);
        let listener = UnixListener::bind(&socket).unwrap();
        let asked: Arc<Mutex<Vec<_>>> = Arc::default();
        let noted = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answer) = (noted.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(serve(request, respond, noted.clone(), answer.clone()));
                    }
                });
            }
        });
        Self {
            _directory: directory,
            socket,
            asked,
        }
    }

    fn toml(&self, more: &str) -> String {
        format!(
            "token = {{ spiffe = {{ socket = 'unix://{}'{more} }} }}",
            self.socket.display()
        )
    }
}

type Noted = Arc<Mutex<Vec<(String, HeaderMap, Asked)>>>;

async fn serve(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    noted: Noted,
    answer: Result<Vec<Svid>, u8>,
) {
    let (parts, mut body) = request.into_parts();
    let mut sent = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        sent.extend_from_slice(&data);
    }
    // A byte for compression and four for the length stand before the message.
    let asked = Asked::decode(&sent[5..]).unwrap();
    noted
        .lock()
        .unwrap()
        .push((parts.uri.path().into(), parts.headers, asked));
    let mut head = Response::new(());
    let grpc = "application/grpc".parse().unwrap();
    head.headers_mut().insert("content-type", grpc);
    let mut sending = respond.send_response(head, false).unwrap();
    let mut trailers = HeaderMap::new();
    match answer {
        Ok(svids) => {
            let message = Answer { svids }.encode_to_vec();
            let mut frame = vec![0];
            frame.extend((message.len() as u32).to_be_bytes());
            frame.extend(message);
            sending.send_data(frame.into(), false).unwrap();
            trailers.insert("grpc-status", "0".parse().unwrap());
        }
        Err(status) => {
            trailers.insert("grpc-status", status.to_string().parse().unwrap());
            trailers.insert("grpc-message", "no identity issued".parse().unwrap());
        }
    }
    sending.send_trailers(trailers).unwrap();
}

fn source(toml: &str) -> ExternalToken {
    let values = ConfigTable::from_toml("biped.toml".as_ref(), toml).unwrap();
    let config = ProviderConfig::new("crm", "test", Origin::Builder, values.into_values());
    let token = ExternalToken::from_config(&config, "token");
    token.unwrap_or_else(|| panic!("{:?}", config.take_problems()))
}

async fn read(toml: &str) -> Result<String, Error> {
    let http = ScriptedHttp::new();
    let cx = FetchContext::new(&http, &SystemClock);
    let asking = Asking {
        audience: Some("https://issuer.example"),
        ..Asking::new(&cx)
    };
    let given = source(toml).read(&asking).await?;
    Ok(given.text.expose_secret().to_owned())
}

#[tokio::test]
async fn the_first_svid_or_that_of_an_identity_is_taken() {
    let svids = vec![svid("spiffe://a/1", "s.v.1"), svid("spiffe://a/2", "s.v.2")];
    let agent = Agent::answering(Ok(svids));
    assert_eq!(read(&agent.toml("")).await.unwrap(), "s.v.1");
    let more = ", id = 'spiffe://a/2', audience = ['one', 'two']";
    assert_eq!(read(&agent.toml(more)).await.unwrap(), "s.v.2");
    let error = read(&agent.toml(", id = 'spiffe://a/3'"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    let asked = agent.asked.lock().unwrap();
    let audiences: Vec<_> = asked.iter().map(|(.., it)| it.audience.join(" ")).collect();
    assert_eq!(
        audiences,
        [
            "https://issuer.example",
            "one two",
            "https://issuer.example"
        ]
    );
    assert_eq!(asked[1].2.spiffe_id, "spiffe://a/2");
    for (path, headers, _) in asked.iter() {
        assert_eq!(path, "/SpiffeWorkloadAPI/FetchJWTSVID");
        assert_eq!(headers["workload.spiffe.io"], "true");
    }
    assert_eq!(source(&agent.toml("")).assertion_type(), "jwt-spiffe");
}

#[tokio::test]
async fn a_status_says_whether_it_may_pass() {
    for (status, kind, transient) in [
        (3, ErrorKind::Secret, false),
        (7, ErrorKind::Secret, false),
        (8, ErrorKind::Unavailable, true),
        (13, ErrorKind::Unavailable, true),
        (14, ErrorKind::Unavailable, true),
    ] {
        let agent = Agent::answering(Err(status));
        let error = read(&agent.toml("")).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (kind, transient),
            "{status}"
        );
        assert_eq!(error.token_source(), Some("spiffe"));
        let said = error.vendor().and_then(|it| it.message.as_deref());
        assert_eq!(said, Some("no identity issued"));
    }
}

#[tokio::test]
async fn a_path_with_a_space_or_an_escaped_character_is_found() {
    let agent = Agent::named("Agént 1%.sock", Ok(vec![svid("spiffe://a/b", "a.b.c")]));
    let whole = agent.socket.to_str().unwrap();
    let escaped = whole.replace('%', "%25");
    for path in [escaped.clone(), escaped.replace(' ', "%20")] {
        let toml = format!("token = {{ spiffe = {{ socket = 'unix://{path}' }} }}");
        assert_eq!(read(&toml).await.unwrap(), "a.b.c", "{path}");
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_may_come_back() {
    let toml = "token = { spiffe = { socket = 'unix:///no/such/agent.sock' } }";
    let missing = read(toml).await.unwrap_err();
    assert_eq!(
        (missing.kind(), missing.is_transient()),
        (ErrorKind::Secret, true)
    );
    // A socket on which nothing listens any more.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    drop(UnixListener::bind(&path).unwrap());
    let toml = format!(
        "token = {{ spiffe = {{ socket = 'unix://{}' }} }}",
        path.display()
    );
    let dead = read(&toml).await.unwrap_err();
    assert_eq!(
        (dead.kind(), dead.is_transient()),
        (ErrorKind::Unreachable, true)
    );
    let unset = read("token = { spiffe = {} }").await.unwrap_err();
    assert_eq!(
        (unset.kind(), unset.is_transient()),
        (ErrorKind::Secret, false)
    );
}

#[test]
fn an_agent_is_on_this_machine() {
    for socket in [
        "tcp://192.0.2.1:8081",
        "tcp://localhost:8081",
        "unix://host/path",
        "unix:///run/%1b.sock",
        "unix:///run/%ff.sock",
        "/run/x",
        "tcp://127.0.0.1",
    ] {
        let toml = format!("token = {{ spiffe = {{ socket = '{socket}' }} }}");
        let values = ConfigTable::from_toml("biped.toml".as_ref(), &toml).unwrap();
        let config = ProviderConfig::new("crm", "test", Origin::Builder, values.into_values());
        let _ = ExternalToken::from_config(&config, "token");
        let problems = config.take_problems();
        assert_eq!(problems.len(), 1, "{socket}: {problems:?}");
        assert_eq!(problems[0].key, "providers.crm.token.spiffe.socket");
    }
    source("token = { spiffe = { socket = 'tcp://127.0.0.1:8081' } }");
}
