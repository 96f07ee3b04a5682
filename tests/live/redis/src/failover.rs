//! What happens while another server takes over.

use std::{sync::Arc, time::Duration};

use biped::{
    SecretString,
    provider::{Clock, SystemClock},
    redis::{RedisStore, Sentinel},
    store::{Generation, StoredToken, TokenKey, TokenStore},
};
use biped_testing::store::{Alternating, conformance};

use crate::{
    faults,
    fleet::{Fleet, Log},
    line::{ATTEMPTS, Line},
    many::{Cluster, Files, Guard, Many, Watched},
    postgres::{Pair, Postgres},
    scenarios::{FEWER, PATIENCE, REFRESH_AT, Vendor, line},
};

/// How many processes start in the middle of a fault. They have no token yet.
const LATE: usize = 2;

/// How soon after the election of a primary a fleet is back to one request a lifetime.
const SETTLES: Duration = Duration::from_secs(2);

/// How long before a renewal something happens.
const AHEAD: Duration = Duration::from_millis(200);

/// What is done to the primary, or to those who watch it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Nothing,
    Kill,
    Stop,
    HandOver,
    MoveSlot,
    /// So many watchers stand still.
    StopWatchers(usize),
    /// The primary is killed while one watcher stands still.
    KillHalfWatched,
}

impl Act {
    /// Whether another server takes over.
    fn elects(self) -> bool {
        !matches!(self, Self::Nothing | Self::StopWatchers(_))
    }

    fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::KillHalfWatched)
    }

    fn stopped_watchers(self) -> usize {
        match self {
            Self::StopWatchers(count) => count,
            Self::KillHalfWatched => 1,
            _ => 0,
        }
    }
}

pub(crate) async fn cluster(found: &mut impl FnMut(Line)) {
    let guarded = Cluster::start(Guard::TlsAndUser).await;
    let ca = Some(Files::get().ca.clone().into_bytes());
    let open = || RedisStore::cluster(&secret(guarded.urls()), ca.clone()).unwrap();
    found(promises("cluster: promises, by TLS and as a user", open).await);
    drop(guarded);
    let mut cluster = Cluster::start(Guard::None).await;
    let open = || RedisStore::cluster(&secret(cluster.urls()), None).unwrap();
    found(promises("cluster: promises", open).await);
    cluster.clear();
    let acts = [
        (Act::Nothing, "cluster: nothing happens"),
        (Act::HandOver, "cluster: CLUSTER FAILOVER"),
        (Act::MoveSlot, "cluster: the slot moves"),
        (Act::Stop, "cluster: primary stopped for 5 s"),
        (Act::Kill, "cluster: primary killed"),
    ];
    each(&mut cluster, &acts, Cluster::move_slot, found).await;
    found(woken(&cluster).await);
    let open = || RedisStore::cluster(&secret(cluster.urls()), None).unwrap();
    found(promises("cluster: promises, after all that", open).await);
}

pub(crate) async fn sentinel(found: &mut impl FnMut(Line)) {
    let guarded = Watched::start(Guard::TlsAndUser).await;
    let ca = Some(Files::get().ca.clone().into_bytes());
    let named = || Sentinel::new("mymaster");
    let open = || RedisStore::sentinel(&secret(guarded.urls()), ca.clone(), named()).unwrap();
    found(promises("sentinels: promises, by TLS and as a user", open).await);
    drop(guarded);
    let mut watched = Watched::start(Guard::None).await;
    let open = || RedisStore::sentinel(&secret(watched.urls()), None, named()).unwrap();
    found(promises("sentinels: promises", open).await);
    let acts = [
        (Act::Nothing, "sentinels: nothing happens"),
        (Act::HandOver, "sentinels: SENTINEL FAILOVER"),
        (Act::Stop, "sentinels: primary stopped for 5 s"),
        (Act::Kill, "sentinels: primary killed"),
        (Act::StopWatchers(1), "sentinels: one of three stopped"),
        (Act::KillHalfWatched, "sentinels: … and the primary killed"),
        (Act::StopWatchers(2), "sentinels: two of three stopped"),
    ];
    each(&mut watched, &acts, |_| {}, found).await;
    let open = || RedisStore::sentinel(&secret(watched.urls()), None, named()).unwrap();
    found(promises("sentinels: promises, after all that", open).await);
}

pub(crate) async fn postgres(found: &mut impl FnMut(Line)) {
    faults::run(&mut Postgres::start().await, found).await;
    let acts = [
        (Act::Nothing, "PostgreSQL: nothing happens"),
        (Act::Kill, "PostgreSQL: ended, the replica promoted"),
    ];
    each(&mut Pair::start().await, &acts, |_| {}, found).await;
}

fn secret(urls: Vec<String>) -> Vec<SecretString> {
    urls.into_iter().map(Into::into).collect()
}

/// The promises of a store, kept by two processes together.
async fn promises(name: &'static str, open: impl Fn() -> RedisStore) -> Line {
    let [one, other] = [Arc::new(open()), Arc::new(open())];
    // The first connection may take longer than an operation.
    for store in [&one, &other] {
        for _ in 0..100 {
            if store.get(&TokenKey::from_bytes([1; 32])).await.is_ok() {
                break;
            }
        }
    }
    let both = Arc::new(Alternating::new(one, vec![other]));
    let kept = tokio::spawn(async move {
        for which in [
            conformance::STORAGE,
            conformance::LEASES,
            conformance::WAKING,
        ] {
            conformance::run(both.clone(), which).await;
        }
    });
    let broken = kept.await.err().map(|broken| broken.to_string());
    let log = Log {
        failed: broken.into_iter().collect(),
        ..Log::default()
    };
    line(name, 0, log)
}

