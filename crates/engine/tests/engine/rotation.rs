//! Credentials that change with each use: what is sent, what is stored, and what a process that ends at
//! any step leaves behind.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use biped_core::{ErrorKind, SecretRef, SecretString, TokenRequest};
use biped_engine::{CredentialState, TokenSource};
use biped_testing::{ManualClock, Recorded, Reply, TestProvider, settle, store::TestAccounts};

use crate::stage::{Stage, ask, failure, text};

/// A vendor that replaces refresh tokens, and revokes the account where an old one is used again.
struct Vendor {
    /// Whether it answers the latest replaced token once more.
    grace: bool,
    state: Mutex<Account>,
}

#[derive(Default)]
struct Account {
    /// R-n is good.
    current: usize,
    revoked: bool,
    /// How often each was sent.
    sent: HashMap<String, usize>,
}

impl Vendor {
    fn new(grace: bool) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { grace, state })
    }

    fn answer(&self, request: &Recorded) -> Reply {
        let form = url::form_urlencoded::parse(&request.body);
        let mut tokens = form.filter(|(name, _)| name == "refresh_token");
        let token = tokens.next().expect("a refresh token").1.into_owned();
        let mut state = self.state.lock().unwrap();
        *state.sent.entry(token.clone()).or_default() += 1;
        let number: usize = token.strip_prefix("R-").unwrap().parse().unwrap();
        let is_retry = self.grace && number + 1 == state.current;
        if state.revoked || !(number == state.current || is_retry) {
            state.revoked = true;
            return Reply::error(400, "invalid_grant");
        }
        state.current = number + 1;
        let (access, next) = (format!("t-{number}"), format!("R-{}", number + 1));
        let body = serde_json::json!({
            "access_token": access, "expires_in": 1000, "refresh_token": next,
        });
        Reply::json(200, &body.to_string())
    }

    fn requests(&self) -> usize {
        self.state.lock().unwrap().sent.values().sum()
    }

    fn is_revoked(&self) -> bool {
        self.state.lock().unwrap().revoked
    }
}

/// The processes that share an account at a vendor.
struct Fleet {
    clock: Arc<ManualClock>,
    accounts: TestAccounts,
    vendor: Arc<Vendor>,
}

impl Fleet {
    /// At a vendor without a grace period.
    fn new() -> Self {
        Self::at(Vendor::new(false))
    }

    fn at(vendor: Arc<Vendor>) -> Self {
        let clock = Arc::new(ManualClock::new());
        Self {
            accounts: TestAccounts::new(clock.clone()),
            clock,
            vendor,
        }
    }

    /// A process whose configuration has the first credential.
    fn process(&self) -> Process {
        self.seeded(Some("R-0"))
    }

    fn processes<const N: usize>(&self) -> [Process; N] {
        [(); N].map(|()| self.process())
    }

    fn seeded(&self, seed: Option<&str>) -> Process {
        let store = self.accounts.process();
        let stage = Stage::sharing(&self.clock, &Arc::new(store.clone()));
        let vendor = self.vendor.clone();
        stage
            .http
            .answer_with(move |_, request| vendor.answer(request));
        let seed = seed.map(SecretRef::inline);
        let source = stage.source_of(TestProvider::default().named("crm").rotating(seed));
        Process {
            stage,
            store,
            source,
        }
    }

    /// Lets a token's life pass.
    fn pass_a_life(&self) {
        self.clock.advance(Duration::from_secs(1000));
    }

    /// Ten processes ask at once, get the same token, and send one request.
    async fn asks_once(&self, within: f64) {
        let processes = self.processes::<10>();
        let asking = processes.each_ref().map(|it| ask(&it.source));
        processes[0].stage.pass(within).await;
        for asking in asking {
            assert_eq!(asking.await.unwrap().unwrap(), "t-0");
        }
        assert_eq!(self.vendor.requests(), 1);
    }
}

/// One process that uses the account.
struct Process {
    stage: Stage,
    store: TestAccounts,
    source: TokenSource,
}

impl Process {
    async fn state(&self) -> Option<(CredentialState, u64)> {
        let credential = self.source.credential().await.unwrap();
        credential.map(|it| (it.state, it.rotations))
    }
}

