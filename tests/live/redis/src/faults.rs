//! One fleet through all that can happen to the server of its store.

use std::time::Duration;

use biped::provider::{Clock, SystemClock};

use crate::{
    faulty::{Fault, Faulty},
    fleet::Fleet,
    line::{ATTEMPTS, Line},
    proxy::Proxy,
    scenarios::{FEWER, LATE, PATIENCE, Vendor, line},
};

/// How long a fault lasts.
const LASTS: Duration = Duration::from_secs(5);

/// One fleet through all that can happen to its server, and beside it one without a store: what it
/// takes there is the measure, on a busy machine as on an idle one. Still, where something was only too
/// late, that may have been the machine: the fault is tried again, and a store that is to blame is late each
/// time.
pub(crate) async fn run<S: Faulty>(server: &mut S, found: &mut impl FnMut(Line)) {
    let (vendor, other) = (Vendor::start(4).await, Vendor::start(4).await);
    let proxy = Proxy::start(server.port()).await;
    let mut fleet = Fleet::start(vendor.setup(Some(S::store(proxy.port))), FEWER);
    let mut without = Fleet::start(other.setup(None), FEWER);
    SystemClock.sleep(vendor.lifetime).await;
    fleet.take();
    let measure = without.take().slowest;
    let limit = |without: &Fleet| Some(without.take().slowest.max(measure) + PATIENCE);
    for (fault, name) in S::FAULTS {
        for attempt in 1.. {
            let before = vendor.requests();
            proxy.cut(matches!(fault, Fault::Cut));
            server.begin(*fault).await;
            SystemClock.sleep(LASTS / 2).await;
            fleet.grow(LATE);
            without.grow(LATE);
            SystemClock.sleep(LASTS / 2).await;
            proxy.cut(false);
            server.end(*fault).await;
            // A store that failed is left alone for 5 s; then each finds the others' token.
            let settled = Duration::from_secs(5) + vendor.lifetime;
            SystemClock.sleep(settled).await;
            let mut during = Line {
                limit: limit(&without),
                without_store: fleet.without_store(),
                ..line(name, vendor.requests() - before, fleet.take())
            };

            let (before, started) = (vendor.requests(), SystemClock.now().mono);
            SystemClock.sleep(vendor.lifetime * 2).await;
            let elapsed = SystemClock.now().mono - started;
            let mut afterwards = Line {
                allowed: Some(vendor.allowed(elapsed)),
                limit: limit(&without),
                ..line("… and afterwards", vendor.requests() - before, fleet.take())
            };

            let late = [&during, &afterwards].iter().any(|line| line.is_late());
            let again = late && attempt < ATTEMPTS;
            for line in [&mut during, &mut afterwards] {
                line.again = again && line.is_right() && line.is_late();
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
