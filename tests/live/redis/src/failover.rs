//! What happens while another server takes over.

use std::time::Duration;

use biped::provider::{Clock, SystemClock};

use crate::{
    fleet::{Fleet, Setup},
    line::Line,
    many::{Cluster, Many, Watched},
    scenarios::{FEWER, PATIENCE, REFRESH_AT, Vendor, line},
};

/// How soon after the election of a primary a fleet is back to one request a lifetime.
const SETTLES: Duration = Duration::from_secs(2);

/// What is done to the primary.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Nothing,
    Kill,
    Stop,
    HandOver,
    MoveSlot,
}

pub(crate) async fn cluster(found: &mut impl FnMut(Line)) {
    let mut cluster = Cluster::start().await;
    let acts = [
        (Act::Nothing, "cluster: nothing happens"),
        (Act::HandOver, "cluster: CLUSTER FAILOVER"),
        (Act::MoveSlot, "cluster: the slot moves"),
        (Act::Stop, "cluster: primary stopped for 5 s"),
        (Act::Kill, "cluster: primary killed"),
    ];
    each(&mut cluster, &acts, Cluster::move_slot, found).await;
}

pub(crate) async fn sentinel(found: &mut impl FnMut(Line)) {
    let mut watched = Watched::start().await;
    let acts = [
        (Act::Nothing, "sentinels: nothing happens"),
        (Act::HandOver, "sentinels: SENTINEL FAILOVER"),
        (Act::Stop, "sentinels: primary stopped for 5 s"),
        (Act::Kill, "sentinels: primary killed"),
    ];
    each(&mut watched, &acts, |_| {}, found).await;
}

async fn each<M: Many>(
    many: &mut M,
    acts: &[(Act, &'static str)],
    move_slot: impl Fn(&M),
    found: &mut impl FnMut(Line),
) {
    let (vendor, other) = (Vendor::start(4).await, Vendor::start(4).await);
    let setup = |vendor: &Vendor, store: Option<String>| Setup {
        token_endpoint: vendor.token_endpoint(),
        store,
        refresh_at: REFRESH_AT,
    };
    let fleet = Fleet::start(setup(&vendor, Some(many.store())), FEWER);
    let without = Fleet::start(setup(&other, None), FEWER);
    SystemClock.sleep(vendor.lifetime * 2).await;
    fleet.take();
    let measure = without.take().slowest;
    for (act, name) in acts {
        let before = vendor.requests();
        let primary = many.primary();
        match act {
            Act::Nothing => {}
            Act::Kill => many.signal(primary, "-KILL"),
            Act::Stop => many.signal(primary, "-STOP"),
            Act::HandOver => many.hand_over(),
            Act::MoveSlot => move_slot(many),
        }
        let started = SystemClock.now().mono;
        // Until another server is the primary.
        if *act != Act::Nothing {
            while many.primary() == primary {
                let waited = SystemClock.now().mono - started;
                assert!(waited < Duration::from_secs(60), "no other primary");
                SystemClock.sleep(Duration::from_millis(100)).await;
            }
        }
        SystemClock.sleep(SETTLES).await;
        let limit = Some(without.take().slowest.max(measure) + PATIENCE);
        found(Line {
            limit,
            ..line(name, vendor.requests() - before, fleet.take())
        });

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
        found(Line {
            // What was written in the last moments may be lost.
            allowed: Some(vendor.allowed(elapsed) + 1),
            limit,
            ..line("… and afterwards", vendor.requests() - before, fleet.take())
        });
        if *act == Act::Kill {
            many.restart(primary);
        }
    }
    fleet.stop().await;
    without.stop().await;
}