#[tokio::test]
async fn each_refresh_sends_what_the_one_before_brought() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let processes = fleet.processes::<3>();
    for number in 0..20 {
        let process = &processes[number % 3];
        assert_eq!(text(&process.source).await, format!("t-{number}"));
        fleet.pass_a_life();
    }
    settle().await;
    {
        let state = fleet.vendor.state.lock().unwrap();
        assert!(!state.revoked);
        assert_eq!(state.sent.len(), 20);
        assert!(state.sent.values().all(|times| *times == 1));
    }
    let expected = Some((CredentialState::Ready, 20));
    assert_eq!(processes[0].state().await, expected);
}

#[tokio::test]
async fn ten_processes_at_once_send_one_request() {
    let _limit = biped_testing::TimeLimit::start();
    Fleet::new().asks_once(3.0).await;
}

/// Without the store there is no token at all, so it is waited for longer than elsewhere.
#[tokio::test]
async fn ten_processes_at_once_send_one_request_over_a_store_that_is_slow() {
    let _limit = biped_testing::TimeLimit::start();
    let mut fleet = Fleet::new();
    fleet.accounts = fleet.accounts.latency(Duration::from_millis(400));
    fleet.asks_once(9.0).await;
}

#[tokio::test]
async fn ten_processes_at_once_send_one_request_over_a_store_that_fails_at_first() {
    let _limit = biped_testing::TimeLimit::start();
    let mut fleet = Fleet::new();
    fleet.accounts = fleet.accounts.failing(3);
    fleet.asks_once(9.0).await;
}

/// Other scopes are other tokens of the same account.
#[tokio::test]
async fn keys_of_one_account_take_turns() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let processes = fleet.processes::<2>();
    let mut asking = Vec::new();
    for (number, process) in processes.iter().enumerate() {
        for scope in 0..3 {
            let request = TokenRequest::new().scope(format!("s{number}{scope}"));
            asking.push(ask(&process.source.with_request(request)));
        }
    }
    processes[0].stage.pass(5.0).await;
    for asking in asking {
        asking.await.unwrap().unwrap();
    }
    assert_eq!(fleet.vendor.requests(), 6);
    assert!(!fleet.vendor.is_revoked());
}

#[tokio::test]
async fn an_answer_without_a_refresh_token_keeps_the_present_one() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let process = fleet.process();
    process
        .stage
        .http
        .answer_with(|_, _| Reply::token("kept", 1000));
    for _ in 0..3 {
        assert_eq!(text(&process.source).await, "kept");
        fleet.pass_a_life();
    }
    let requests = process.stage.http.requests();
    for request in requests {
        assert!(String::from_utf8_lossy(&request.body).contains("refresh_token=R-0"));
    }
    assert_eq!(process.state().await, Some((CredentialState::Ready, 0)));
}

/// How many halves of operations a refresh has: lock, load, write, write, unlock.
const HALVES: usize = 10;
/// The halves after which the answer was there and had not been written.
const LOST: usize = 6;

