//! What a key knows, and what it decides: the state machine of the engine.
//!
//! Everything in this file is synchronous and takes the time as an argument. [`Key::decide`] says
//! what a caller gets; [`Key::reject`], [`Key::landed`] and [`Key::failed`] are what can happen.
//! Nothing here waits, spawns, or calls a provider.
//!
//! ```text
//!            fetched                refresh point          margin before expiry
//!  (none) ───────────▶ fresh ──────────────────▶ usable ──────────────────────▶ (none)
//!     ▲                  │                          │  a flight runs; all get the token
//!     └──── rejected ────┴──────────────────────────┘
//! ```
//!
//! Without a usable token a caller joins the one flight, or starts it, or, until "not before", gets
//! the error that the last flight ended with.

use std::{sync::Arc, time::Duration};

use super::{
    flight::Flight,
    settings::{
        FIRST_PROBE, LAST_PROBE, LOOK, LOOK_BY_COMMAND, MAX_RETRY_AFTER, REJECTED_AT_ONCE,
        REJECTION_COOL_DOWN, REST, TOMBSTONE, back_off,
    },
};
use crate::{
    Error, ErrorKind, Generation, Now, Token, TokenKey,
    provider::NotedSecret,
    token::{Deadline, Schedule},
};

/// What a key knows beside its current token.
#[derive(Default)]
pub(crate) struct Key {
    /// The fetch in progress.
    pub(crate) flight: Option<Arc<Flight>>,
    /// No fetch before this: the least time between two of them.
    rest_until: Duration,
    /// The newest generation handed out for this key.
    pub(crate) newest: Generation,
    /// What keys have that something went wrong with.
    trouble: Option<Box<Trouble>>,
    /// The name under which the store has the token that is served, if it has it.
    pub(crate) stored: Option<Box<TokenKey>>,
}

#[derive(Default)]
struct Trouble {
    /// Failed flights in a row.
    failures: u32,
    /// The last failure, and the moment before which nobody asks again.
    failed: Option<(Error, Duration)>,
    /// The vendor refused this request.
    refusal: Option<Refusal>,
    /// Tokens up to this one were rejected or forgotten.
    forgotten: Generation,
    /// The store was not told yet; from this moment on it need not be any more.
    untold: Option<Duration>,
    /// The next token replaces a rejected one.
    replacing: bool,
    /// The token that replaced a rejected one, and when it came.
    replacement: Option<(Generation, Duration)>,
    /// Rejections cause nothing before this.
    cool_until: Duration,
}

/// What a caller gets.
pub(crate) enum Decision {
    /// This token. `stale` if it is past its refresh point.
    Serve { token: Arc<Token>, stale: bool },
    /// A flight that the caller has to start, and the token that serves meanwhile.
    Launch {
        flight: Arc<Flight>,
        meanwhile: Option<Arc<Token>>,
    },
    /// Somebody else's flight.
    Join(Arc<Flight>),
    /// Nothing before this moment; ask again then.
    Rest(Duration),
    /// No.
    Fail(Error),
}

/// What a caller wants.
#[derive(Clone, Copy, Default)]
pub(crate) struct Want {
    /// The token must last this long.
    pub(crate) min_ttl: Duration,
    /// Whatever token there is, here or in the store, ask the vendor.
    pub(crate) anew: bool,
    /// There is a runtime to fly on.
    pub(crate) runtime: bool,
    /// How often the client had been refused when the caller came.
    pub(crate) refusals: u64,
}

impl Want {
    /// Whether a token that there is already will do.
    pub(crate) fn is_met_by(self, token: &Token, now: &Now) -> bool {
        !self.anew && token.lasts(self.min_ttl, now)
    }
}

/// Why asking brought nothing.
pub(crate) struct Setback {
    pub(crate) error: Error,
    /// What was read for it.
    pub(crate) secrets: Vec<NotedSecret>,
    /// Something went out to the vendor.
    pub(crate) sent: bool,
}

impl From<Error> for Setback {
    fn from(error: Error) -> Self {
        Self {
            error,
            secrets: Vec::new(),
            sent: true,
        }
    }
}

/// Whether the vendor may be asked at all, by what the client and the endpoint know.
pub(crate) enum Clearance {
    /// Yes.
    Clear,
    /// Yes, but look first whether a secret changed since it was refused.
    Look(Vec<NotedSecret>, Error),
    /// No.
    Held(Error),
}

impl Clearance {
    /// This one's word, and where it has nothing against it, the next one's.
    fn and_then(self, next: impl FnOnce() -> Self) -> Self {
        if let Self::Clear = self { next() } else { self }
    }
}

