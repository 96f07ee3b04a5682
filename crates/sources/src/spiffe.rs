//! JWT-SVIDs of a SPIFFE Workload API.

use std::{path::PathBuf, time::Duration};

use biped_config::{ConfigTable, Field, FieldType};
use biped_core::{Error, ProviderId, SecretString, VendorError, async_trait, is_loopback};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower::service_fn;
use url::Url;

use crate::{
    platform::{self, no_token},
    source::{Asking, Found, Source},
};

const NAME: &str = "spiffe";
const SOCKET: &str = "SPIFFE_ENDPOINT_SOCKET";
const METHOD: &str = "/SpiffeWorkloadAPI/FetchJWTSVID";

/// How long the agent may take to respond.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Spiffe {
    audience: Vec<String>,
    id: Option<String>,
    socket: Option<Socket>,
}

/// Where the agent listens.
#[derive(Clone, Debug, PartialEq)]
enum Socket {
    Unix(PathBuf),
    Tcp(String),
}

/// What is asked of the agent (`workload.proto`).
#[derive(Clone, PartialEq, prost::Message)]
struct JwtSvidRequest {
    #[prost(string, repeated, tag = "1")]
    audience: Vec<String>,
    #[prost(string, tag = "2")]
    spiffe_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JwtSvidResponse {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<JwtSvid>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct JwtSvid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(string, tag = "2")]
    svid: String,
}

impl JwtSvidResponse {
    /// The token of the identity, or the first one if none is named.
    fn token_of(self, id: Option<&str>) -> Option<String> {
        let mut svids = self.svids.into_iter();
        let svid = match id {
            Some(id) => svids.find(|svid| svid.spiffe_id == id),
            None => svids.next(),
        };
        svid.map(|svid| svid.svid)
    }
}

/// The token in the message that an agent answers with.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_svid(message: &[u8], id: Option<&str>) -> Option<String> {
    use prost::Message;
    JwtSvidResponse::decode(message).ok()?.token_of(id)
}

/// The socket of an address, as it is shown.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_socket(text: &str) -> Option<String> {
    Socket::parse(text).map(|socket| format!("{socket:?}"))
}

impl Spiffe {
    pub(crate) fn from_config(table: &ConfigTable) -> Self {
        platform::check(
            table,
            &[
                Field::new("audience", FieldType::Texts),
                Field::new("id", FieldType::Text),
                Field::new("socket", FieldType::Text),
            ],
        );
        let socket = table.string("socket").and_then(|text| {
            let expected = "unix:///PATH, or tcp://ADDRESS:PORT of this machine";
            table.checked("socket", Socket::parse(&text), expected, |_| true)
        });
        Self {
            audience: table.texts("audience").unwrap_or_default(),
            id: table.string("id"),
            socket,
        }
    }

    fn socket(&self) -> Result<Socket, Error> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        let text = platform::variable(SOCKET).ok_or_else(|| {
            Error::secret(format!("the environment variable {SOCKET} is not set"))
                .with_remedy("set socket, or run on a machine with a SPIFFE agent")
        })?;
        Socket::parse(&text).ok_or_else(|| {
            Error::secret(format!(
                "the environment variable {SOCKET} does not hold a usable address"
            ))
            .with_remedy("set it to unix:///PATH, or to tcp://ADDRESS:PORT of this machine")
        })
    }

    async fn fetch(&self, socket: Socket, audience: Vec<String>) -> Result<JwtSvidResponse, Error> {
        let channel = socket.connect().await?;
        let mut client = Grpc::new(channel);
        let unreachable =
            |_| Error::unreachable(format!("{NAME} can't be reached: the agent is not ready"));
        client.ready().await.map_err(unreachable)?;
        let mut request = Request::new(JwtSvidRequest {
            audience,
            spiffe_id: self.id.clone().unwrap_or_default(),
        });
        // Without it an agent must refuse: a request that a page in a browser causes has none.
        let metadata = request.metadata_mut();
        metadata.insert("workload.spiffe.io", MetadataValue::from_static("true"));
        let path = http::uri::PathAndQuery::from_static(METHOD);
        let codec: ProstCodec<JwtSvidRequest, JwtSvidResponse> = ProstCodec::default();
        let answer = client.unary(request, path, codec).await;
        Ok(answer.map_err(|status| failure(&status))?.into_inner())
    }
}

