//! What a flight does at the store before it asks the vendor.

use biped_core::{Error, Generation};

use crate::{
    failure::FlightFailure,
    fleet::{
        session::{LeaseAnswer, StoreSession},
        vet,
    },
    flight::{
        exchange::call_credentials,
        task::{Admission, Fetched, FlightTask},
    },
};

impl FlightTask {
    /// The token that the store has, before anything is got for a fetch.
    pub(super) async fn stored(&self, session: &mut StoreSession<'_>) -> Option<Fetched> {
        self.send_forgotten(session).await;
        self.read(session).await
    }

    /// Consults the store until it has a token, or this flight may ask the vendor.
    pub(super) async fn consult_store(
        &self,
        session: &mut StoreSession<'_>,
    ) -> Result<Admission, FlightFailure> {
        self.send_forgotten(session).await;
        loop {
            if let Some(fetched) = self.read(session).await {
                return Ok(Admission::Stored(fetched.into()));
            }
            let permit = self.permit().await?;
            match session.claim().await {
                LeaseAnswer::Granted(None) => return Ok(Admission::Granted(permit, None)),
                LeaseAnswer::Granted(Some(lease)) => {
                    // The holder before may have stored a token.
                    if let Some(fetched) = self.read(session).await {
                        session.release(&lease, None).await;
                        return Ok(Admission::Stored(fetched.into()));
                    }
                    return Ok(Admission::Granted(permit, Some(lease)));
                }
                LeaseAnswer::Taken(left) => {
                    drop(permit);
                    let known = self.known();
                    let has_caller = self.patience().urgent;
                    let caller = self.flight.caller();
                    session.wait(known, left, has_caller, caller).await;
                }
                LeaseAnswer::CoolingDown(..) if !self.engine.settings.share_failures => {
                    return Ok(Admission::Granted(permit, None));
                }
                LeaseAnswer::CoolingDown(error, wait) => {
                    drop(permit);
                    let failure = FlightFailure::Fleet { error, wait };
                    let Some(wait) = failure.retry(0, self.patience()) else {
                        return Err(failure);
                    };
                    self.engine.clock.sleep(wait).await;
                }
            }
        }
    }

    /// A token from the store that this flight can use.
    async fn read(&self, session: &mut StoreSession<'_>) -> Option<Fetched> {
        let (token, generation) = session.read().await?;
        let now = self.engine.clock.now();
        if generation <= self.known() || self.flight.must_ask_vendor() {
            return None;
        }
        let mut cx = self.engine.context(&*self.provider, 0, None);
        let request = &self.key.request;
        if let Err(why) = vet::check_stored(&token, &*self.provider, request, &cx).await {
            session.ignored(&why);
            return None;
        }
        let credentials = call_credentials(&mut cx, &*self.provider).await.ok()?;
        let token = self.cached(token, generation, credentials, &now);
        let schedule = &token.schedule;
        let end = if self.patience().urgent {
            schedule.unusable
        } else {
            schedule.refresh
        };
        let enough = end.is_ahead(&now) && token.lasts(self.flight.min_ttl(), &now);
        enough.then_some(Fetched {
            token,
            from_store: true,
            lease: None,
            secrets: Vec::new(),
        })
    }

    /// Why this flight, for which no caller waits, is put off: the store could not be asked, and a fleet
    /// whose processes then all ask the vendor asks as often as it has processes.
    pub(super) fn put_off(&self) -> Option<FlightFailure> {
        let now = self.engine.clock.now();
        let is_wanted_now = self.patience().urgent || self.flight.must_ask_vendor();
        if is_wanted_now || self.provider.account().is_some() {
            return None;
        }
        let rest = self.engine.shared.as_ref()?.rest(&now)?;
        let current = self.key.slot.load();
        let to_spare = current.as_ref()?.schedule.spare(&now);
        let error = Error::unreachable("the store can't be asked");
        // Not all at once, as they would be after a fault that all of them see.
        let wait = rest.mul_f64(1.0 + fastrand::f64() / 2.0).min(to_spare);
        (!wait.is_zero()).then_some(FlightFailure::PutOff { error, wait })
    }

    /// The newest generation that is of no use: the one that is served, or was forgotten.
    fn known(&self) -> Generation {
        let current = self.key.slot.load();
        let served = current.as_ref().map(|token| token.generation());
        self.key.state().forgotten().max(served.unwrap_or_default())
    }

    /// Tells the store what was rejected: it must not come back from there.
    async fn send_forgotten(&self, session: &mut StoreSession<'_>) {
        let (through, stored) = {
            let state = self.key.state();
            (state.untold(), state.stored.as_deref().copied())
        };
        // Owed until it is done: a flight may end at any await.
        if let Some(through) = through
            && session.forget(stored, through).await
        {
            self.key.state().told(through);
        }
    }
}
