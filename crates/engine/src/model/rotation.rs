//! A credential that changes with each use: its owners take turns, are killed anywhere, outlast the leases of
//! dead ones, and lose answers.

use std::{fmt, future::pending};

use biped_core::{
    Account, AccountKey, DurableEntry, DurableLock, DurableStore, Generation, Lease, Revision,
    SecretRef, StoreError, StoredToken, TokenKey,
};
use shuttle::{
    future::yield_now,
    rand::{Rng, thread_rng},
};

use super::*;

/// How many points there are at which an owner may be killed: before and after each of five operations
/// of the store, and two at the vendor.
const POINTS: usize = 12;
/// The lease of stores that have one.
const LEASE: Duration = Duration::from_secs(15);

/// The vendor and the store of one account.
#[derive(Debug)]
struct World {
    clock: Arc<ModelClock>,
    /// How long a lock lasts; `None` if it ends with its owner.
    lease: Option<Duration>,
    /// Whether the vendor answers the latest replaced credential again.
    has_grace: bool,
    facts: Mutex<Facts>,
}

#[derive(Debug, Default)]
struct Facts {
    entry: Option<(u64, Vec<u8>)>,
    /// The number of the latest credential that was stored.
    stored: usize,
    /// Who has the lock, and until when.
    lock: Option<(usize, Option<Duration>)>,
    dead: HashSet<usize>,
    /// Which owners pause until when.
    pauses: Vec<(usize, Duration)>,
    owners: usize,
    /// The number of the credential that is good.
    current: usize,
    is_revoked: bool,
    /// Whether an answer was lost that replaced the credential.
    is_lost: bool,
    /// Which request loses its answer.
    loses: Option<usize>,
    requests: usize,
    /// Whose requests are on their way.
    on_the_wire: HashSet<usize>,
}

impl World {
    fn new(lease: Option<Duration>, has_grace: bool) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::default(),
            lease,
            has_grace,
            facts: Mutex::default(),
        })
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }

    /// Another process, which is killed at a point, or never.
    fn owner(self: &Arc<Self>, killed_at: Option<usize>) -> Owner {
        let number = {
            let mut facts = self.facts();
            facts.owners += 1;
            facts.owners
        };
        let process = Arc::new(Process {
            world: self.clone(),
            number,
            runtime: Handle::default(),
            left: AtomicUsize::new(killed_at.unwrap_or(NEVER)),
        });
        let id = ProviderId::new("model", "https://vendor.example/token", "us");
        let account = Account::new("model", id.token_endpoint(), "crm");
        let provider = Arc::new(Rotating {
            id,
            account: account.seed(Some(SecretRef::inline("R-0"))),
            process: process.clone(),
        });
        let manager = TokenManager::builder(Arc::new(NoWire))
            .clock(process.clone())
            .store(Arc::new(AccountsOnly(process.clone())))
            .build();
        let source = manager.source(provider, TokenRequest::new());
        Owner {
            process,
            manager,
            source,
        }
    }

    /// Lets time pass until `is_over`: to the end of the next pause, once no owner has more to do before it
    /// than to pause, and to the end of a dead owner's lease. No living owner outlasts its own.
    async fn pass(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            if let Some(wait) = self.wait() {
                self.clock.advance(wait);
            }
            yield_now().await;
        }
    }

    fn wait(&self) -> Option<Duration> {
        let now = self.clock.now().mono;
        let facts = self.facts();
        let next = facts.pauses.iter().map(|(_, until)| *until).min()?;
        let next = next.checked_sub(now).filter(|left| !left.is_zero())?;
        let Some((owner, until)) = facts.lock else {
            return Some(next);
        };
        let left = until.unwrap_or_default().saturating_sub(now);
        let is_pausing = facts.pauses.iter().any(|(pausing, _)| *pausing == owner);
        match facts.dead.contains(&owner) {
            true => Some(next.max(left)),
            false => is_pausing.then_some(next),
        }
    }

    /// What must be true of an error.
    fn check(&self, error: &Error) {
        let facts = self.facts();
        let waited = self.lease.is_some() && !facts.dead.is_empty();
        match error.kind() {
            ErrorKind::Refused => {
                assert!(facts.is_lost && !self.has_grace, "{error}");
                assert!(error.to_string().contains("was lost"), "{error}");
            }
            // The lease of a dead owner outlasts the patience of callers.
            ErrorKind::Store | ErrorKind::Unreachable => assert!(waited, "{error}"),
            _ => panic!("{error}"),
        }
    }

    /// Another owner has the account, unless an answer was lost that the vendor doesn't repeat.
    async fn is_in_order(self: &Arc<Self>) {
        self.clock.advance(LEASE);
        let owner = self.owner(None);
        let asked = owner.ask();
        self.pass(|| owner.is_done()).await;
        match asked.await.unwrap().unwrap() {
            Ok(()) => assert!(!self.facts().is_revoked),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
                self.check(&error);
            }
        }
    }
}

/// A process, which ends where it is to be killed.
struct Process {
    world: Arc<World>,
    number: usize,
    runtime: Handle,
    left: AtomicUsize,
}

