//! What Biped costs. Beside a figure stands its limit, where it has one: the least that the machine
//! needs for the same, measured in the same run in turns.
//!
//! ```sh
//! cargo run --release -p biped-bench                  # all, as a table
//! cargo run --release -p biped-bench H1 K2 --json     # some, a JSON line each
//! cargo run --release -p biped-bench --features heap  # K3 and T, which count allocations
//! ```

#![allow(
    clippy::disallowed_methods, // a bench measures with the machine's own clocks
    clippy::print_stdout,       // and prints
    clippy::print_stderr,
    clippy::expect_used,        // and ends where something can't be
    clippy::panic
)]

mod catalogue;
mod fleet;
mod hot;
mod keys;
mod network;
mod report;
mod tenants;
mod vendor;

use std::process::Command;

use report::Figure;

/// Counts what is allocated, for K3 and T. The other benches run without it: it makes each allocation and
/// each release dearer, on counters that all threads share.
#[cfg(feature = "heap")]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;

type Bench = fn() -> Vec<Figure>;

/// The benches that count allocations.
const HEAP: [&str; 2] = ["K3", "T"];

/// What is said before the name to a process that is for one bench.
const ALONE: &str = "alone";

const BENCHES: &[(&str, Bench)] = &[
    ("H1", hot::fresh_on_one_thread),
    ("H1a", hot::awaited_on_one_thread),
    ("H2", hot::fresh_on_two_threads),
    ("H2a", hot::awaited_on_two_threads),
    ("H2o", hot::owned_on_two_threads),
    ("A", hot::attached),
    ("K1", keys::by_handle),
    ("K2", keys::by_request),
    ("K3", keys::heap_per_token),
    ("K4", keys::beyond_the_bound),
    ("T", tenants::heap_per_tenant),
    ("C1", catalogue::one_vendor),
    ("C2", catalogue::all_vendors),
    ("S", fleet::stampede),
    ("R", fleet::rotations),
    ("RF", fleet::rotations_with_an_outage),
    ("M", network::ten_thousand_fetches),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .first()
        .is_some_and(|first| first == network::SERVER)
    {
        return network::serve();
    }
    if let [first, what, vendor] = &arguments[..]
        && first == catalogue::ONCE
    {
        return catalogue::once(what, vendor);
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    let names: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|name| !name.starts_with("--"))
        .collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| **name != ALONE && BENCHES.iter().all(|(known, _)| known != *name))
    {
        let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        eprintln!(
            "no bench is named {unknown}; expected one of {}",
            known.join(" ")
        );
        std::process::exit(2);
    }
    if let Some((_, bench)) = BENCHES.iter().find(|(name, _)| names == [ALONE, *name]) {
        for figure in bench() {
            if json {
                figure.print_json();
            } else {
                figure.print_row();
            }
        }
        return;
    }
    let wanted = |name: &&str| names.is_empty() || names.contains(name);
    let all = BENCHES.iter().map(|(name, _)| *name).filter(wanted);
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        all.partition(|name| HEAP.contains(name) == cfg!(feature = "heap"));
    if !json && !here.is_empty() {
        report::print_head();
    }
    for name in here {
        run_alone(name, json);
    }
    if !elsewhere.is_empty() {
        let (names, how) = (
            elsewhere.join(" "),
            if cfg!(feature = "heap") {
                "without"
            } else {
                "with"
            },
        );
        eprintln!("not measured: {names}; run {how} --features heap");
    }
}

/// Runs a bench in a process of its own: what another left behind on the heap is not its cost.
fn run_alone(name: &str, json: bool) {
    let program = std::env::current_exe().expect("this program can be found");
    let mut child = Command::new(program);
    child.args([ALONE, name]).args(json.then_some("--json"));
    let status = child.status().expect("this program can be started");
    if !status.success() {
        std::process::exit(1);
    }
}