impl Socket {
    fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim()).ok()?;
        let is_bare = url.query().is_none() && url.fragment().is_none();
        match url.scheme() {
            "unix" if url.host().is_none() && is_bare && url.path().starts_with('/') => {
                let path = percent_decode_str(url.path()).decode_utf8().ok()?;
                (!path.contains(char::is_control)).then(|| Self::Unix(path.as_ref().into()))
            }
            "tcp" if is_bare && matches!(url.path(), "" | "/") => {
                let address = format!("{}:{}", url.host_str()?, url.port()?);
                let on_loopback = Url::parse(&format!("http://{address}")).ok()?;
                // A name may be anyone's.
                let is_name = on_loopback.domain().is_some();
                (is_loopback(&on_loopback) && !is_name).then_some(Self::Tcp(address))
            }
            _ => None,
        }
    }

    async fn connect(self) -> Result<Channel, Error> {
        if let Self::Unix(path) = &self
            && !path.exists()
        {
            let shown = path.display();
            let error = Error::secret(format!("the socket {shown} does not exist"));
            // An agent restarts.
            return Err(error.transient(true));
        }
        // The address is never used: the connector knows where to go.
        let endpoint = Endpoint::from_static("http://localhost");
        let connected = match self {
            #[cfg(not(unix))]
            Self::Unix(_) => {
                return Err(Error::secret("this system has no Unix sockets")
                    .with_remedy("use tcp://ADDRESS:PORT"));
            }
            #[cfg(unix)]
            Self::Unix(path) => {
                let connector = service_fn(move |_| {
                    let path = path.clone();
                    async move { UnixStream::connect(path).await.map(TokioIo::new) }
                });
                endpoint.connect_with_connector(connector).await
            }
            Self::Tcp(address) => {
                let connector = service_fn(move |_| {
                    let address = address.clone();
                    async move { TcpStream::connect(address).await.map(TokioIo::new) }
                });
                endpoint.connect_with_connector(connector).await
            }
        };
        connected.map_err(|_| Error::unreachable(format!("{NAME} can't be reached")))
    }
}

/// What a failure of the agent means.
fn failure(status: &Status) -> Error {
    let vendor = VendorError::default()
        .code(format!("{:?}", status.code()))
        .message(status.message());
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => {
            Error::secret(format!("{NAME} refused to give a token")).with_vendor(vendor)
        }
        _ => Error::unavailable(vendor).with_message(format!("{NAME} is temporarily unavailable")),
    }
}

#[async_trait]
impl Source for Spiffe {
    fn name(&self, _: usize) -> String {
        NAME.into()
    }

    fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        let parts = (&self.audience, &self.id, &self.socket);
        id.with(key, format!("{NAME} {parts:?}"))
    }

    fn assertion_type(&self) -> &'static str {
        "jwt-spiffe"
    }

    fn audience(&self) -> Option<&str> {
        self.audience.first().map(String::as_str)
    }

    fn lacks_audience(&self) -> bool {
        self.audience.is_empty()
    }

    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error> {
        let audience = match (cx.wanted.audience, cx.audience) {
            (Some(wanted), _) => vec![wanted.to_owned()],
            (None, Some(default)) if self.audience.is_empty() => vec![default.to_owned()],
            _ => self.audience.clone(),
        };
        cx.fetch.keep_refusal();
        let asked = self.fetch(self.socket()?, audience);
        let Some(answer) = cx.fetch.within(TIMEOUT, asked).await else {
            let seconds = TIMEOUT.as_secs();
            return Err(Error::unreachable(format!(
                "{NAME} does not respond within {seconds} s"
            )));
        };
        match answer?.token_of(self.id.as_deref()) {
            Some(token) => Ok(SecretString::from(token).into()),
            None => Err(no_token(NAME, "answered without an SVID of this identity")),
        }
    }
}
