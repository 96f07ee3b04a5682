//! A credential that changes with each use: its owners take turns, are killed anywhere, outlast the leases of
//! dead ones, and lose answers.

use biped_core::{Account, SecretRef};
use shuttle::rand::{Rng, thread_rng};

use super::{
    account::{AccountsOnly, LEASE, Process, World, credential},
    *,
};

/// How many points there are at which an owner may be killed: before and after each of five operations
/// of the store, and two at the vendor.
const POINTS: usize = 12;
impl World {
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
