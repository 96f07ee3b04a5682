//! [`Pilot`]: what a flight does: look in the store, ask the vendor, try again, land.

use std::{
    future::{Future as _, poll_fn},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{
    Engine,
    ask::{Answer, Ask},
    budget::Permit,
    flight::{Flight, Outcome},
    keys::Entry,
    observe,
    settings::{ATTEMPTS, LEAST_WAIT, MAX_RETRY_AFTER, quick_back_off},
    shared::{Desk, Shared, Turn, is_storable},
    state::Setback,
    traffic::Aloft,
    vet,
};
use crate::{
    Error, ErrorKind, Generation, IdentityKey, Lease, Now, Provider, ProviderId, Token,
    provider::NotedSecret, token::Companions,
};

/// Carries out one flight, in a task of its own.
pub(crate) struct Pilot {
    engine: Arc<Engine>,
    entry: Arc<Entry>,
    flight: Arc<Flight>,
    provider: Arc<dyn Provider>,
    landed: bool,
    /// Goes last, when the store was told as well.
    _aloft: Aloft,
}

/// What a flight brings.
struct Got {
    token: Token,
    from_store: bool,
    lease: Option<Lease>,
    /// What was read for it.
    secrets: Vec<NotedSecret>,
}

/// What comes of calling at the store.
enum Errand {
    /// It had a token.
    Done(Box<Got>),
    /// The vendor is to be asked, with this permit and, where the store gives one, a lease.
    Ours(Permit, Option<Lease>),
}

/// Why a flight brings nothing.
enum Lost {
    /// The vendor, or a secret, failed.
    Failed {
        setback: Setback,
        lease: Option<Lease>,
    },
    /// Something broke here; nothing is known of the vendor.
    Broken(Error),
    /// The provider panicked.
    Panicked(Error),
    /// Nobody was asked: this error was known, and stands.
    Stands(Error),
    /// Another process failed, and the fleet waits for so long.
    Shared(Error, Duration),
}

impl Pilot {
    pub(crate) fn new(
        engine: Arc<Engine>,
        entry: Arc<Entry>,
        flight: Arc<Flight>,
        provider: Arc<dyn Provider>,
    ) -> Self {
        let aloft = engine.traffic.begin();
        Self {
            _aloft: aloft,
            engine,
            entry,
            flight,
            provider,
            landed: false,
        }
    }

    /// Flies.
    pub(crate) async fn fly(mut self) {
        let engine = self.engine.clone();
        let started = engine.clock.now();
        let shared = engine.shared.clone();
        let client = self.entry.client.clone();
        let mut desk = None;

        let end = self
            .fetch_in_time(shared.as_ref(), &client.id, &mut desk, &started)
            .await;
        match end {
            Ok(Got {
                token,
                from_store,
                lease,
                secrets,
            }) => {
                let token = self.land(token, from_store, &started);
                // The token is out; the store comes after.
                let Some(desk) = &mut desk else { return };
                if from_store {
                    self.entry.key().stored = Some(desk.key().into());
                }
                let may_be_stored =
                    |token: &Arc<Token>| !from_store && is_storable(token) && desk.is_for(&secrets);
                match token.filter(may_be_stored) {
                    Some(token) => {
                        self.entry.key().stored = Some(desk.key().into());
                        desk.put(&token, lease.as_ref()).await;
                    }
                    None => {
                        if let Some(lease) = lease {
                            desk.release(&lease, None).await;
                        }
                    }
                }
            }
            Err(lost) => {
                let lease = self.lose(lost);
                if let (Some(desk), Some((lease, setback))) = (&mut desk, lease) {
                    let Setback { error, secrets, .. } = &setback;
                    // What this process lacks is no reason for the others to wait.
                    let ours = matches!(
                        error.kind(),
                        ErrorKind::Configuration | ErrorKind::Secret | ErrorKind::Internal
                    );
                    let cool_down = self.entry.key().cool_down(&engine.clock.now());
                    let failed = (!ours && engine.settings.share_failures).then_some((
                        error,
                        cool_down,
                        &secrets[..],
                    ));
                    desk.release(&lease, failed).await;
                }
            }
        }
    }

    /// Publishes a token: first for callers to come, then for those who wait. Answers with it, if
    /// it is the one that is served from now on.
    fn land(&mut self, token: Token, from_store: bool, started: &Now) -> Option<Arc<Token>> {
        let now = self.engine.clock.now();
        let token = Arc::new(token);
        {
            let mut key = self.entry.key();
            let current = self.entry.current.load_full();
            if !key.landed(&token, &now, !from_store) {
                drop(key);
                let error = Error::unusable("the token was forgotten before it arrived");
                self.lose(Lost::Broken(error.transient(true)));
                return None;
            }
            clear(&mut key.flight, &self.flight);
            if token.generation <= current.generation {
                // A flight that was believed lost: a later one was faster, and its token is newer.
                drop(key);
                self.end(Ok(current));
                return None;
            }
            self.entry.current.publish(&mut key, token.clone());
        }
        if from_store {
            self.flight.brings_from_store();
        } else {
            self.entry.client.accepted();
        }
        let took = now.mono.saturating_sub(started.mono);
        observe::fetched(
            self.entry.client.id.name(),
            &self.entry.request,
            from_store,
            took,
        );
        self.end(Ok(token.clone()));
        Some(token)
    }

    fn end(&mut self, outcome: Outcome) {
        self.landed = true;
        self.flight.land(outcome);
    }

    /// Notes a failure and tells those who wait. Answers with what the fleet has to be told.
    fn lose(&mut self, lost: Lost) -> Option<(Lease, Setback)> {
        let now = self.engine.clock.now();
        let client = &self.entry.client;
        let mut owed = None;
        let is_news = !matches!(lost, Lost::Stands(_));
        let error = {
            let mut key = self.entry.key();
            let error = match lost {
                Lost::Failed { mut setback, lease } => {
                    setback.error = setback.error.with_provider(client.id.shared_name());
                    key.failed(&setback, &self.entry.current.load(), &now);
                    let error = setback.error.clone();
                    owed = lease.map(|lease| (lease, setback));
                    error
                }
                Lost::Panicked(error) => {
                    let error = error.with_provider(client.id.shared_name());
                    key.panicked(&error, &self.entry.current.load(), &now);
                    error
                }
                Lost::Shared(error, left) => {
                    let error = error.with_provider(client.id.shared_name());
                    key.wait_out(error.clone(), left, &now);
                    error
                }
                Lost::Broken(error) | Lost::Stands(error) => {
                    error.with_provider(client.id.shared_name())
                }
            };
            clear(&mut key.flight, &self.flight);
            error
        };
        if is_news {
            let serving = self.entry.current.load().schedule.unusable.is_ahead(&now);
            observe::failed(client.id.name(), &self.entry.request, &error, serving);
        }
        self.end(Err(error));
        owed
    }

    /// Fetches within the time for that, and shows meanwhile that somebody drives it.
    async fn fetch_in_time<'s>(
        &self,
        shared: Option<&'s Shared>,
        id: &'s ProviderId,
        desk: &mut Option<Desk<'s>>,
        started: &Now,
    ) -> Result<Got, Lost> {
        let Engine {
            clock, settings, ..
        } = &*self.engine;
        let mut fetch = std::pin::pin!(self.fetch(shared, id, desk));
        let mut left = settings.flight_limit;
        while !left.is_zero() {
            tokio::select! {
                biased;
                end = &mut fetch => return end,
                () = clock.sleep(left.min(settings.beat)) => {}
            }
            let now = clock.now();
            self.flight.beat(&now);
            if self.flight.is_in_line() {
                self.entry.client.endpoint.pass_over_lost(&now);
            }
            let passed = now.mono.saturating_sub(started.mono);
            left = settings.flight_limit.saturating_sub(passed);
        }
        let why = if self.flight.is_in_line() {
            ": the queue of requests to its token endpoint is too long"
        } else {
            ""
        };
        let limit = settings.flight_limit.as_secs();
        let error = Error::unreachable(format!("no token after {limit} s{why}"));
        Err(Lost::Failed {
            setback: error.into(),
            lease: None,
        })
    }

    /// Up to three attempts while somebody waits without a token; one otherwise.
    async fn fetch<'s>(
        &self,
        shared: Option<&'s Shared>,
        id: &'s ProviderId,
        desk: &mut Option<Desk<'s>>,
    ) -> Result<Got, Lost> {
        let clock = &*self.engine.clock;
        if let Some((secrets, refusal)) = self.flight.secrets_to_look_at() {
            if !self.any_changed(&secrets).await {
                return Err(Lost::Stands(refusal));
            }
            self.flight.looked();
        }
        if let Some(shared) = shared {
            *desk = Box::pin(shared.desk(id, &self.entry.request)).await;
        }
        let mut attempt = 1;
        loop {
            let lost = match self.attempt(desk).await {
                Ok(got) => return Ok(got),
                Err(lost) => lost,
            };
            let (error, lease) = match &lost {
                Lost::Failed { setback, lease } if setback.error.is_transient() => {
                    (&setback.error, *lease)
                }
                _ => return Err(lost),
            };
            let now = clock.now();
            let wait = quick_back_off(attempt).max(asked_to_wait(error));
            let in_time = self.flight.age(&now) + wait < self.engine.settings.max_wait;
            if attempt == ATTEMPTS || !self.flight.is_urgent() || !in_time {
                return Err(lost);
            }
            if let (Some(desk), Some(lease)) = (desk.as_mut(), lease) {
                let failed = self.engine.settings.share_failures;
                desk.release(&lease, failed.then_some((error, wait, &[])))
                    .await;
            }
            clock.sleep(wait).await;
            attempt += 1;
        }
    }

    /// One attempt: the store, the permit, the lease, the vendor.
    ///
    /// What has to do with a store is boxed: most flights have none, and should not have to carry
    /// the room for it.
    async fn attempt(&self, desk: &mut Option<Desk<'_>>) -> Result<Got, Lost> {
        let (permit, lease) = loop {
            let (permit, lease) = match desk {
                None => (self.permit().await?, None),
                Some(desk) => match Box::pin(self.call_at(desk)).await? {
                    Errand::Done(got) => return Ok(*got),
                    Errand::Ours(permit, lease) => (permit, lease),
                },
            };
            if permit.is_still_held() {
                break (permit, lease);
            }
            // Nobody drove this flight for a while, and the permit went to another.
            if let (Some(desk), Some(lease)) = (desk.as_mut(), lease) {
                Box::pin(desk.release(&lease, None)).await;
            }
        };
        let generation = self.generation(lease.as_ref());
        let answer = match desk {
            None => self.ask(None).await,
            Some(desk) => {
                let identity = desk.identity().cloned();
                Box::pin(desk.holding(lease, self.ask(identity.as_ref()))).await
            }
        };
        if let Err(setback) = &answer {
            self.heed(setback);
        }
        // Not sooner: whoever gets it next is to know what this one heard.
        drop(permit);
        match answer {
            Ok(Answer::Token(token, sent, companions, secrets)) => {
                let mut token = *token;
                token.generation = generation;
                self.prepare(&mut token, &sent, companions);
                if !token.schedule.unusable.is_ahead(&self.engine.clock.now()) {
                    let error = Error::unusable("the token had expired before it arrived");
                    let setback = error.transient(true).into();
                    return Err(Lost::Failed { setback, lease });
                }
                Ok(Got {
                    token,
                    from_store: false,
                    lease,
                    secrets,
                })
            }
            Ok(_) => Err(Lost::Broken(Error::internal(
                "a fetch ended without a token",
            ))),
            Err(setback) => Err(Lost::Failed { setback, lease }),
        }
    }

    async fn ask(&self, identity: Option<&IdentityKey>) -> Result<Answer, Setback> {
        let ask = Ask::Token(&self.entry.request, identity);
        self.engine.ask(&self.provider, &self.entry, ask).await
    }

    /// Calls at the store until it has a token, or it is this flight's turn to ask the vendor.
    async fn call_at(&self, desk: &mut Desk<'_>) -> Result<Errand, Lost> {
        self.tell_store(desk).await;
        loop {
            if let Some(got) = self.look(desk).await {
                return Ok(Errand::Done(got.into()));
            }
            let permit = self.permit().await?;
            match desk.claim().await {
                Turn::Ours(None) => return Ok(Errand::Ours(permit, None)),
                Turn::Ours(Some(lease)) => {
                    // Whoever had it before may have brought a token.
                    if let Some(got) = self.look(desk).await {
                        desk.release(&lease, None).await;
                        return Ok(Errand::Done(got.into()));
                    }
                    return Ok(Errand::Ours(permit, Some(lease)));
                }
                Turn::Theirs(left) => {
                    drop(permit);
                    let known = self.known();
                    desk.wait(known, left).await;
                }
                Turn::Failed(..) if !self.engine.settings.share_failures => {
                    return Ok(Errand::Ours(permit, None));
                }
                Turn::Failed(error, left) => {
                    drop(permit);
                    let now = self.engine.clock.now();
                    let soon = left <= Duration::from_secs(1)
                        && self.flight.age(&now) + left < self.engine.settings.max_wait;
                    if !self.flight.is_urgent() || !soon {
                        return Err(Lost::Shared(error, left));
                    }
                    self.engine.clock.sleep(left.max(LEAST_WAIT)).await;
                }
            }
        }
    }

    /// Notes what an answer means for the other keys of the client and of the endpoint.
    fn heed(&self, setback: &Setback) {
        let Setback { error, secrets, .. } = setback;
        let client = &self.entry.client;
        let now = self.engine.clock.now();
        let wait = asked_to_wait(error);
        if error.kind() == ErrorKind::Failing && error.is_transient() && !wait.is_zero() {
            client.endpoint.leave_alone(wait, error, &now);
        }
        if error.refuses_client() {
            let error = error.clone().with_provider(client.id.shared_name());
            client.refused(&error, secrets, &now);
        }
    }

    /// The right to send one request, when the vendor may be asked.
    async fn permit(&self) -> Result<Permit, Lost> {
        let clock = &*self.engine.clock;
        let endpoint = &self.entry.client.endpoint;
        loop {
            self.flight.stand_in_line(true);
            let permit = endpoint.permit(&self.flight, clock).await;
            self.flight.stand_in_line(false);
            let now = clock.now();
            // Others of this client took off as well, and heard no already.
            if self.entry.client.refusals() != self.flight.refusals
                && let Some((error, _)) = self.entry.client.last_error(&now)
            {
                return Err(Lost::Stands(error));
            }
            let Some((error, left)) = endpoint.hold(&now) else {
                return Ok(permit);
            };
            drop(permit);
            let in_time = self.flight.age(&now) + left < self.engine.settings.max_wait;
            if !self.flight.is_urgent() || !in_time {
                return Err(Lost::Stands(error));
            }
            clock.sleep(left).await;
        }
    }

    /// A token from the store that this flight can do with.
    async fn look(&self, desk: &mut Desk<'_>) -> Option<Got> {
        let mut token = desk.look().await?;
        let now = self.engine.clock.now();
        let news = token.generation > self.known() && !self.flight.is_anew();
        if !news {
            return None;
        }
        let mut cx = self.engine.context(0, None);
        let request = &self.entry.request;
        if let Err(why) = vet::check_stored(&token, &*self.provider, request, &cx).await {
            desk.ignored(&why);
            return None;
        }
        let companions = cx.companions(&*self.provider).await.ok()?;
        self.prepare(&mut token, &now, companions);
        let schedule = &token.schedule;
        let fit = if self.flight.is_urgent() {
            schedule.unusable
        } else {
            schedule.refresh
        };
        let enough = fit.is_ahead(&now) && token.lasts(self.flight.min_ttl(), &now);
        enough.then_some(Got {
            token,
            from_store: true,
            lease: None,
            secrets: Vec::new(),
        })
    }

    /// The newest generation that is no news.
    fn known(&self) -> Generation {
        self.entry
            .key()
            .forgotten()
            .max(self.entry.current.load().generation)
    }

    /// The generation of the token to be fetched.
    fn generation(&self, lease: Option<&Lease>) -> Generation {
        let newest = self.entry.key().newest;
        match lease {
            // The store's clock numbers the fleet's tokens; ours may be ahead of it.
            Some(lease) => lease.generation.max(Generation(newest.0.saturating_add(1))),
            None => newest.next(self.engine.clock.now().wall),
        }
    }

    fn prepare(&self, token: &mut Token, seen: &Now, companions: Companions) {
        token.set_companions(companions);
        self.engine.schedule(token, seen);
    }

    /// What was rejected must not come back from the store.
    async fn tell_store(&self, desk: &mut Desk<'_>) {
        let (through, stored) = {
            let key = self.entry.key();
            (key.untold(), key.stored.as_deref().copied())
        };
        // Owed until it is done: a flight may end at any await.
        if let Some(through) = through
            && desk.forget(stored, through).await
        {
            self.entry.key().told(through);
        }
    }

    /// Whether one of these secrets is another than when it was refused. They are read side by side,
    /// since each may take its time; commands come last, and only if they are needed.
    async fn any_changed(&self, secrets: &[NotedSecret]) -> bool {
        for commands in [false, true] {
            let secrets = secrets.iter();
            let mut looks: Vec<_> = secrets
                .filter(|noted| noted.secret.runs_command() == commands)
                .map(|noted| Box::pin(self.has_changed(noted)))
                .collect();
            let any = poll_fn(|cx| {
                let mut any = false;
                looks.retain_mut(|look| match look.as_mut().poll(cx) {
                    Poll::Ready(changed) => {
                        any |= changed;
                        false
                    }
                    Poll::Pending => true,
                });
                match any || looks.is_empty() {
                    true => Poll::Ready(any),
                    false => Poll::Pending,
                }
            });
            if any.await {
                return true;
            }
        }
        false
    }

    async fn has_changed(&self, noted: &NotedSecret) -> bool {
        let clock = &*self.engine.clock;
        let resolved = noted.secret.resolve(noted.candidate, clock).await;
        resolved.is_ok_and(|secret| self.engine.fingerprints.of(&secret) != noted.fingerprint)
    }
}

/// However a flight ends (a panic in the provider, a runtime that shuts down), nobody waits for it
/// in vain, and the next caller starts anew.
impl Drop for Pilot {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        self.lose(if std::thread::panicking() {
            let error = Error::internal("the provider panicked");
            Lost::Panicked(error.with_remedy("this is a bug in the provider"))
        } else {
            let error = Error::internal("the fetch was interrupted: its runtime ended");
            Lost::Broken(error.transient(true))
        });
    }
}

fn asked_to_wait(error: &Error) -> Duration {
    error.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER)
}

fn clear(slot: &mut Option<Arc<Flight>>, flight: &Arc<Flight>) {
    slot.take_if(|current| Arc::ptr_eq(current, flight));
}
