//! Many keys in one manager.

use std::{collections::HashMap as StdMap, hint::black_box, sync::Arc};

use arc_swap::ArcSwap;
use biped_core::{Clock, Provider, SystemClock, Timestamp, TokenRequest};
use biped_engine::{TokenManager, TokenSource};
use hashbrown::HashMap;
use http::HeaderValue;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

use crate::{
    report::{Figure, Goal, ROUNDS, in_turns},
    vendor::{Plain, TOKEN_LENGTH, Vendor, manager},
};

const KEYS: u32 = 100_000;
const OPERATIONS: u64 = 200_000;

fn request(tenant: u32) -> TokenRequest {
    TokenRequest::new().param("tenant", i64::from(tenant))
}

/// A manager with that many tokens, and the handles to them.
fn filled() -> (TokenManager, Arc<Plain>, Vec<TokenSource>) {
    let (manager, provider) = manager(Arc::new(Vendor::new(3600)));
    let sources: Vec<_> = (0..KEYS)
        .map(|tenant| manager.source(provider.clone(), request(tenant)))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        for source in &sources {
            source.token().await.expect("a token");
        }
    });
    (manager, provider, sources)
}

/// In an order that no cache foresees.
fn shuffled() -> Vec<usize> {
    let mut order: Vec<usize> = (0..KEYS as usize).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut order);
    order
}

/// As much of a token as its clocks and its header.
struct Slot {
    header: HeaderValue,
    until: Timestamp,
}

fn token() -> Slot {
    let header = HeaderValue::from_str(&"x".repeat(TOKEN_LENGTH)).expect("a value");
    Slot {
        header,
        until: Timestamp::MAX,
    }
}

/// Reads as much of a header as it takes to send it.
fn read(slot: &ArcSwap<Slot>) {
    let slot = slot.load();
    black_box(SystemClock.now().wall < slot.until);
    black_box(slot.header.len());
}

pub(crate) fn by_handle() -> Vec<Figure> {
    let (_manager, _provider, sources) = filled();
    // Their tokens come later, as ours do: none lies beside its slot.
    let empty = Arc::new(token());
    let slots: Vec<_> = (0..KEYS)
        .map(|_| Arc::new(ArcSwap::new(empty.clone())))
        .collect();
    for slot in &slots {
        slot.store(Arc::new(token()));
    }
    let order = shuffled();
    let mut turns = (order.iter().cycle(), order.iter().cycle());
    let found = in_turns(
        OPERATIONS,
        |n| {
            for at in turns.0.by_ref().take(n as usize) {
                black_box(sources[*at].fresh().expect("a fresh token").header());
            }
        },
        |n| {
            for at in turns.1.by_ref().take(n as usize) {
                let slot = slots[*at].load();
                black_box(SystemClock.now().wall < slot.until);
                black_box(&slot.header);
            }
        },
    );
    let sent = in_turns(
        OPERATIONS,
        |n| {
            for at in turns.0.by_ref().take(n as usize) {
                let token = sources[*at].fresh().expect("a fresh token");
                black_box(token.header().len());
            }
        },
        |n| {
            for at in turns.1.by_ref().take(n as usize) {
                read(&slots[*at]);
            }
        },
    );
    let (most, none) = (Goal::Ratio(1.5), Goal::None);
    vec![
        Figure::beside("K1", "one of 100 000 keys by handle", "ns", most, &found),
        Figure::beside("K1", "  and its header read", "ns", none, &sent),
    ]
}

pub(crate) fn by_request() -> Vec<Figure> {
    let (manager, provider, sources) = filled();
    drop(sources);
    let requests: Vec<TokenRequest> = (0..KEYS).map(request).collect();
    let slots: HashMap<TokenRequest, ArcSwap<Slot>> = requests
        .iter()
        .map(|request| (request.clone(), ArcSwap::from_pointee(token())))
        .collect();
    let order = shuffled();
    let mut turns = (order.iter().cycle(), order.iter().cycle());
    let id = provider.id();
    let pairs = in_turns(
        OPERATIONS,
        |n| {
            for at in turns.0.by_ref().take(n as usize) {
                let token = manager.fresh(id, &requests[*at]).expect("a fresh token");
                black_box(token.header().len());
            }
        },
        |n| {
            for at in turns.1.by_ref().take(n as usize) {
                read(slots.get(&requests[*at]).expect("a slot"));
            }
        },
    );
    vec![Figure::beside(
        "K2",
        "one of 100 000 keys by provider and request",
        "ns",
        Goal::Ratio(2.0),
        &pairs,
    )]
}

/// What a new key costs in a manager that has a million of them in use, five times its bound, beside
/// one in a manager that has a few. Neither gives anything back while it is measured, and the tables of
/// neither grow.
pub(crate) fn beyond_the_bound() -> Vec<Figure> {
    const HELD: u32 = 1_000_000;
    /// With so many, no table has to grow for the keys of a round.
    const FEW: u32 = 16_000;
    const NEW: u32 = 10_000;
    let with = |keys: u32| {
        let (manager, provider) = manager(Arc::new(Vendor::new(3600)));
        // With room for what is added.
        let mut held = Vec::with_capacity(keys as usize + (ROUNDS + 1) * NEW as usize);
        held.extend((0..keys).map(|tenant| manager.source(provider.clone(), request(tenant))));
        (manager, provider, held)
    };
    let (crowded, provider, mut held) = with(HELD);
    let mut next = HELD;
    // One for each round, made before.
    let mut roomy: Vec<_> = (0..=ROUNDS).map(|_| with(FEW)).collect();
    let mut unused = roomy.iter_mut();
    let pairs = in_turns(
        u64::from(NEW),
        |_| {
            for _ in 0..NEW {
                held.push(crowded.source(provider.clone(), request(next)));
                next += 1;
            }
        },
        |_| {
            let (manager, provider, held) = unused.next().expect("one for each round");
            for tenant in FEW..FEW + NEW {
                held.push(manager.source(provider.clone(), request(tenant)));
            }
        },
    );
    vec![Figure::beside(
        "K4",
        "a new key beside 1 000 000 in use",
        "ns",
        Goal::Ratio(4.0),
        &pairs,
    )]
}

pub(crate) fn heap_per_token() -> Vec<Figure> {
    let heap = |build: &dyn Fn() -> Box<dyn std::any::Any>| {
        let region = Region::new(&INSTRUMENTED_SYSTEM);
        let built = build();
        let change = region.change();
        let held = change.bytes_allocated - change.bytes_deallocated;
        drop(built);
        #[allow(clippy::cast_precision_loss)]
        let each = held as f64 / f64::from(KEYS);
        #[allow(clippy::cast_precision_loss)]
        let text = TOKEN_LENGTH as f64;
        each - text
    };
    let value = heap(&|| {
        let (manager, provider, sources) = filled();
        drop(sources);
        Box::new((manager, provider))
    });
    let limit = heap(&|| {
        let mut map: StdMap<u64, HeaderValue> = StdMap::with_capacity(KEYS as usize);
        for tenant in 0..u64::from(KEYS) {
            let text = "x".repeat(TOKEN_LENGTH);
            map.insert(tenant, HeaderValue::from_str(&text).expect("a value"));
        }
        Box::new(map)
    });
    let figure = Figure::beside(
        "K3",
        "heap per cached token beyond its text",
        "bytes",
        Goal::Most(400.0),
        &[(value, limit)],
    );
    vec![figure]
}
