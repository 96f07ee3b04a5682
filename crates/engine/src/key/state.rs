//! [`KeyState`]: what is known of a key, and what its callers get: the state machine of the engine.
//!
//! Everything in this file is synchronous and takes the time as an argument. [`KeyState::decide`]
//! says what a caller gets; [`KeyState::succeeded`], [`KeyState::failed`], [`KeyState::reject`] and
//! [`KeyState::forget`] are the events. Nothing here waits, spawns, or calls a provider. What follows
//! from a failure is decided in `failure.rs`.
//!
//! ```text
//!            fetched                refresh point          margin before expiry
//!  (none) ───────────▶ fresh ──────────────────▶ usable ──────────────────────▶ (none)
//!     ▲                  │                          │  a flight runs; all get the token
//!     └──── rejected ────┴──────────────────────────┘
//! ```
//!
//! Without a usable token a caller joins the one flight, or starts it, or, until the key may ask
//! again, gets the error that the last flight ended with.

use std::{sync::Arc, time::Duration};

use biped_core::{Error, Generation, Now, TokenKey};

use crate::{
    failure::{FlightFailure, KeyConsequence, KeySituation},
    flight::{Flight, demand::Demand},
    key::{
        cached::CachedToken,
        refusal::{Permission, Refusal},
        schedule::nanos,
    },
    settings::{REJECTED_AT_ONCE, REJECTION_COOL_DOWN, REST, TOMBSTONE},
};

/// What is known of a key beside its token.
#[derive(Default)]
pub(crate) struct KeyState {
    /// The fetch in progress.
    pub(crate) flight: Option<Arc<Flight>>,
    /// No fetch before this moment, in nanoseconds: the least time between two of them.
    rest_until: u64,
    /// The newest generation of this key: of a token, or of one that is being fetched.
    pub(crate) newest: Generation,
    /// What most keys have none of.
    setbacks: Option<Box<Setbacks>>,
    /// The name under which the store has the token that is served, if it has it.
    pub(crate) stored: Option<Box<TokenKey>>,
}

/// What went wrong with a key.
#[derive(Default)]
struct Setbacks {
    backoff: Backoff,
    /// The vendor refused this request.
    refusal: Option<Box<Refusal>>,
    forgotten: Forgotten,
    rejections: Rejections,
    /// The token that was fetched for a caller whom it does not last long enough, and how long it
    /// lasted then: the vendor gives none that lasts longer.
    longest: Option<(Generation, Duration)>,
    /// While a token serves, no fetch before this moment: the store could not be asked.
    put_off: Duration,
}

#[derive(Default)]
struct Backoff {
    /// Failed flights in a row.
    failures: u32,
    /// The last failure, and the moment before which the vendor is not asked again.
    last: Option<(Error, Duration)>,
}

/// What is known of a key's tokens beside the one that is served: what another manager takes over.
pub(crate) struct Past {
    newest: Generation,
    forgotten: Forgotten,
    stored: Option<Box<TokenKey>>,
}

/// Tokens that must not come back.
#[derive(Clone, Copy, Default)]
struct Forgotten {
    /// They are the tokens up to this one.
    through: Generation,
    /// The store has not been told; from this moment on there is no need to.
    untold: Option<Duration>,
}

/// What APIs rejected.
#[derive(Default)]
struct Rejections {
    /// How many there were.
    count: u32,
    /// The next token replaces a rejected one.
    replacing: bool,
    /// The token that replaced a rejected one, and when it came.
    replacement: Option<(Generation, Duration)>,
    /// Rejections cause nothing before this moment.
    cool_until: Duration,
    last_resort: Option<LastResort>,
}

/// The token that was rejected. It may be good for other calls than the one that rejected it, so it
/// serves again while no replacement can be fetched.
struct LastResort {
    /// Under a new generation, so that late rejections of the first wave don't mean it.
    token: Arc<CachedToken>,
    /// Fetching a replacement failed.
    serves: bool,
}

/// What a caller gets.
pub(crate) enum Decision {
    /// This token. `stale` if it is past its refresh point.
    Serve {
        token: Arc<CachedToken>,
        stale: bool,
    },
    /// A flight that the caller has to start, and the token that serves meanwhile.
    Start {
        flight: Arc<Flight>,
        meanwhile: Option<Arc<CachedToken>>,
    },
    /// The flight of another caller.
    Join(Arc<Flight>),
    /// Nothing before this moment; ask again then.
    WaitUntil(Duration),
    /// This error.
    Fail(Error),
}