/// A caller that waits hears of a token that is stored after its slot has moved.
async fn woken(cluster: &Cluster) -> Line {
    const KEY: TokenKey = TokenKey::from_bytes([8; 32]);
    const ENOUGH: Duration = Duration::from_secs(5);
    let open = || RedisStore::cluster(&secret(cluster.urls()), None).unwrap();
    let (holder, waiter) = (open(), Arc::new(open()));
    // The only key, so that its slot is the one that moves.
    cluster.clear();
    let hour = Duration::from_secs(3600);
    while holder.lease(&KEY, hour, None).await.is_err() {}
    let heard = tokio::spawn({
        let waiter = waiter.clone();
        // A connection that ends is heard as well; then the caller asks again.
        async move { while waiter.changed(&KEY, Generation(1)).await.is_err() {} }
    });
    cluster.move_slot();
    let token = StoredToken {
        generation: Generation(2),
        keep: hour,
        bytes: b"the-token".to_vec(),
    };
    while holder.put(&KEY, &token, None).await.is_err() {}
    let start = SystemClock.now().mono;
    let failed = tokio::select! {
        biased;
        heard = heard => heard.err().map(|error| error.to_string()),
        () = SystemClock.sleep(ENOUGH) => Some("nothing was heard".to_owned()),
    };
    let log = Log {
        failed: failed.into_iter().collect(),
        slowest: SystemClock.now().mono - start,
        ..Log::default()
    };
    line("cluster: woken after the slot has moved", 0, log)
}

async fn each<M: Many>(
    many: &mut M,
    acts: &[(Act, &'static str)],
    move_slot: impl Fn(&M),
    found: &mut impl FnMut(Line),
) {
    let (vendor, other) = (Vendor::start(4).await, Vendor::start(4).await);
    let mut fleet = Fleet::start(vendor.setup(Some(many.store())), FEWER);
    let mut without = Fleet::start(other.setup(None), FEWER);
    SystemClock.sleep(vendor.lifetime * 2).await;
    fleet.take();
    let measure = without.take().slowest;
    for (act, name) in acts {
        for attempt in 1.. {
            // Just before the token is renewed, so that all processes ask for it meanwhile.
            fleet.renewed().await;
            let due = vendor.lifetime.mul_f64(REFRESH_AT);
            SystemClock.sleep(due.saturating_sub(AHEAD)).await;
            let before = vendor.requests();
            let primary = many.primary();
            many.signal_watchers(act.stopped_watchers(), "-STOP");
            match act {
                Act::Nothing | Act::StopWatchers(_) => {}
                Act::Kill | Act::KillHalfWatched => many.signal(primary, "-KILL"),
                Act::Stop => many.signal(primary, "-STOP"),
                Act::HandOver => many.hand_over(),
                Act::MoveSlot => move_slot(many),
            }
            fleet.grow(LATE);
            without.grow(LATE);
            let started = SystemClock.now().mono;
            // Until another server is the primary.
            if act.elects() {
                while many.primary() == primary {
                    let waited = SystemClock.now().mono - started;
                    assert!(waited < Duration::from_secs(60), "no other primary");
                    SystemClock.sleep(Duration::from_millis(100)).await;
                }
            }
            SystemClock.sleep(SETTLES).await;
            let limit = Some(without.take().slowest.max(measure) + PATIENCE);
            let mut during = Line {
                limit,
                ..line(name, vendor.requests() - before, fleet.take())
            };

            let (before, started) = (vendor.requests(), SystemClock.now().mono);
            if *act == Act::Stop {
                // For a moment there are two primaries.
                let stopped = Duration::from_secs(5).saturating_sub(SETTLES);
                SystemClock.sleep(stopped).await;
                many.signal(primary, "-CONT");
            }
            SystemClock.sleep(vendor.lifetime * 2).await;
            let elapsed = SystemClock.now().mono - started;
            let limit = Some(without.take().slowest.max(measure) + PATIENCE);
            let mut afterwards = Line {
                // What was written in the last moments may be lost.
                allowed: Some(vendor.allowed(elapsed) + 1),
                limit,
                ..line("… and afterwards", vendor.requests() - before, fleet.take())
            };
            if act.kills() {
                many.restart(primary).await;
            }
            many.signal_watchers(act.stopped_watchers(), "-CONT");
            // A machine that stands still for as long as an operation of the store may take makes its
            // process go on without the store. A store that is to blame is so each time.
            let again = attempt < ATTEMPTS
                && [&during, &afterwards].iter().any(|line| !line.is_good())
                && [&during, &afterwards]
                    .iter()
                    .all(|line| line.may_be_the_machine());
            for line in [&mut during, &mut afterwards] {
                line.again = again && !line.is_good();
            }
            found(during);
            found(afterwards);
            if !again {
                break;
            }
        }
    }
    fleet.stop().await;
    without.stop().await;
}
