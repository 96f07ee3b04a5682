//! What a fleet costs: processes that share a token for five of its lifetimes.

use std::time::Duration;

use biped::provider::{Clock, SystemClock};

use crate::{
    fleet::{Fleet, Log, Setup},
    many::{Cluster, Guard, Many},
    postgres::Postgres,
    scenarios::{REFRESH_AT, Vendor},
    server::Server,
};

/// How long a token lives, in seconds, and how many lives are watched. Of this life a tenth is left to renew
/// it, and a machine that other work slows down must not stand still for that long.
const LIFETIME: u64 = 10;
const LIVES: u32 = 5;
/// How many processes a fleet has.
const SIZES: [usize; 3] = [1, 50, 200];
/// Between two calls of a process.
const PAUSE: Duration = Duration::from_millis(100);
/// How many times more calls the last row has.
const MORE: u32 = 5;
/// How many times more store operations those calls may lead to.
const NO_MORE: f64 = 1.5;

/// What is printed of a fleet.
struct Row {
    store: &'static str,
    size: usize,
    requests: u64,
    allowed: u64,
    operations: f64,
    log: Log,
    is_good: bool,
}

impl Row {
    fn print(&self) {
        let Self { log, .. } = self;
        let cpu = log.cpu.as_secs_f64() * 1000.0 / f64::from(u32::try_from(self.size).unwrap());
        println!(
            "{:<28} {:>9} {:>4}{:<8} {:>7} {:>6} {:>6} ms {:>9.1} {:>9.0} ms   {}",
            self.store,
            self.size,
            self.requests,
            format!(" (≤ {})", self.allowed),
            log.calls,
            log.failed.len(),
            log.slowest.as_millis(),
            self.operations,
            cpu,
            if self.is_good { "ok" } else { "BROKEN" },
        );
        for error in log.failed.iter().take(3) {
            println!("    {error}");
        }
    }
}

/// Prints a row for each store and size, or for those that are `wanted` by name and number. Returns how many
/// bars are broken.
pub(crate) async fn run(wanted: &[String]) -> usize {
    let sizes: Vec<usize> = wanted.iter().filter_map(|it| it.parse().ok()).collect();
    let is_whole = sizes.is_empty();
    let sizes = if is_whole { SIZES.to_vec() } else { sizes };
    let is_size = |it: &String| it.parse::<usize>().is_ok();
    let wants = |name: &str| wanted.iter().all(is_size) || wanted.iter().any(|it| it == name);
    println!(
        "{:<28} {:>9} {:<12} {:>7} {:>6} {:>9} {:>9} {:>12}",
        "store", "processes", "requests", "calls", "failed", "slowest", "store/s", "CPU each"
    );
    let mut broken = 0;
    let mut print = |row: Row| {
        row.print();
        broken += usize::from(!row.is_good);
        row.operations
    };
    if wants("redis") {
        let server = Server::start().await;
        let url = server.url();
        for size in sizes.iter().copied() {
            print(row("one Redis", &url, size, PAUSE).await);
        }
        if is_whole {
            let usual = print(row("one Redis", &url, SIZES[1], PAUSE).await);
            let mut more = row("one Redis, 5 times the calls", &url, SIZES[1], PAUSE / MORE).await;
            more.is_good &= more.operations <= usual * NO_MORE;
            print(more);
        }
    }
    if wants("cluster") {
        let cluster = Cluster::start(Guard::None).await;
        for size in sizes.iter().copied() {
            print(row("a cluster of Redis", &cluster.store(), size, PAUSE).await);
        }
    }
    if wants("postgres") {
        let server = Postgres::start().await;
        for size in sizes.iter().copied() {
            print(row("PostgreSQL", &server.url(), size, PAUSE).await);
        }
    }
    broken
}

async fn row(name: &'static str, store: &str, size: usize, pause: Duration) -> Row {
    let vendor = Vendor::start(LIFETIME).await;
    let setup = Setup {
        token_endpoint: vendor.token_endpoint(),
        store: Some(store.to_owned()),
        refresh_at: REFRESH_AT,
        pause,
    };
    let started = SystemClock.now().mono;
    let fleet = Fleet::roll_out(setup, size).await;
    SystemClock.sleep(vendor.lifetime * LIVES).await;
    let log = fleet.stop().await;
    let elapsed = SystemClock.now().mono - started;
    let (requests, allowed) = (vendor.requests(), vendor.allowed(elapsed));
    #[allow(clippy::cast_precision_loss)]
    let operations = log.operations as f64 / elapsed.as_secs_f64();
    Row {
        store: name,
        size,
        requests,
        allowed,
        operations,
        is_good: requests <= allowed && log.failed.is_empty(),
        log,
    }
}