impl Key {
    /// What a caller gets. `clearance` is asked only where a flight would start.
    pub(crate) fn decide(
        &mut self,
        current: &Arc<Token>,
        want: Want,
        now: &Now,
        clearance: impl FnOnce() -> Clearance,
    ) -> Decision {
        let usable = current.schedule.unusable.is_ahead(now).then_some(current);
        let enough = usable.filter(|token| want.is_met_by(token, now));
        let serve = |token: &Arc<Token>| Decision::Serve {
            token: token.clone(),
            stale: true,
        };

        if let Some(token) = enough.filter(|token| token.schedule.refresh.is_ahead(now)) {
            return Decision::Serve {
                token: token.clone(),
                stale: false,
            };
        }
        if !want.runtime {
            // Nothing to fly on, and nothing to wait with either.
            return enough.map_or_else(|| Decision::Fail(no_runtime()), serve);
        }
        if let Some(flight) = self.flight.as_ref().filter(|flight| !flight.is_lost(now)) {
            return match (enough, flight.looking_after()) {
                (Some(token), _) => serve(token),
                (None, Some(refusal)) => Decision::Fail(refusal),
                (None, None) => {
                    flight.urge(want);
                    Decision::Join(flight.clone())
                }
            };
        }
        if now.mono < self.rest_until {
            // A token just fetched satisfies whoever wants one that lasts.
            return usable.map_or(Decision::Rest(self.rest_until), serve);
        }
        let clearance = match self.held(now) {
            Some(error) => Clearance::Held(error),
            // This key's own claim comes last, so that none is made for a flight that never starts.
            None => clearance().and_then(|| self.claim(now)),
        };
        let looking = match clearance {
            Clearance::Clear => None,
            Clearance::Look(secrets, refusal) => Some((secrets, refusal)),
            Clearance::Held(error) => return enough.map_or(Decision::Fail(error), serve),
        };
        let flight = Arc::new(Flight::new(now, enough.is_none(), want, looking));
        self.flight = Some(flight.clone());
        Decision::Launch {
            flight,
            meanwhile: enough.cloned(),
        }
    }

    /// The error that keeps this very key from asking.
    fn held(&self, now: &Now) -> Option<Error> {
        let trouble = self.trouble.as_ref()?;
        if let Some((error, not_before)) = &trouble.failed
            && now.mono < *not_before
        {
            let wait = *not_before - now.mono;
            return Some(error.clone().with_retry_after(Some(wait)));
        }
        trouble.refusal.as_ref()?.held(now)
    }

    /// The right to ask although the vendor refused this very request, where it did.
    fn claim(&mut self, now: &Now) -> Clearance {
        let refusal = self.trouble.as_mut().and_then(|t| t.refusal.as_mut());
        refusal.map_or(Clearance::Clear, |refusal| refusal.clearance(now))
    }

    /// A flight brought a token. Answers whether it may be used: it may not if it was forgotten
    /// while it was on its way.
    pub(crate) fn landed(&mut self, token: &Token, now: &Now, fetched: bool) -> bool {
        if token.generation <= self.forgotten() {
            return false;
        }
        self.newest = self.newest.max(token.generation);
        if fetched {
            let rest = token.lifetime().map_or(REST, |life| (life / 2).min(REST));
            self.rest_until = now.mono.saturating_add(rest);
        }
        if let Some(trouble) = &mut self.trouble {
            trouble.failures = 0;
            trouble.failed = None;
            trouble.refusal = None;
            if std::mem::take(&mut trouble.replacing) {
                trouble.replacement = Some((token.generation, now.mono));
            }
        }
        true
    }

