//! The state that all handlers of a sandbox share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use biped_core::{Clock, Timestamp};

use crate::{
    clients::Credentials,
    fault::{Fault, Vendor, take},
    stats::{Caller, Counts, KeyFilter, Ledger, Stats, summary},
    stop::Stop,
    token::{Claims, Keys, Presented, Register, Rejection, Signer, random_hex},
};

#[derive(Debug)]
pub(crate) struct Shared {
    clock: Arc<dyn Clock>,
    lifetime: Duration,
    projects: usize,
    signer: Signer,
    url: String,
    clouds: [String; 2],
    state: Mutex<State>,
    stop: Stop,
}

#[derive(Debug)]
struct State {
    /// On the monotonic clock.
    counted_since: Duration,
    ledger: Ledger,
    faults: Vec<Fault>,
    register: Register,
    /// The changed secrets.
    secrets: HashMap<String, String>,
}

/// The contents of a new JWT.
#[derive(Debug)]
pub(crate) struct Grant<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) project_id: i64,
    pub(crate) integration_id: Option<i64>,
}

impl Shared {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        lifetime: Duration,
        projects: usize,
        url: String,
        clouds: [String; 2],
        stop: Stop,
    ) -> Self {
        let state = State {
            counted_since: clock.now().mono,
            ledger: Ledger::new(),
            faults: Vec::new(),
            register: Register::default(),
            secrets: HashMap::new(),
        };
        Self {
            clock,
            lifetime,
            projects,
            signer: Signer::random(),
            url,
            clouds,
            state: Mutex::new(state),
            stop,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn clouds(&self) -> [&str; 2] {
        self.clouds.each_ref().map(String::as_str)
    }

    /// The number of projects of the account.
    pub(crate) fn projects(&self) -> usize {
        self.projects
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    // Stopping, and waiting.

    pub(crate) fn stop(&self) {
        self.stop.stop();
    }

    /// Completes when the sandbox stops.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.stop.stopped()
    }

    /// Waits on the sandbox's clock, or until the sandbox stops.
    pub(crate) async fn wait(&self, duration: Duration) {
        if duration.is_zero() {
            return;
        }
        tokio::select! {
            () = self.clock.sleep(duration) => {}
            () = self.stopped() => {}
        }
    }

    // Clients and tokens.

    /// Whether these credentials are valid, with the client's present secret.
    pub(crate) fn knows(&self, known: Credentials, client_id: &str, client_secret: &str) -> bool {
        let state = self.state();
        let changed = state.secrets.get(known.client_id).map(String::as_str);
        known.client_id == client_id && changed.unwrap_or(known.client_secret) == client_secret
    }

    pub(crate) fn change_secret(&self, client_id: &str, client_secret: &str) {
        self.state()
            .secrets
            .insert(client_id.into(), client_secret.into());
    }

    /// Issues a JWT.
    pub(crate) fn issue_jwt(&self, caller: Caller, grant: &Grant<'_>) -> String {
        let now = self.now();
        // Rounded up: the register, not `exp`, has the exact time.
        let end = now
            .after(self.lifetime)
            .after(Duration::from_nanos(999_999_999));
        let claims = Claims {
            sub: grant.client_id.into(),
            iat: now.unix_seconds(),
            exp: end.unix_seconds(),
            jti: random_hex(32),
            scope: grant.scope.into(),
            project_id: grant.project_id,
            integration_id: grant.integration_id,
        };
        self.state()
            .register
            .add(claims.jti.clone(), caller, now, self.lifetime);
        self.signer.sign(&claims)
    }

    /// Issues an opaque token.
    pub(crate) fn issue_opaque(&self, caller: Caller) -> String {
        let token = format!("sk-{}", random_hex(32));
        self.state()
            .register
            .add(token.clone(), caller, self.now(), self.lifetime);
        token
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(crate) fn caller(&self, vendor: Vendor, token: &Presented) -> Caller {
        self.state().register.caller(vendor, token)
    }

    pub(crate) fn judge(&self, token: &Presented) -> Result<(), Rejection> {
        self.state().register.judge(token, self.now())
    }

    pub(crate) fn revoke(&self, filter: &KeyFilter) -> usize {
        self.revoked(|register, now| register.revoke(filter, now))
    }

    pub(crate) fn revoke_key(&self, key: &Caller) {
        self.revoked(|register, now| register.revoke_key(key, now));
    }

    pub(crate) fn revoke_one(&self, id: &str) {
        self.revoked(|register, now| register.revoke_one(id, now));
    }

    fn revoked(&self, revoke: impl FnOnce(&mut Register, Timestamp) -> (usize, Keys)) -> usize {
        let now = self.now();
        let mut state = self.state();
        let (count, keys) = revoke(&mut state.register, now);
        for key in keys {
            state.ledger.entry(key).or_default().revocations += 1;
        }
        count
    }

    // Faults.

    pub(crate) fn add_fault(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    pub(crate) fn take_fault(&self, vendor: Vendor, path: &str) -> Option<Fault> {
        take(&mut self.state().faults, vendor, path)
    }

    pub(crate) fn faults(&self) -> Vec<Fault> {
        self.state().faults.clone()
    }

    pub(crate) fn clear_faults(&self) {
        self.state().faults.clear();
    }

    // Counters.

    pub(crate) fn count(&self, caller: &Caller, count: impl FnOnce(&mut Counts)) {
        let mut state = self.state();
        match state.ledger.get_mut(caller) {
            Some(counts) => count(counts),
            None => count(state.ledger.entry(caller.clone()).or_default()),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let now = self.clock.now().mono;
        let state = self.state();
        let elapsed = now.saturating_sub(state.counted_since);
        let mut stats = summary(&state.ledger);
        stats.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        stats.lifetime_seconds = self.lifetime.as_secs();
        stats
    }

    pub(crate) fn reset_stats(&self) {
        let now = self.clock.now().mono;
        let mut state = self.state();
        state.counted_since = now;
        state.ledger.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
