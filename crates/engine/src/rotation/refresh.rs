//! [`Refresh`]: carries out one use of an account's credential.

use std::{sync::Arc, time::Duration};

use biped_core::{
    Account, AccountKey, Error, ErrorKind, FetchContext, IdentityKey, Provider, Revision,
    SecretString, SecretUse, StoreError,
};

use tracing::{Instrument as _, Span};

use super::{
    entry::Entry,
    protocol::{Answered, Plan, Planner, Settled, after, settle},
    turn::{Turn, contended, salt},
};
use crate::{
    engine::Engine,
    failure::FetchFailure,
    flight::exchange::{Answer, Ask, Presented},
    input::Lent,
    key::table::Key,
    sync::{Handle, oneshot},
    telemetry,
};

/// How long the vendor has for its answer. It is asked only while the lock lasts longer, so that two
/// requests are never on their way.
const REFRESH: Duration = Duration::from_secs(10);
/// How often the entry is read again because another process wrote it.
const READS: usize = 4;
/// How long a credential that could not be stored waits to be written again: at first, and at most.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// How long a program that ends waits for credentials that are held.
pub(crate) const HELD: Duration = Duration::from_secs(10);

type Outcome = Result<Answer, FetchFailure>;

/// What the credential is used for.
enum Purpose {
    Token(Option<IdentityKey>),
    Inspection,
}

/// One use of an account's credential, in a task of its own.
struct Refresh {
    engine: Arc<Engine>,
    provider: Arc<dyn Provider>,
    account: Account,
    key: Arc<Key>,
    lent: Vec<Lent>,
    purpose: Purpose,
}

/// The credential that may be sent, and the entry that says so in the store.
struct Begun {
    asking: Box<Entry>,
    revision: Revision,
    token: SecretString,
}

impl Engine {
    /// Asks the vendor, with the account's credential if the provider has one.
    pub(crate) async fn ask_in_turn(
        self: &Arc<Self>,
        provider: &Arc<dyn Provider>,
        key: &Arc<Key>,
        ask: Ask<'_>,
        lent: &[Lent],
    ) -> Outcome {
        let purpose = match ask {
            Ask::Token(_, marks) => Purpose::Token(marks.cloned()),
            Ask::Inspection(_) => Purpose::Inspection,
            _ => return self.ask(provider, key, ask, lent, None).await,
        };
        let Some(account) = provider.account() else {
            return self.ask(provider, key, ask, lent, None).await;
        };
        let refresh = Refresh {
            engine: self.clone(),
            provider: provider.clone(),
            account: account.clone(),
            key: key.clone(),
            lent: lent.to_vec(),
            purpose,
        };
        let (teller, told) = oneshot::channel();
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn(refresh.run(teller).instrument(Span::current())));
        }
        told.await.unwrap_or_else(|_| {
            let error = Error::internal("the refresh was interrupted");
            Err(error.transient(true).into())
        })
    }
}

impl Refresh {
    async fn run(self, teller: oneshot::Sender<Outcome>) {
        let activity = self.engine.activity.begin();
        let marks = match &self.purpose {
            Purpose::Token(marks) => marks.clone(),
            Purpose::Inspection => None,
        };
        let cx = self.engine.context(&*self.provider, 0, marks);
        let turn = match self.turn(&cx).await {
            Ok(turn) => turn,
            Err(error) => return drop(teller.send(Err(unsent(error, &cx)))),
        };
        let begun = match self.begin(&turn, &cx).await {
            Ok(begun) => begun,
            Err(error) => {
                turn.end().await;
                return drop(teller.send(Err(unsent(error, &cx))));
            }
        };
        let (outcome, answered) = self.send(&begun.token).await;
        let outcome = self.explained(outcome, &answered, &begun.asking, cx.take_secrets_used());
        let Some(entry) = after(&begun.asking, &answered, cx.now()) else {
            turn.end().await;
            return drop(teller.send(outcome));
        };
        // Also until the turn is over: a program that ends before keeps the others waiting for its lease.
        let _held = self.engine.rotations.held.begin();
        if answered.is_owed() {
            self.write(&turn, begun.revision, &entry, outcome, (teller, activity))
                .await;
        } else {
            if let Err(error) = turn.swap(begun.revision, &entry).await {
                self.tell_fault(&error, "the next refresh sends the same refresh token");
            }
            let _ = teller.send(outcome);
        }
        turn.end().await;
    }

