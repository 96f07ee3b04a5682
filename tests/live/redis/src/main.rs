//! Fleets of processes on a real Redis: how often they ask the vendor, and what the worst call is
//! like, while the Redis and the processes are well, and while they are not.
//!
//! Prints a line for each scenario and ends with status 1 where a bound is broken. The process that
//! is started first runs the scenarios (those named, or `fleet`, `killed`, `sealed` and `faults`; `cluster`,
//! `sentinel` and `postgres` only if they are named; `numbers` alone, or with the stores that are wanted);
//! `worker …` is one process of a fleet.
// A test program: what goes wrong ends it, and what it finds is printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod failover;
mod faults;
mod faulty;
mod fleet;
mod line;
mod many;
mod numbers;
mod postgres;
mod proxy;
mod scenarios;
mod server;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = &arguments[..]
        && first == "worker"
    {
        worker::run(rest);
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    if let [first, rest @ ..] = &arguments[..]
        && first == "numbers"
    {
        let broken = runtime.block_on(numbers::run(rest));
        println!("{broken} bars broken");
        return ExitCode::from(u8::from(broken > 0));
    }
    println!(
        "{:<44} {:<12} {:>7} {:>6} {:>9}",
        "scenario", "requests", "calls", "failed", "slowest"
    );
    let broken = runtime.block_on(async {
        let mut broken = 0;
        let mut found = |line: line::Line| {
            line.print();
            broken += usize::from(!line.is_good() && !line.again);
        };
        let wants = |name: &str| arguments.iter().any(|wanted| wanted == name);
        if wants("cluster") {
            failover::cluster(&mut found).await;
        }
        if wants("sentinel") {
            failover::sentinel(&mut found).await;
        }
        if wants("postgres") {
            failover::postgres(&mut found).await;
        }
        scenarios::run(&arguments, &mut found).await;
        if arguments.is_empty() || wants("faults") {
            faults::run(&mut server::Server::start().await, &mut found).await;
        }
        broken
    });
    println!("{broken} bounds broken");
    ExitCode::from(u8::from(broken > 0))
}
