//! A vendor that gives out `token-1`, `token-2` and so on, without a wire.

use std::{
    fmt,
    future::{Future, pending, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use biped_core::{
    ApiRequest, ApiResponse, AttachContext, Clock, Error, ExposeSecret, FetchContext, IdentityRef,
    Now, PEEK_TIME, Provider, ProviderId, SystemClock, Token, TokenManager, TokenRequest,
    TokenSource, Verdict, async_trait, judge_by_status,
};
use biped_reqwest::{ApiClient, ApiClients, HttpSettings, TokenClient};
use url::Url;

#[derive(Debug)]
pub(crate) struct Vendor {
    pub(crate) id: ProviderId,
    pub(crate) given: AtomicU32,
    pub(crate) carries: Carries,
    pub(crate) signs_url: bool,
    pub(crate) judges_bodies: bool,
    pub(crate) refuses: bool,
    pub(crate) identity: Option<IdentityRef>,
}

/// How a token travels.
#[derive(Debug, PartialEq)]
pub(crate) enum Carries {
    Authorization,
    Header,
    Query,
}

impl Vendor {
    pub(crate) fn new() -> Self {
        Self {
            id: ProviderId::new("test", "https://login.vendor.example", "client"),
            given: AtomicU32::new(0),
            carries: Carries::Authorization,
            signs_url: false,
            judges_bodies: false,
            refuses: false,
            identity: None,
        }
    }

    pub(crate) fn source(self, base: &str) -> TokenSource {
        self.source_by(TestClock::new(Peeks::Last), base)
    }

    pub(crate) fn source_by(self, clock: TestClock, base: &str) -> TokenSource {
        let http = Arc::new(TokenClient::new().unwrap());
        TokenManager::builder(http)
            .clock(Arc::new(clock))
            .build()
            .source(Arc::new(self), TokenRequest::new())
            .with_api_base_url(Some(Url::parse(base).unwrap()))
    }

    pub(crate) fn client(self, base: &str) -> ApiClient {
        self.client_with(HttpSettings::new(), base)
    }

    pub(crate) fn client_with(self, settings: HttpSettings, base: &str) -> ApiClient {
        ApiClients::with(settings)
            .unwrap()
            .client(self.source(base))
    }
}

#[async_trait]
impl Provider for Vendor {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        if self.refuses {
            return Err(Error::refused(biped_core::VendorError::new(401)));
        }
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        Token::new(format!("token-{number}"), cx.now()).build()
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        _: &AttachContext<'_>,
    ) -> Result<(), Error> {
        match self.carries {
            Carries::Authorization => {
                request
                    .headers_mut()
                    .insert("authorization", token.header().clone());
            }
            Carries::Header => {
                request
                    .headers_mut()
                    .insert("x-token", token.header().clone());
            }
            Carries::Query => request.set_query("token", token.expose_secret())?,
        }
        Ok(())
    }

    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        match response.body() {
            Some(b"{\"error\":\"expired\"}") => Verdict::Rejected,
            Some(_) => Verdict::Accepted,
            None if self.judges_bodies => Verdict::NeedsBody { limit: 1024 },
            None => judge_by_status(response),
        }
    }

    fn signs_url(&self) -> bool {
        self.signs_url
    }

    fn client_identity(&self) -> Option<&IdentityRef> {
        self.identity.as_ref()
    }
}

/// Time that passes so much faster, since a new token is a second away from the one before it.
const SPEED: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct TestClock {
    start: Now,
    peeks: Peeks,
}

/// How long a body may be read ahead.
pub(crate) enum Peeks {
    /// Until it ends.
    Last,
    /// No longer than what is there already.
    Pass,
}

impl TestClock {
    pub(crate) fn new(peeks: Peeks) -> Self {
        Self {
            start: SystemClock.now(),
            peeks,
        }
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let passed = (SystemClock.now().mono - self.start.mono) * SPEED;
        Now {
            mono: self.start.mono + passed,
            wall: self.start.wall.after(passed),
        }
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self.peeks {
            Peeks::Last if duration == PEEK_TIME => Box::pin(pending()),
            Peeks::Pass if duration == PEEK_TIME => Box::pin(ready(())),
            // The next token is a second away; what is longer is a deadline.
            _ if duration <= SECOND => SystemClock.sleep(duration / SPEED),
            _ => SystemClock.sleep(duration),
        }
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestClock")
    }
}
