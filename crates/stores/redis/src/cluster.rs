//! [`Nodes`]: the nodes of a cluster that are asked first.

use std::time::Duration;

use redis::{
    ConnectionInfo, ProtocolVersion, PushInfo, RedisResult, TlsCertificates,
    cluster::{ClusterClientBuilder, ClusterConfig},
    cluster_async::ClusterConnection,
};

use crate::connection::kept_alive;

/// The longest time that one node is waited for. It leaves time for another.
const ATTEMPT: Duration = Duration::from_millis(100);

/// The nodes of a cluster that are asked first. They name the others.
#[derive(Clone)]
pub(crate) struct Nodes {
    pub(crate) all: Vec<ConnectionInfo>,
    pub(crate) pem: Option<Vec<u8>>,
}

impl Nodes {
    /// Prepares connections to the primaries, which the first command makes. A command takes `limit` at
    /// most. Needs a runtime.
    pub(crate) fn connect(
        &self,
        limit: Duration,
        hear: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> RedisResult<ClusterConnection> {
        let mut builder = ClusterClientBuilder::new(self.all.clone())
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(ATTEMPT)
            .response_timeout(ATTEMPT)
            .overall_response_timeout(Some(limit))
            .tcp_settings(kept_alive())
            .retries(4)
            .min_retry_wait(10)
            .max_retry_wait(40)
            .push_sender(move |push: PushInfo| {
                hear(push);
                Ok::<_, std::convert::Infallible>(())
            });
        if self.pem.is_some() {
            builder = builder.certs(TlsCertificates {
                client_tls: None,
                root_cert: self.pem.clone(),
            });
        }
        let client = builder.build()?;
        Ok(client.get_pending_async_connection_with_config(ClusterConfig::new()))
    }
}