#[tokio::test]
async fn a_process_that_ends_at_any_step_loses_no_account() {
    let _limit = biped_testing::TimeLimit::start();
    for grace in [true, false] {
        for halves in 0..=HALVES {
            let fleet = Fleet::at(Vendor::new(grace));
            let first = fleet.process();
            first.store.stop_after(halves);
            let asked = ask(&first.source);
            first.stage.pass(0.1).await;
            assert_eq!(first.store.is_stopped(), halves < HALVES, "{halves}");
            asked.abort();

            let second = fleet.process();
            fleet.clock.advance(Duration::from_secs(3600));
            let asked = ask(&second.source);
            second.stage.pass(5.0).await;
            let token = asked.await.unwrap();
            let requests = fleet.vendor.requests();
            if !grace && halves == LOST {
                // What no client can prevent, and the error says so.
                let error = token.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Refused);
                assert!(
                    error.to_string().contains("of 12:00:00 was lost"),
                    "{error}"
                );
                assert_eq!(requests, 2);
                let state = second.state().await.unwrap().0;
                assert_eq!(state, CredentialState::Refused);
            } else {
                token.unwrap_or_else(|error| panic!("{grace} {halves}: {error}"));
                assert!(!fleet.vendor.is_revoked(), "{grace} {halves}");
                let state = fleet.vendor.state.lock().unwrap();
                let twice: Vec<_> = state.sent.iter().filter(|(_, times)| **times > 1).collect();
                assert_eq!(twice.is_empty(), halves != LOST, "{halves}: {twice:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_remembered_until_the_vendor_judges_the_credential() {
    let _limit = biped_testing::TimeLimit::start();
    for accepts in [false, true] {
        let fleet = Fleet::new();
        let first = fleet.process();
        first.store.stop_after(LOST);
        let asked = ask(&first.source);
        first.stage.pass(0.1).await;
        asked.abort();
        fleet.clock.advance(Duration::from_secs(3600));

        // Something else is refused, which says nothing of the credential.
        let second = fleet.process();
        second.stage.http.answer_with(move |_, _| match accepts {
            false => Reply::error(400, "invalid_scope"),
            true => Reply::token("kept", 1000),
        });
        let asked = ask(&second.source);
        second.stage.pass(5.0).await;
        assert_eq!(asked.await.unwrap().is_ok(), accepts);
        assert_eq!(second.state().await, Some((CredentialState::Ready, 0)));

        fleet.pass_a_life();
        let error = failure(&fleet.process().source).await;
        assert_eq!(error.kind(), ErrorKind::Refused);
        let is_told = error.to_string().contains("of 12:00:00 was lost");
        assert_eq!(is_told, !accepts, "{error}");
    }
}

#[tokio::test]
async fn while_the_store_is_down_the_new_credential_is_held() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let process = fleet.process();
    process.stage.http.close_gate();
    let asked = ask(&process.source);
    process.stage.pass(0.1).await;
    process.store.set_down(true);
    process.stage.http.open_gate();
    process.stage.pass(5.0).await;
    assert!(!asked.is_finished(), "the token is given to nobody");
    process.stage.pass(6.0).await;
    let error = asked.await.unwrap().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Store | ErrorKind::Unreachable),
        "{error}"
    );

    // Another refresh of this process does not send the old one again.
    let again = ask(&process.source);
    process.stage.pass(60.0).await;
    again.await.unwrap().unwrap_err();
    assert_eq!(fleet.vendor.requests(), 1);

    // A graceful stop waits for it.
    let manager = process.stage.manager.clone();
    let draining = tokio::spawn(async move { manager.drain().await });
    process.stage.pass(9.0).await;
    assert!(!draining.is_finished());
    process.store.set_down(false);
    process.stage.pass(2.0).await;
    draining.await.unwrap();
    assert_eq!(process.state().await, Some((CredentialState::Ready, 1)));
    fleet.pass_a_life();
    assert_eq!(text(&process.source).await, "t-1");
    assert!(!fleet.vendor.is_revoked());
}

#[tokio::test]
async fn a_graceful_stop_waits_for_what_the_managers_before_a_reload_hold() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let [old, between, new] = fleet.processes();
    old.stage.http.close_gate();
    let asked = ask(&old.source);
    old.stage.pass(0.1).await;
    old.store.set_down(true);
    old.stage.http.open_gate();
    old.stage.pass(20.0).await;
    asked.await.unwrap().unwrap_err();
    // The configuration was read again, twice.
    between.stage.manager.adopt(&old.stage.manager);
    new.stage.manager.adopt(&between.stage.manager);
    let manager = new.stage.manager.clone();
    let draining = tokio::spawn(async move { manager.drain().await });
    new.stage.pass(5.0).await;
    assert!(!draining.is_finished());
    old.store.set_down(false);
    new.stage.pass(2.0).await;
    assert!(draining.is_finished());
    assert_eq!(new.state().await, Some((CredentialState::Ready, 1)));
}

#[tokio::test]
async fn a_graceful_stop_waits_for_ten_seconds_and_no_longer() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let process = fleet.process();
    process.stage.http.close_gate();
    let asked = ask(&process.source);
    process.stage.pass(0.1).await;
    process.store.set_down(true);
    process.stage.http.open_gate();
    process.stage.pass(100.0).await;
    asked.await.unwrap().unwrap_err();
    let manager = process.stage.manager.clone();
    let draining = tokio::spawn(async move { manager.drain().await });
    process.stage.pass(9.5).await;
    assert!(!draining.is_finished());
    process.stage.pass(1.0).await;
    draining.await.unwrap();
}