impl KeyState {
    /// What a caller gets. `permission` is asked only where a flight would start.
    pub(crate) fn decide(
        &mut self,
        current: Option<&Arc<CachedToken>>,
        demand: Demand,
        now: &Now,
        permission: impl FnOnce() -> Permission,
    ) -> Decision {
        let last_resort = self.last_resort(demand, now);
        let current = current.or(last_resort.as_ref());
        let usable = current.filter(|token| token.schedule.unusable.is_ahead(now));
        let enough =
            usable.filter(|token| demand.is_met_by(token, now) || self.is_longest(token, demand));
        let serve = |token: &Arc<CachedToken>| Decision::Serve {
            token: token.clone(),
            stale: true,
        };

        if let Some(token) = enough.filter(|token| token.schedule.refresh.is_ahead(now)) {
            return Decision::Serve {
                token: token.clone(),
                stale: false,
            };
        }
        if !demand.runtime {
            // No runtime to fetch on, and none to wait with.
            return enough.map_or_else(|| Decision::Fail(no_runtime()), serve);
        }
        if let Some(flight) = self.flight.as_ref().filter(|flight| !flight.is_lost(now)) {
            return match (enough, flight.recheck()) {
                (Some(token), _) => serve(token),
                (None, Some(recheck)) => Decision::Fail(recheck.refusal),
                (None, None) => {
                    flight.require(demand);
                    Decision::Join(flight.clone())
                }
            };
        }
        if let Some(token) = enough.filter(|_| self.is_put_off(now)) {
            return serve(token);
        }
        if self.is_resting(now) {
            // A token that was just fetched is good enough, whatever its life.
            let until = Duration::from_nanos(self.rest_until);
            return usable.map_or(Decision::WaitUntil(until), serve);
        }
        let permission = match self.blocked_by(now) {
            Some(error) => Permission::Denied(error),
            // The key's own probe is claimed last, so that none is claimed for a flight that never
            // starts.
            None => permission().and_then(|| self.claim_probe(now)),
        };
        let recheck = match permission {
            Permission::Granted => None,
            Permission::AfterRecheck(recheck) => Some(recheck),
            Permission::Denied(error) => {
                self.return_last_resort(error.is_transient());
                let last_resort = self.last_resort(demand, now);
                let enough = enough.or(last_resort.as_ref());
                return enough.map_or(Decision::Fail(error), serve);
            }
        };
        let flight = Arc::new(Flight::new(now, enough.is_none(), demand, recheck));
        self.flight = Some(flight.clone());
        Decision::Start {
            flight,
            meanwhile: enough.cloned(),
        }
    }

    /// Whether the last fetch was just now.
    fn is_resting(&self, now: &Now) -> bool {
        nanos(now.mono) < self.rest_until
    }

    /// Whether a token that serves is not renewed yet.
    fn is_put_off(&self, now: &Now) -> bool {
        let setbacks = self.setbacks.as_ref();
        setbacks.is_some_and(|setbacks| now.mono < setbacks.put_off)
    }

    /// The error that keeps this very key from asking.
    fn blocked_by(&self, now: &Now) -> Option<Error> {
        let setbacks = self.setbacks.as_ref()?;
        if let Some((error, not_before)) = &setbacks.backoff.last
            && now.mono < *not_before
        {
            let wait = *not_before - now.mono;
            return Some(error.clone().with_next_attempt(Some(wait)));
        }
        setbacks.refusal.as_ref()?.blocked_by(now)
    }

    /// The right to ask although the vendor refused this very request, where it did.
    fn claim_probe(&mut self, now: &Now) -> Permission {
        let refusal = self.setbacks.as_mut().and_then(|it| it.refusal.as_mut());
        refusal.map_or(Permission::Granted, |refusal| refusal.permission(now))
    }

    /// The rejected token that serves again, if it does and will do for this caller.
    pub(crate) fn last_resort(&self, demand: Demand, now: &Now) -> Option<Arc<CachedToken>> {
        let LastResort { token, serves } =
            self.setbacks.as_ref()?.rejections.last_resort.as_ref()?;
        let is_usable = *serves && token.schedule.unusable.is_ahead(now);
        (is_usable && !demand.no_last_resort && demand.is_met_by(token, now)).then(|| token.clone())
    }

    /// Lets the rejected token serve again, or drops it.
    pub(crate) fn return_last_resort(&mut self, returns: bool) {
        let rejections = self.setbacks.as_mut().map(|it| &mut it.rejections);
        let last_resort = rejections.and_then(|rejections| {
            rejections.last_resort.take_if(|_| !returns);
            rejections.last_resort.as_mut()
        });
        if let Some(last_resort) = last_resort {
            last_resort.serves = true;
        }
    }

    pub(crate) fn has_last_resort(&self) -> bool {
        let setbacks = self.setbacks.as_ref();
        setbacks.is_some_and(|setbacks| setbacks.rejections.last_resort.is_some())
    }