    /// A flight failed. `current` is the token that goes on serving.
    pub(crate) fn failed(&mut self, setback: &Setback, current: &Token, now: &Now) {
        let trouble = self.trouble.get_or_insert_default();
        let Setback {
            error,
            secrets,
            sent,
        } = setback;
        let wait = match error.kind() {
            // Asking again costs nothing.
            ErrorKind::Configuration if !sent => return,
            ErrorKind::Refused => {
                trouble.failed = None;
                if !error.refuses_client() {
                    Refusal::renew(&mut trouble.refusal, error, secrets, now);
                }
                return;
            }
            ErrorKind::Secret => LOOK.max(error.retry_after().unwrap_or_default()),
            _ => {
                trouble.failures = trouble.failures.saturating_add(1);
                let floor = error.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER);
                back_off(trouble.failures)
                    .min(current.next_try(now))
                    .max(floor)
            }
        };
        trouble.failed = Some((error.clone(), now.mono.saturating_add(wait)));
    }

    /// The provider panicked. While a token serves nobody is kept waiting by that, so the vendor is
    /// not asked again by each caller that comes.
    pub(crate) fn panicked(&mut self, error: &Error, current: &Token, now: &Now) {
        let wait = current.next_try(now).min(REST);
        if current.schedule.unusable.is_ahead(now) {
            let trouble = self.trouble.get_or_insert_default();
            trouble.failed = Some((error.clone(), now.mono.saturating_add(wait)));
        }
    }

    /// Others failed, and the vendor is to be left alone for so long.
    pub(crate) fn wait_out(&mut self, error: Error, left: Duration, now: &Now) {
        let trouble = self.trouble.get_or_insert_default();
        let left = left.min(MAX_RETRY_AFTER);
        trouble.failed = Some((error, now.mono.saturating_add(left)));
    }

    /// How long a failed holder of a lease leaves the vendor alone, for the whole fleet.
    pub(crate) fn cool_down(&self, now: &Now) -> Duration {
        let failed = self
            .trouble
            .as_ref()
            .and_then(|trouble| trouble.failed.as_ref());
        failed
            .map_or(REST, |(_, until)| until.saturating_sub(now.mono))
            .max(REST)
    }

    /// An API rejected `token`.
    pub(crate) fn reject(&mut self, token: &Token, current: &Token, now: &Now) -> Rejection {
        if current.generation != token.generation {
            return Rejection::Superseded;
        }
        let trouble = self.trouble.get_or_insert_default();
        if now.mono < trouble.cool_until {
            return Rejection::CoolingDown;
        }
        let life = token.lifetime().unwrap_or(Duration::MAX);
        let at_once = |(generation, came): (Generation, Duration)| {
            let age = now.mono.saturating_sub(came);
            generation == token.generation && age < REJECTED_AT_ONCE.min(life / 4)
        };
        if trouble.replacement.is_some_and(at_once) {
            trouble.cool_until = now.mono.saturating_add(REJECTION_COOL_DOWN.min(life));
            return Rejection::CoolingDown;
        }
        trouble.replacing = true;
        self.forget(token.generation, now);
        Rejection::Renewing
    }

    /// Tokens up to this one must not come back, from the store or from a flight.
    pub(crate) fn forget(&mut self, through: Generation, now: &Now) {
        let trouble = self.trouble.get_or_insert_default();
        trouble.forgotten = trouble.forgotten.max(through);
        trouble.untold = Some(now.mono.saturating_add(TOMBSTONE));
        self.newest = self.newest.max(through);
    }

    /// Tokens up to this one must not come back.
    pub(crate) fn forgotten(&self) -> Generation {
        self.trouble
            .as_ref()
            .map_or(Generation(0), |trouble| trouble.forgotten)
    }

    /// What the store has to be told to forget.
    pub(crate) fn untold(&self) -> Option<Generation> {
        let trouble = self.trouble.as_ref()?;
        trouble.untold.map(|_| trouble.forgotten)
    }

    /// The store was told to forget the tokens up to this one.
    pub(crate) fn told(&mut self, through: Generation) {
        if let Some(trouble) = &mut self.trouble
            && trouble.forgotten <= through
        {
            trouble.untold = None;
        }
    }

    /// The error that callers without a token get at the moment, and when the vendor is asked
    /// again at the latest.
    pub(crate) fn last_error(&self, now: &Now) -> Option<(Error, Option<Duration>)> {
        let trouble = self.trouble.as_ref()?;
        if let Some(refusal) = &trouble.refusal {
            return Some((
                refusal.error.clone(),
                Some(refusal.probe_at.saturating_sub(now.mono)),
            ));
        }
        let (error, not_before) = trouble.failed.as_ref()?;
        Some((error.clone(), Some(not_before.saturating_sub(now.mono))))
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.refusal.is_some())
    }

    /// Whether nothing would be lost with this key but a token.
    pub(crate) fn is_idle(&self, now: &Now) -> bool {
        let waits = |trouble: &Trouble| {
            let ahead = |moment: Duration| now.mono < moment;
            trouble.refusal.as_ref().is_some_and(|it| it.stands(now))
                || trouble.untold.is_some_and(ahead)
                || ahead(trouble.cool_until)
                || trouble
                    .failed
                    .as_ref()
                    .is_some_and(|(_, until)| ahead(*until))
        };
        self.flight.is_none()
            && now.mono >= self.rest_until
            && !self.trouble.as_deref().is_some_and(waits)
    }
}