    async fn turn(&self, cx: &FetchContext<'_>) -> Result<Turn<'_>, Error> {
        let key = account_key(&self.account, cx).await?;
        let Engine {
            rotations, clock, ..
        } = &*self.engine;
        rotations.turn(key, REFRESH, &**clock).await
    }

    /// Reads the entry, and writes that the vendor is being asked.
    async fn begin(&self, turn: &Turn<'_>, cx: &FetchContext<'_>) -> Result<Begun, Error> {
        for _ in 0..READS {
            let (revision, stored) = turn.load().await?;
            let seed = match self.account.seed_reference() {
                None => None,
                Some(seed) => match cx.secret(seed).await {
                    Ok(seed) => Some(seed),
                    // A seed that was taken need not be kept.
                    Err(_) if stored.is_some() => None,
                    Err(error) => return Err(error),
                },
            };
            let (asking, token) = match self.planner()?.plan(stored, seed.as_ref()) {
                Plan::Ask(asking, token) => (asking, token),
                Plan::Stop(error) => return Err(error),
            };
            if !turn.swap(revision, &asking).await? {
                continue;
            }
            if !turn.lasts(REFRESH) {
                return Err(Error::store(
                    "the store was too slow to refresh the token within the time of its lock",
                ));
            }
            let revision = revision.next();
            return Ok(Begun {
                asking,
                revision,
                token,
            });
        }
        Err(contended())
    }

    async fn send(&self, token: &SecretString) -> (Outcome, Answered) {
        let presented = Presented::new(token.clone());
        let request = &self.key.request;
        let ask = match &self.purpose {
            Purpose::Token(marks) => Ask::Token(request, marks.as_ref()),
            Purpose::Inspection => Ask::Inspection(request),
        };
        let asked = self
            .engine
            .ask(&self.provider, &self.key, ask, &self.lent, Some(&presented));
        let outcome = tokio::select! {
            biased;
            outcome = asked => outcome,
            () = self.engine.clock.sleep(REFRESH) => {
                let seconds = REFRESH.as_secs();
                let error = Error::unreachable(format!("no response within {seconds} s"));
                Err(FetchFailure { sent: true, ..error.into() })
            }
        };
        let error = outcome.as_ref().err().map(|failure| &failure.error);
        let answered = Answered::of(error, presented.take_replacement());
        (outcome, answered)
    }

    /// The outcome, whose refusal names the account. The entry tells it to the other processes.
    fn explained(
        &self,
        outcome: Outcome,
        answered: &Answered,
        asking: &Entry,
        secrets: Vec<SecretUse>,
    ) -> Outcome {
        outcome.map_err(|mut failure| {
            if let (Answered::Refused(words), Ok(planner)) = (answered, self.planner()) {
                failure.error = planner.refused(words, asking.unanswered());
                failure.is_own = true;
                failure.is_in_entry = true;
                // Another secret of the client makes the credential no better; another seed does.
                failure.secrets.clear();
            }
            failure.secrets.extend(secrets);
            failure
        })
    }

    /// Writes an entry until it is in the store, and only then tells the outcome. While the store is
    /// down, callers hear of that in time.
    async fn write<A>(
        &self,
        turn: &Turn<'_>,
        mut revision: Revision,
        entry: &Entry,
        outcome: Outcome,
        (teller, activity): (oneshot::Sender<Outcome>, A),
    ) {
        let clock = &*self.engine.clock;
        let start = clock.now().mono;
        let (mut teller, mut activity) = (Some(teller), Some(activity));
        let [mut wait, longest] = AGAIN;
        let is_written = loop {
            let fault = match self.try_write(turn, &mut revision, entry).await {
                Ok(Some(is_written)) => break is_written,
                Ok(None) => continue,
                Err(fault) => fault,
            };
            if teller.is_some() {
                self.tell_fault(
                    &fault,
                    "the entry is kept in memory until the store works again",
                );
            }
            let passed = clock.now().mono.saturating_sub(start);
            if passed.saturating_add(wait) >= REFRESH
                && let Some(teller) = teller.take()
            {
                let error = Error::store(format!("the new refresh token can't be stored: {fault}"));
                let failure = FetchFailure {
                    is_own: true,
                    ..error.with_source(fault).into()
                };
                let _ = teller.send(Err(failure));
                activity.take();
            }
            clock.sleep(wait).await;
            wait = wait.saturating_mul(2).min(longest);
        };
        let outcome = match is_written {
            true => outcome,
            false => {
                Err(Error::store("another process replaced the refresh token meanwhile").into())
            }
        };
        if let Some(teller) = teller {
            let _ = teller.send(outcome);
        }
    }

    /// Tries to write an entry once: `Some(true)` if it is in the store, `Some(false)` if a later one
    /// is, `None` to try again at once.
    async fn try_write(
        &self,
        turn: &Turn<'_>,
        revision: &mut Revision,
        entry: &Entry,
    ) -> Result<Option<bool>, StoreError> {
        if turn.swap(*revision, entry).await? {
            return Ok(Some(true));
        }
        let (found, stored) = turn.load().await?;
        Ok(match settle(stored.as_ref(), entry) {
            Settled::Done => Some(true),
            Settled::Overtaken => Some(false),
            Settled::Write => {
                *revision = found;
                None
            }
        })
    }

    fn planner(&self) -> Result<Planner<'_>, Error> {
        Ok(Planner {
            name: self.provider.id().name(),
            who: &self.engine.rotations.who,
            now: self.engine.clock.now().wall,
            salt: salt()?,
        })
    }

    fn tell_fault(&self, fault: &StoreError, consequence: &str) {
        telemetry::credential_fault(self.provider.id().name(), &fault.to_string(), consequence);
    }
}

/// The name of the account's entry.
pub(super) async fn account_key(
    account: &Account,
    cx: &FetchContext<'_>,
) -> Result<AccountKey, Error> {
    let client_id = match account.client_reference() {
        Some(client_id) => cx.identifier(client_id).await?,
        None => String::new(),
    };
    Ok(account.key(&client_id))
}

/// The failure of a refresh that sent nothing.
fn unsent(error: Error, cx: &FetchContext<'_>) -> FetchFailure {
    FetchFailure {
        secrets: cx.take_secrets_used(),
        // The entry tells it to the other processes.
        sent: false,
        is_own: true,
        is_in_entry: error.kind() == ErrorKind::Refused,
        ..error.unsent(true).into()
    }
}