/// How long a sleep is that is no limit.
const PAUSE: Duration = Duration::from_secs(1);

/// The world's clock, which tells who pauses.
impl Clock for Process {
    fn now(&self) -> Now {
        self.world.clock.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let sleep = self.world.clock.sleep(duration);
        if duration > PAUSE {
            return sleep;
        }
        let until = self.now().mono + duration;
        let pause = Pause {
            world: self.world.clone(),
            of: (self.number, until),
        };
        self.world.facts().pauses.push(pause.of);
        Box::pin(async move {
            let _pause = pause;
            sleep.await;
        })
    }
}

struct Pause {
    world: Arc<World>,
    of: (usize, Duration),
}

impl Drop for Pause {
    fn drop(&mut self) {
        let pauses = &mut self.world.facts().pauses;
        let at = pauses.iter().position(|pause| *pause == self.of).unwrap();
        pauses.swap_remove(at);
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.number)
    }
}

impl Process {
    /// A point where others may go first, and where the process may be killed.
    async fn point(&self) {
        elsewhere().await;
        if self.left.load(SeqCst) == 0 {
            self.world.facts().die(self.number, self.world.lease);
            self.runtime.end();
            return pending().await;
        }
        self.left.fetch_sub(1, SeqCst);
    }

    async fn operation<T>(&self, act: impl FnOnce(&mut Facts) -> T) -> Result<T, StoreError> {
        self.point().await;
        let done = act(&mut self.world.facts());
        self.point().await;
        Ok(done)
    }
}

impl Facts {
    fn die(&mut self, owner: usize, lease: Option<Duration>) {
        self.dead.insert(owner);
        // The operating system ends the locks of a process that is gone.
        if lease.is_none() && self.lock.is_some_and(|(holder, _)| holder == owner) {
            self.lock = None;
        }
        self.is_lost |= self.current > self.stored;
    }

    /// The vendor reads a credential, and replaces it.
    fn replace(&mut self, number: usize, has_grace: bool) -> bool {
        let is_retry = has_grace && number + 1 == self.current;
        self.is_revoked |= !(number == self.current || is_retry);
        if !self.is_revoked {
            self.current = number + 1;
        }
        !self.is_revoked
    }
}

struct Owner {
    process: Arc<Process>,
    manager: TokenManager,
    source: TokenSource,
}

impl Owner {
    /// Asks for a token in the process's own tasks.
    fn ask(&self) -> JoinHandle<Option<Result<(), Error>>> {
        let (source, manager) = (self.source.clone(), self.manager.clone());
        let process = self.process.clone();
        let asked = async move {
            let asked = source.token().await.map(drop);
            manager.drain().await;
            process.left.store(DONE, SeqCst);
            asked
        };
        self.process.runtime.spawn(asked).unwrap()
    }

    fn is_done(&self) -> bool {
        let is_dead = self
            .process
            .world
            .facts()
            .dead
            .contains(&self.process.number);
        is_dead || self.process.left.load(SeqCst) == DONE
    }
}

/// How many points are left to a process that is never killed, and to one that has its outcome.
const NEVER: usize = usize::MAX / 2;
const DONE: usize = usize::MAX;

#[derive(Debug)]
struct Rotating {
    id: ProviderId,
    account: Account,
    process: Arc<Process>,
}

/// A request that is on its way: never two of living owners.
struct Sent<'a>(&'a Process);

impl<'a> Sent<'a> {
    fn new(process: &'a Process, number: usize) -> (Self, usize) {
        let mut facts = process.world.facts();
        let later = facts.stored;
        assert!(
            number >= later,
            "R-{number} was sent, and R-{later} is stored"
        );
        let mut others = facts.on_the_wire.difference(&facts.dead);
        assert_eq!(others.next(), None, "two requests at a time");
        facts.on_the_wire.insert(process.number);
        facts.requests += 1;
        (Self(process), facts.requests)
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.0.world.facts().on_the_wire.remove(&self.0.number);
    }
}

#[async_trait]
impl Provider for Rotating {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn account(&self) -> Option<&Account> {
        Some(&self.account)
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let world = &*self.process.world;
        let token = cx.refresh_token()?;
        let number = credential(token.expose_secret()).unwrap();
        // The vendor answers by itself; so the request counts as sent.
        let field = ("refresh_token", token.expose_secret());
        drop(cx.post_form(self.id.token_endpoint(), [field]).await);
        let (_sent, request) = Sent::new(&self.process, number);
        self.process.point().await;
        let is_replaced = world.facts().replace(number, world.has_grace);
        self.process.point().await;
        let is_lost = {
            let mut facts = world.facts();
            let is_lost = facts.loses == Some(request);
            facts.is_lost |= is_lost && is_replaced;
            is_lost
        };
        if is_lost {
            return Err(Error::unreachable("the answer was lost"));
        }
        if !is_replaced {
            return Err(Error::refused(VendorError::new(400).code("invalid_grant")));
        }
        cx.replace_refresh_token(format!("R-{}", number + 1));
        Token::new(number.to_string(), cx.sent_at())
            .expires_in(Some(Duration::from_secs(1000)))
            .build()
    }
}

