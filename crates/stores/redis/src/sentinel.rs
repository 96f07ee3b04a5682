//! [`Sentinel`]: how sentinels are asked. [`Sentinels`]: where they are, and which server they name.

use std::{sync::Arc, time::Duration};

use biped_core::{Clock, ExposeSecret, SecretString};
use redis::{
    Client, ConnectionInfo, ErrorKind, ProtocolVersion, RedisError, RedisResult, TlsCertificates,
    TlsMode,
    sentinel::{SentinelClientBuilder, SentinelServerType},
};
use tokio::task::JoinSet;

use crate::{
    connection::kept_alive,
    link::{Current, Link},
};

/// The longest time that the primary is looked for, and connected to.
const CONNECTING: Duration = Duration::from_secs(1);

/// The name by which sentinels know a primary, and the credentials that they want.
///
/// ```
/// use biped_redis::Sentinel;
///
/// let sentinel = Sentinel::new("mymaster").password("for-sentinels".to_owned());
/// ```
#[derive(Clone, Debug)]
pub struct Sentinel {
    primary: String,
    user: Option<String>,
    password: Option<SecretString>,
}

impl Sentinel {
    /// Sentinels that know the primary by this name.
    #[must_use]
    pub fn new(primary: impl Into<String>) -> Self {
        Self {
            primary: primary.into(),
            user: None,
            password: None,
        }
    }

    /// Sets the user of the sentinels. Default: that of the URLs.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the password of the sentinels. Default: that of the URLs, or none if they want none.
    #[must_use]
    pub fn password(mut self, password: impl Into<SecretString>) -> Self {
        self.password = Some(password.into());
        self
    }
}

/// Where the sentinels are, and what they are asked.
#[derive(Clone)]
pub(crate) struct Sentinels {
    pub(crate) all: Vec<ConnectionInfo>,
    pub(crate) is_tls: bool,
    pub(crate) pem: Option<Vec<u8>>,
    pub(crate) settings: Sentinel,
}

impl Sentinels {
    /// A connection to the primary. It is made in a task of its own, which goes on after the caller has no
    /// time left, so that a later operation finds it. One task at a time asks.
    pub(crate) async fn link(
        &self,
        current: Arc<Current>,
        clock: Arc<dyn Clock>,
    ) -> RedisResult<Arc<Link>> {
        let turn = current.asking.clone().lock_owned().await;
        if let Some(link) = current.known() {
            return Ok(link);
        }
        let sentinels = self.clone();
        let connecting = tokio::spawn(async move {
            let _turn = turn;
            let connecting = async {
                let link = Link::new(sentinels.primary().await?, CONNECTING)?;
                link.reach().await?;
                Ok(current.keep(link))
            };
            tokio::select! {
                biased;
                done = connecting => done,
                () = clock.sleep(CONNECTING) => Err(silent()),
            }
        });
        connecting.await.unwrap_or_else(|_| Err(silent()))
    }

    /// The primary, as the first sentinel that answers knows it. The server was asked whether it is one.
    pub(crate) async fn primary(&self) -> RedisResult<Client> {
        let mut asked = JoinSet::new();
        for sentinel in &self.all {
            let (this, sentinel) = (self.clone(), sentinel.clone());
            asked.spawn(async move { this.ask(&sentinel).await });
        }
        let mut error = silent();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(why)) => error = why,
                Err(_) => {}
            }
        }
        Err(error)
    }

    async fn ask(&self, sentinel: &ConnectionInfo) -> RedisResult<Client> {
        let own = self.settings.password.is_some() || self.settings.user.is_some();
        let answer = self.ask_as(sentinel, true).await;
        let has_password = sentinel.redis_settings().password().is_some();
        match answer {
            // Sentinels often want no password where the servers do. Those that want one have told what is
            // wrong with it.
            Err(why) if !own && has_password => {
                let again = self.ask_as(sentinel, false).await;
                again.map_err(|error| match error.code() {
                    Some("NOAUTH") => why,
                    _ => error,
                })
            }
            answer => answer,
        }
    }

    async fn ask_as(&self, sentinel: &ConnectionInfo, with_password: bool) -> RedisResult<Client> {
        let given = sentinel.redis_settings();
        let mut builder = SentinelClientBuilder::new(
            [sentinel.addr().clone()],
            &self.settings.primary,
            SentinelServerType::Master,
        )?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_db(given.db());
        if let Some(user) = given.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = given.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if with_password {
            if let Some(user) = self.settings.user.as_deref().or(given.username()) {
                builder = builder.set_client_to_sentinel_username(user);
            }
            let own = self.settings.password.as_ref();
            let own = own.map(ExposeSecret::expose_secret);
            if let Some(password) = own.or(given.password()) {
                builder = builder.set_client_to_sentinel_password(password);
            }
        }
        if self.is_tls {
            let certificates = || TlsCertificates {
                client_tls: None,
                root_cert: self.pem.clone(),
            };
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(certificates())
                .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_certificates(certificates());
        }
        let found = builder.build()?.async_get_client().await?;
        let info = found.get_connection_info().clone();
        // A user's ACL may forbid CLIENT SETINFO.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let info = info.set_tcp_settings(kept_alive());
        Client::open(info.set_redis_settings(settings))
    }
}

fn silent() -> RedisError {
    RedisError::from((ErrorKind::Io, "no sentinel answers"))
}