    /// Whether the vendor gives no token that lasts longer, as this caller wants one.
    fn is_longest(&self, token: &CachedToken, demand: Demand) -> bool {
        let longest = self.setbacks.as_ref().and_then(|it| it.longest);
        !demand.must_ask_vendor
            && longest.is_some_and(|(generation, lasted)| {
                generation == token.generation() && demand.min_ttl > lasted
            })
    }

    /// A flight brought a token; `fetched` is the life that its callers wanted of it, if it comes from
    /// the vendor. Returns whether the token may be used: it may not if it was forgotten while it was
    /// being fetched.
    pub(crate) fn succeeded(
        &mut self,
        token: &CachedToken,
        now: &Now,
        fetched: Option<Duration>,
    ) -> bool {
        if token.generation() <= self.forgotten() {
            return false;
        }
        self.newest = self.newest.max(token.generation());
        if fetched.is_some() {
            let rest = token.lifetime().map_or(REST, |life| (life / 2).min(REST));
            self.rest_until = nanos(now.mono.saturating_add(rest));
        }
        if let Some(setbacks) = &mut self.setbacks {
            setbacks.backoff = Backoff::default();
            setbacks.refusal = None;
            setbacks.longest = None;
            setbacks.put_off = Duration::ZERO;
            setbacks.rejections.last_resort = None;
            if std::mem::take(&mut setbacks.rejections.replacing) {
                setbacks.rejections.replacement = Some((token.generation(), now.mono));
            }
        }
        let left = token.left(now);
        if let Some((left, _)) = left.zip(fetched).filter(|(left, wanted)| left < wanted) {
            let setbacks = self.setbacks.get_or_insert_default();
            setbacks.longest = Some((token.generation(), left));
        }
        true
    }

    /// A flight failed. `current` is the token that goes on serving. Returns how long this key
    /// doesn't ask because of that, if it has to wait.
    pub(crate) fn failed(
        &mut self,
        failure: &FlightFailure,
        current: Option<&CachedToken>,
        now: &Now,
    ) -> Option<Duration> {
        if let Some(returns) = failure.returns_last_resort() {
            self.return_last_resort(returns);
        }
        let situation = KeySituation {
            failures: self.setbacks.as_ref().map_or(0, |it| it.backoff.failures),
            serving: current.is_some_and(|token| token.schedule.unusable.is_ahead(now)),
            next_try: current.map_or(Duration::MAX, |token| token.schedule.next_try(now)),
        };
        let consequence = failure.for_key(&situation);
        if let KeyConsequence::None = consequence {
            return None;
        }
        let setbacks = self.setbacks.get_or_insert_default();
        if let KeyConsequence::PutOff { wait } = consequence {
            setbacks.put_off = now.mono.saturating_add(wait);
            return None;
        }
        setbacks.backoff.last = None;
        match (consequence, failure) {
            (KeyConsequence::Wait { wait, counts }, _) => {
                let failures = setbacks.backoff.failures;
                setbacks.backoff = Backoff {
                    failures: failures.saturating_add(u32::from(counts)),
                    last: Some((failure.error().clone(), now.mono.saturating_add(wait))),
                };
                Some(wait)
            }
            (KeyConsequence::RequestRefused, FlightFailure::Fetch(failure)) => {
                Refusal::renew(&mut setbacks.refusal, &failure.error, failure, now);
                let refusal = setbacks.refusal.as_ref();
                refusal.map(|refusal| refusal.probe_at.saturating_sub(now.mono))
            }
            _ => None,
        }
    }

    /// An API rejected `token`.
    pub(crate) fn reject(
        &mut self,
        token: &CachedToken,
        current: Option<&CachedToken>,
        now: &Now,
    ) -> Rejection {
        let is_last_resort = |it: &mut LastResort| it.token.generation() == token.generation();
        let rejections = &mut self.setbacks.get_or_insert_default().rejections;
        rejections.count = rejections.count.wrapping_add(1);
        if rejections.last_resort.take_if(is_last_resort).is_some() {
            return Rejection::Renewing;
        }
        let Some(current) = current.filter(|it| it.generation() == token.generation()) else {
            return Rejection::Superseded;
        };
        let rejections = &mut self.setbacks.get_or_insert_default().rejections;
        if now.mono < rejections.cool_until {
            return Rejection::CoolingDown;
        }
        let life = token.lifetime().unwrap_or(Duration::MAX);
        let at_once = |(generation, came): (Generation, Duration)| {
            let age = now.mono.saturating_sub(came);
            generation == token.generation() && age < REJECTED_AT_ONCE.min(life / 4)
        };
        if rejections.replacement.is_some_and(at_once) {
            rejections.cool_until = now.mono.saturating_add(REJECTION_COOL_DOWN.min(life));
            return Rejection::CoolingDown;
        }
        rejections.replacing = true;
        self.forget(token.generation(), now);
        let mark = self.newest.next(now.wall);
        self.newest = mark;
        self.setbacks.get_or_insert_default().rejections.last_resort = Some(LastResort {
            token: Arc::new(current.returned(mark)),
            serves: false,
        });
        Rejection::Renewing
    }