fn credential(text: &str) -> Option<usize> {
    text.strip_prefix("R-")?.parse().ok()
}

#[async_trait]
impl DurableStore for Process {
    async fn load(&self, _: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        let entry = self.operation(|facts| facts.entry.clone()).await?;
        Ok(entry.map(|(revision, bytes)| DurableEntry {
            revision: Revision(revision),
            bytes,
        }))
    }

    async fn swap(
        &self,
        _: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let written: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let number = credential(written["token"].as_str().unwrap());
        let swap = |facts: &mut Facts| {
            if facts.entry.as_ref().map_or(0, |(revision, _)| *revision) != expected.0 {
                return false;
            }
            if let Some(number) = number {
                let before = facts.stored;
                assert!(number >= before, "R-{before} was lost to R-{number}");
                facts.stored = number;
            }
            facts.entry = Some((expected.0 + 1, bytes.to_vec()));
            true
        };
        self.operation(swap).await
    }

    async fn lock(&self, _: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        let (now, lease) = (self.world.clock.now().mono, self.world.lease);
        let take = |facts: &mut Facts| {
            let is_free = match facts.lock {
                None => true,
                Some((_, until)) => until.is_some_and(|until| until <= now),
            };
            if is_free {
                facts.lock = Some((self.number, lease.map(|lease| now + lease)));
            }
            is_free
        };
        self.point().await;
        let is_taken = take(&mut self.world.facts());
        let lock = is_taken.then(|| Lock {
            world: self.world.clone(),
            owner: self.number,
        });
        self.point().await;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn DurableLock>))
    }

    fn is_sealed(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Lock {
    world: Arc<World>,
    owner: usize,
}

#[async_trait]
impl DurableLock for Lock {
    fn lease(&self) -> Option<Duration> {
        self.world.lease
    }

    async fn unlock(self: Box<Self>) {
        elsewhere().await;
        self.end();
        elsewhere().await;
    }
}

impl Lock {
    fn end(&self) {
        let mut facts = self.world.facts();
        if facts.lock.is_some_and(|(owner, _)| owner == self.owner) {
            facts.lock = None;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.world.lease.is_none() {
            self.end();
        }
    }
}

/// A store that keeps the account, and no tokens.
#[derive(Debug)]
struct AccountsOnly(Arc<Process>);

#[async_trait]
impl TokenStore for AccountsOnly {
    async fn get(&self, _: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        Ok(None)
    }

    async fn put(
        &self,
        _: &TokenKey,
        _: &StoredToken,
        _: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn forget(&self, _: &TokenKey, _: Generation, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        Some(self.0.clone())
    }
}

/// A run has several processes and all their pauses.
const SHARE: usize = 8;

/// Where locks are the operating system's, and where they are leases.
const LOCKS: [Option<Duration>; 2] = [None, Some(LEASE)];

#[test]
fn owners_of_an_account_send_each_credential_once() {
    for lease in LOCKS {
        explore_some(SHARE, move || async move {
            let world = World::new(lease, false);
            let owners = [0; 3].map(|_| world.owner(None));
            let asked = owners.each_ref().map(Owner::ask);
            world.pass(|| owners.iter().all(Owner::is_done)).await;
            for asked in asked {
                asked.await.unwrap().unwrap().unwrap();
            }
            world.is_in_order().await;
            let facts = world.facts();
            assert_eq!((facts.requests, facts.stored, facts.current), (4, 4, 4));
        });
    }
}

#[test]
fn an_owner_that_is_killed_anywhere_takes_no_account_with_it_but_with_its_answer() {
    for lease in LOCKS {
        for has_grace in [true, false] {
            explore_some(SHARE, move || async move {
                let world = World::new(lease, has_grace);
                let points = [0; 2].map(|_| thread_rng().gen_range(0..=POINTS));
                let owners = [Some(points[0]), Some(points[1]), None].map(|at| world.owner(at));
                let asked = owners.each_ref().map(Owner::ask);
                world.pass(|| owners.iter().all(Owner::is_done)).await;
                for (owner, asked) in owners.iter().zip(asked) {
                    if world.facts().dead.contains(&owner.process.number) {
                        continue;
                    }
                    if let Err(error) = asked.await.unwrap().unwrap() {
                        world.check(&error);
                    }
                }
                world.is_in_order().await;
            });
        }
    }
}

#[test]
fn a_lost_answer_is_told_where_the_vendor_does_not_repeat_it() {
    for lease in LOCKS {
        for has_grace in [true, false] {
            explore_some(SHARE, move || async move {
                let world = World::new(lease, has_grace);
                world.facts().loses = Some(thread_rng().gen_range(1..=3));
                let owners = [0; 2].map(|_| world.owner(None));
                let asked = owners.each_ref().map(Owner::ask);
                world.pass(|| owners.iter().all(Owner::is_done)).await;
                for asked in asked {
                    if let Err(error) = asked.await.unwrap().unwrap() {
                        world.check(&error);
                    }
                }
                world.is_in_order().await;
                let facts = world.facts();
                assert_eq!(facts.is_revoked, facts.is_lost && !has_grace);
            });
        }
    }
}