/// A program that ends earlier leaves a lease behind, for which all others wait.
#[tokio::test]
async fn a_graceful_stop_waits_until_the_lock_is_given_back() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let process = fleet.process();
    // The store does not respond to the unlock.
    process.store.stop_after(HALVES - 2);
    assert_eq!(text(&process.source).await, "t-0");
    let manager = process.stage.manager.clone();
    let draining = tokio::spawn(async move { manager.drain().await });
    process.stage.pass(1.0).await;
    assert!(!draining.is_finished());
    process.stage.pass(5.0).await;
    assert!(draining.is_finished());
}

#[tokio::test]
async fn a_store_that_is_down_sends_nothing() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let process = fleet.process();
    process.store.set_down(true);
    let asked = ask(&process.source);
    process.stage.pass(30.0).await;
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert_eq!(fleet.vendor.requests(), 0);
}

#[tokio::test]
async fn a_refused_credential_is_never_sent_again() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    fleet.vendor.state.lock().unwrap().revoked = true;
    let processes = fleet.processes::<3>();
    for process in &processes {
        let error = failure(&process.source).await;
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(!error.refuses_client());
        assert!(error.to_string().contains("biped seed crm"), "{error}");
    }
    // Nor by any probe, however long it takes.
    for _ in 0..50 {
        for process in &processes {
            failure(&process.source).await;
        }
        fleet.clock.advance(Duration::from_secs(1800));
    }
    assert_eq!(fleet.vendor.requests(), 1);

    // A new seed is the end of that.
    *fleet.vendor.state.lock().unwrap() = Account {
        current: 7,
        ..Account::default()
    };
    let seed = SecretString::from("R-7");
    processes[0].source.seed(seed, false).await.unwrap();
    fleet.clock.advance(Duration::from_secs(1800));
    assert_eq!(text(&processes[2].source).await, "t-7");
}

#[tokio::test]
async fn a_new_seed_ends_a_refusal_in_every_process_within_seconds() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    fleet.vendor.state.lock().unwrap().revoked = true;
    // One sends the credential, one reads of it in the store, and a third seeds the account anew.
    let [sender, reader, seeder] = fleet.processes();
    for _ in 0..8 {
        for process in [&sender, &reader] {
            assert_eq!(failure(&process.source).await.kind(), ErrorKind::Refused);
        }
        fleet.clock.advance(Duration::from_secs(900));
    }
    for process in [&sender, &reader] {
        failure(&process.source).await;
    }
    assert_eq!(fleet.vendor.requests(), 1);
    *fleet.vendor.state.lock().unwrap() = Account {
        current: 7,
        ..Account::default()
    };
    seeder.source.seed("R-7".into(), false).await.unwrap();
    fleet.clock.advance(Duration::from_secs(2));
    assert_eq!(text(&sender.source).await, "t-7");
    settle().await;
    assert_eq!(text(&reader.source).await, "t-7");
    assert_eq!(fleet.vendor.requests(), 1, "with the new credential");
}

#[tokio::test]
async fn looking_at_a_refused_credential_again_asks_nothing_but_the_store() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    fleet.vendor.state.lock().unwrap().revoked = true;
    let process = fleet.process();
    for down in [false, true, false] {
        process.store.set_down(down);
        for _ in 0..5 {
            let asked = ask(&process.source);
            process.stage.pass(0.5).await;
            let error = asked.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            fleet.clock.advance(Duration::from_secs(1));
        }
    }
    assert_eq!(fleet.vendor.requests(), 1);
    assert_eq!(process.source.status().fetches, 1);
}

#[tokio::test]
async fn a_refusal_of_something_else_leaves_the_credential_ready() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    for (status, code) in [(401, "invalid_client"), (400, "invalid_scope")] {
        let process = fleet.process();
        process
            .stage
            .http
            .answer_with(move |_, _| Reply::error(status, code));
        failure(&process.source).await;
        assert_eq!(process.state().await, Some((CredentialState::Ready, 0)));
    }
    // An answer that never arrived may have replaced it.
    let process = fleet.process();
    process.stage.http.answer_with(|_, _| Reply::unreachable());
    let asked = ask(&process.source);
    process.stage.pass(30.0).await;
    asked.await.unwrap().unwrap_err();
    assert_eq!(process.state().await, Some((CredentialState::Asking, 0)));
}