    /// How many tokens an API rejected.
    pub(crate) fn rejections(&self) -> u32 {
        let setbacks = self.setbacks.as_ref();
        setbacks.map_or(0, |setbacks| setbacks.rejections.count)
    }

    /// Tokens up to this one must not come back: not from the store, not from a flight, and not as the
    /// last resort.
    pub(crate) fn forget(&mut self, through: Generation, now: &Now) {
        let setbacks = self.setbacks.get_or_insert_default();
        setbacks.rejections.last_resort = None;
        let forgotten = &mut setbacks.forgotten;
        forgotten.through = forgotten.through.max(through);
        forgotten.untold = Some(now.mono.saturating_add(TOMBSTONE));
        self.newest = self.newest.max(through);
    }

    /// Tokens up to this one must not come back.
    pub(crate) fn forgotten(&self) -> Generation {
        self.setbacks
            .as_ref()
            .map_or(Generation(0), |setbacks| setbacks.forgotten.through)
    }

    /// What the store has to be told to forget.
    pub(crate) fn untold(&self) -> Option<Generation> {
        let forgotten = &self.setbacks.as_ref()?.forgotten;
        forgotten.untold.map(|_| forgotten.through)
    }

    /// The store was told to forget the tokens up to this one.
    pub(crate) fn told(&mut self, through: Generation) {
        if let Some(setbacks) = &mut self.setbacks
            && setbacks.forgotten.through <= through
        {
            setbacks.forgotten.untold = None;
        }
    }

    /// What another manager has to know of the key's tokens.
    pub(crate) fn past(&self) -> Past {
        let setbacks = self.setbacks.as_ref();
        Past {
            newest: self.newest,
            forgotten: setbacks.map_or_else(Forgotten::default, |it| it.forgotten),
            stored: self.stored.clone(),
        }
    }

    /// Takes over what another manager knows of the key's tokens.
    pub(crate) fn adopt(&mut self, past: Past) {
        self.newest = self.newest.max(past.newest);
        if past.is_owed() {
            let forgotten = &mut self.setbacks.get_or_insert_default().forgotten;
            forgotten.through = forgotten.through.max(past.forgotten.through);
            forgotten.untold = forgotten.untold.max(past.forgotten.untold);
        }
        if self.stored.is_none() {
            self.stored = past.stored;
        }
    }

    /// The error that callers without a token get at the moment, and the latest moment at which the
    /// vendor is asked again.
    pub(crate) fn last_error(&self, now: &Now) -> Option<(Error, Option<Duration>)> {
        let setbacks = self.setbacks.as_ref()?;
        let (error, until) = match (&setbacks.refusal, &setbacks.backoff.last) {
            (Some(refusal), _) => (&refusal.error, refusal.probe_at),
            (None, Some((error, until))) => (error, *until),
            (None, None) => return None,
        };
        Some((error.clone(), Some(until.saturating_sub(now.mono))))
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.setbacks
            .as_ref()
            .is_some_and(|setbacks| setbacks.refusal.is_some())
    }

    /// Whether nothing would be lost with this key but a token.
    pub(crate) fn is_idle(&self, now: &Now) -> bool {
        let matters = |setbacks: &Setbacks| {
            let ahead = |moment: Duration| now.mono < moment;
            let refusal = setbacks.refusal.as_ref();
            let backoff = setbacks.backoff.last.as_ref();
            refusal.is_some_and(|refusal| refusal.is_in_force(now))
                || backoff.is_some_and(|(_, until)| ahead(*until))
                || setbacks.forgotten.untold.is_some_and(ahead)
                || ahead(setbacks.rejections.cool_until)
        };
        self.flight.is_none()
            && !self.is_resting(now)
            && !self.setbacks.as_deref().is_some_and(matters)
    }
}

impl Past {
    /// Whether the store has to be told of tokens that must not come back.
    pub(crate) fn is_owed(&self) -> bool {
        self.forgotten.untold.is_some()
    }
}

/// What a [`TokenSource`](crate::TokenSource) does with a rejected token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The token is forgotten, and a new one is being fetched.
    Renewing,
    /// There is a newer token already, or one is being fetched.
    Superseded,
    /// New tokens of this key are rejected too, so tokens are not the problem: rejections cause
    /// nothing for a while.
    CoolingDown,
}

fn no_runtime() -> Error {
    Error::internal("fetching a token needs a tokio runtime with its timers enabled").with_remedy(
        "call this within one (tokio::runtime::Builder::enable_all), or use the blocking interface",
    )
}