/// What became of a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The token is forgotten, and a new one is on its way.
    Renewing,
    /// There is a newer token already, or it is on its way.
    Superseded,
    /// New tokens of this key are rejected too, so tokens are not the problem: nothing happens for
    /// a while.
    CoolingDown,
}

/// The vendor said no, and is not asked again until something changes or some time has passed.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    secrets: Vec<NotedSecret>,
    probes: u32,
    /// A probe is on its way.
    probing: bool,
    pub(crate) probe_at: Duration,
    look_at: Duration,
}

impl Refusal {
    /// Notes a refusal, or one more after a probe.
    pub(crate) fn renew(
        slot: &mut Option<Self>,
        error: &Error,
        secrets: &[NotedSecret],
        now: &Now,
    ) {
        // Requests that were on their way together count once.
        let probes = slot.as_ref().map_or(0, |known| {
            known.probes.saturating_add(u32::from(known.probing))
        });
        let wait = FIRST_PROBE
            .saturating_mul(1 << probes.min(10))
            .min(LAST_PROBE);
        let wait = wait.max(error.retry_after().unwrap_or_default().min(LAST_PROBE));
        let mut refusal = Self {
            error: error.clone(),
            secrets: secrets.to_vec(),
            probes,
            probing: false,
            probe_at: now.mono.saturating_add(wait),
            look_at: Duration::ZERO,
        };
        refusal.look_at = now.mono.saturating_add(refusal.look_interval());
        *slot = Some(refusal);
    }

    fn look_interval(&self) -> Duration {
        let command = self.secrets.iter().any(|noted| noted.secret.runs_command());
        if command { LOOK_BY_COMMAND } else { LOOK }
    }

    /// Whether it is too early for a probe.
    pub(crate) fn stands(&self, now: &Now) -> bool {
        now.mono < self.probe_at
    }

    /// The error, where neither a probe nor a look is due.
    fn held(&self, now: &Now) -> Option<Error> {
        let look = now.mono >= self.look_at && !self.secrets.is_empty();
        (self.stands(now) && !look).then(|| {
            let wait = self.probe_at - now.mono;
            self.error.clone().with_retry_after(Some(wait))
        })
    }

    /// Whether this caller may ask: as the probe, or to look whether a secret changed.
    pub(crate) fn clearance(&mut self, now: &Now) -> Clearance {
        if let Some(error) = self.held(now) {
            return Clearance::Held(error);
        }
        if self.stands(now) {
            self.look_at = now.mono.saturating_add(self.look_interval());
            return Clearance::Look(self.secrets.clone(), self.error.clone());
        }
        // One prober: the others go on hearing no. If it brings no answer, another follows.
        self.probing = true;
        self.probe_at = now.mono.saturating_add(FIRST_PROBE);
        Clearance::Clear
    }
}

impl Token {
    /// The longest wait that still leaves this token time for another try: half of what is left
    /// of it, and when it ends, so does the wait.
    fn next_try(&self, now: &Now) -> Duration {
        let left = self.schedule.unusable.left(now);
        if left.is_zero() {
            return Duration::MAX;
        }
        (left / 2).max(REST).min(left)
    }

    pub(crate) fn lasts(&self, min_ttl: Duration, now: &Now) -> bool {
        let Some(expiry) = self.expires_at() else {
            return true;
        };
        // On both clocks: the wall clock may have been set back.
        let Deadline { mono, wall } = self.schedule.unusable;
        let by_mono = Duration::from_nanos(mono)
            .saturating_sub(now.mono)
            .saturating_add(expiry.since(wall));
        expiry.since(now.wall).min(by_mono) >= min_ttl
    }

    /// Sets the refresh point and the end of use, on both clocks. `seen` is a reading of both: from
    /// when the token was asked for, or, for one from a store, from now.
    pub(crate) fn schedule(&mut self, seen: &Now, refresh_at: f64, margin: Duration) {
        let Some(life) = self.lifetime() else {
            self.schedule = Schedule {
                refresh: Deadline::NEVER,
                unusable: Deadline::NEVER,
            };
            return;
        };
        let at = |age: Duration| {
            let wall = self.requested_at().after(age);
            // A token from a store may claim to be from the future.
            let left = wall.since(seen.wall).min(age);
            Deadline::new(seen.mono.saturating_add(left), wall)
        };
        let usable = life.saturating_sub(margin.min(life / 10));
        self.schedule = Schedule {
            refresh: at(life.mul_f64(refresh_at).min(usable)),
            unusable: at(usable),
        };
    }
}

fn no_runtime() -> Error {
    Error::internal("there is no tokio runtime to fetch a token on")
        .with_remedy("call this within one, or use the blocking interface")
}