#[tokio::test]
async fn a_vendor_that_does_not_answer_has_ten_seconds() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::at(Vendor::new(true));
    let process = fleet.process();
    process.stage.http.close_gate();
    drop(ask(&process.source));
    process.stage.pass(9.9).await;
    let other = fleet.process();
    let request = TokenRequest::new().scope("other");
    let asked = ask(&other.source.with_request(request));
    other.stage.pass(0.05).await;
    assert_eq!([&process, &other].map(|it| it.stage.http.count()), [1, 0]);
    other.stage.pass(1.0).await;
    asked.await.unwrap().unwrap();
    assert_eq!([&process, &other].map(|it| it.stage.http.count()), [1, 1]);
}

#[tokio::test]
async fn a_new_configured_seed_is_taken_once_and_an_old_one_never() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let old = fleet.process();
    assert_eq!(text(&old.source).await, "t-0");
    settle().await;

    // A rollout with a new one: a consent was given anew.
    fleet.vendor.state.lock().unwrap().current = 50;
    let new = fleet.seeded(Some("R-50"));
    fleet.pass_a_life();
    assert_eq!(text(&new.source).await, "t-50");
    settle().await;
    // The old deployment goes on with what the new one brought, and so does a rollback.
    for seed in ["R-0", "R-50", "R-0"] {
        let process = fleet.seeded(Some(seed));
        fleet.pass_a_life();
        text(&process.source).await;
        settle().await;
    }
    assert!(!fleet.vendor.is_revoked());
    assert_eq!(fleet.vendor.state.lock().unwrap().current, 54);
}

#[tokio::test]
async fn an_account_is_seeded_replaced_and_forgotten_by_hand() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let process = fleet.seeded(None);
    let seed = async |text: &str, replace| {
        let seeded = process.source.seed(SecretString::from(text), replace);
        seeded.await.map_err(|error| error.kind())
    };
    let error = failure(&process.source).await;
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.to_string().contains("biped seed crm"), "{error}");
    assert_eq!(process.state().await, None);

    assert_eq!(seed("R-0", false).await, Ok(()));
    assert_eq!(process.state().await, Some((CredentialState::Ready, 0)));
    assert_eq!(seed("R-9", false).await, Err(ErrorKind::Configuration));
    fleet.clock.advance(Duration::from_secs(60));
    assert_eq!(text(&process.source).await, "t-0");
    assert_eq!(seed("R-9", false).await, Err(ErrorKind::Configuration));
    fleet.vendor.state.lock().unwrap().current = 9;
    assert_eq!(seed("R-9", true).await, Ok(()));
    fleet.pass_a_life();
    assert_eq!(text(&process.source).await, "t-9");

    process.source.forget_credential().await.unwrap();
    assert_eq!(process.state().await, None);
    assert!(!fleet.accounts.holds("R-10"));
    assert_eq!(seed("R-9", true).await, Err(ErrorKind::Configuration));
    // Nor is a configured one taken again.
    let again = fleet.seeded(Some("R-0"));
    fleet.pass_a_life();
    assert_eq!(failure(&again.source).await.kind(), ErrorKind::Secret);
    assert_eq!(fleet.vendor.requests(), 2);
}

#[tokio::test]
async fn a_seed_that_is_gone_does_no_harm_once_it_was_taken() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let missing = SecretRef::env("BIPED_TEST_NO_SUCH_SEED");
    let process = fleet.process();
    let provider = TestProvider::default().named("crm").rotating(Some(missing));
    let source = process.stage.source_of(provider.named("crm"));
    assert_eq!(failure(&source).await.kind(), ErrorKind::Secret);
    process.source.seed("R-0".into(), false).await.unwrap();
    fleet.pass_a_life();
    assert_eq!(text(&source).await, "t-0");
}

/// Without a durable store, or with one that is not sealed, nothing is sent.
#[tokio::test]
async fn a_store_that_may_lose_it_keeps_no_credential() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    let seed = Some(SecretRef::inline("R-0"));
    let source = stage.source_of(TestProvider::default().rotating(seed));
    assert_eq!(failure(&source).await.kind(), ErrorKind::Configuration);
    assert_eq!(stage.http.count(), 0);
}
