//! Processes that are killed at each step of a refresh, with a real store: SIGKILL, and what the next
//! process makes of what was left behind.

use std::{env, path::Path, thread, time::Duration};

use biped::{
    Timestamp,
    provider::{Clock, SystemClock},
};
use biped_testing::TimeLimit;

use crate::{
    rotating_vendor::RotatingVendor,
    rotation_process::{Plan, STEPS, Step},
};

/// An account at a vendor of its own, which process after process uses.
struct Lane {
    vendor: RotatingVendor,
    store: String,
    name: String,
    provider: String,
}

/// The lines of a provider that asks this vendor.
fn provider(vendor: &RotatingVendor) -> String {
    format!(
        "kind = 'oauth2'\ntoken_endpoint = 'http://127.0.0.1:{}/token'\nclient_id = 'c'\n\
         client_secret = 's'\ngrant = 'refresh_token'\n",
        vendor.port()
    )
}

impl Lane {
    fn new(store: &str, name: &str, has_grace: bool) -> Self {
        let vendor = RotatingVendor::start(has_grace);
        let provider = provider(&vendor);
        let lane = Self {
            vendor,
            store: store.into(),
            name: name.into(),
            provider,
        };
        assert_eq!(lane.outcome(Some("R-0")), "token t-0");
        lane
    }

    fn plan(&self) -> Plan<'_> {
        Plan {
            store: &self.store,
            provider: &self.provider,
            is_fresh: true,
            ..Plan::default()
        }
    }

    /// What a process that is left alone comes to.
    fn outcome(&self, seed: Option<&str>) -> String {
        Plan {
            seed,
            ..self.plan()
        }
        .start()
        .end()
        .1
    }

    /// Kills a process with SIGKILL at this step.
    fn kill_at(&self, step: Step) {
        let hold = step.hold();
        if let Some(hold) = hold {
            self.vendor.hold(hold);
        }
        let mut started = Plan {
            step: Some(step),
            ..self.plan()
        }
        .start();
        match hold {
            Some(_) => self.vendor.wait_until_held(),
            None => started.wait_until_it_stands(),
        }
        started.kill();
        self.vendor.release();
    }

    /// Kills a process at this step, and lets another refresh. If the account is lost, it is seeded again.
    fn round(&self, step: Step) {
        let place = format!("{} at {step}", self.name);
        let before = self.vendor.current();
        let start = SystemClock.now().wall;
        self.kill_at(step);
        let end = SystemClock.now().wall;
        let is_lost = step.loses_the_answer() && !self.vendor.has_grace();
        let has_new = step >= Step::Replaced;
        assert_eq!(
            self.vendor.current(),
            before + u64::from(has_new),
            "{place}"
        );

        let outcome = self.outcome(None);
        let times = self.vendor.times_sent(before);
        if is_lost {
            assert!(outcome.starts_with("error Refused"), "{place}: {outcome}");
            assert_lost_between(start, end, &outcome);
            assert_eq!(times, 2, "{place}");
            // It is not sent by any other process either.
            assert!(self.outcome(None).starts_with("error Refused"), "{place}");
            assert_eq!(self.vendor.times_sent(before), 2, "{place}");
            let seed = self.vendor.consent();
            assert_eq!(
                self.outcome(Some(&format!("R-{seed}"))),
                format!("token t-{seed}")
            );
            return;
        }
        // What was stored is sent, and nothing before it.
        let (expected, wanted) = match step {
            Step::Locked | Step::Loaded | Step::Asking => (before, 1),
            Step::Sent => (before, 2),
            Step::Replaced | Step::Answered => (before, 2),
            Step::Stored | Step::Unlocking => (before + 1, 1),
        };
        assert_eq!(outcome, format!("token t-{expected}"), "{place}");
        assert_eq!(times, wanted, "{place}");
        assert!(!self.vendor.is_revoked(), "{place}");
    }
}

/// The error says that an answer was lost, and to which refresh.
fn assert_lost_between(start: Timestamp, end: Timestamp, outcome: &str) {
    let of = "the answer to the refresh of ";
    let told = outcome.split_once(of).map(|(_, rest)| rest);
    let told = told.and_then(|rest| rest.split_once(" was lost"));
    let told = told.unwrap_or_else(|| panic!("{outcome}")).0;
    let within = (start.unix_seconds()..=end.unix_seconds()).any(|second| {
        let of_day = second.rem_euclid(24 * 60 * 60);
        let (hours, minutes, seconds) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        told == format!("{hours:02}:{minutes:02}:{seconds:02}")
    });
    assert!(within, "{outcome}");
}

/// Every other lane has a vendor with a grace period.
fn has_grace(lane: usize) -> bool {
    lane.is_multiple_of(2)
}

/// The steps of a lane: the rounds are dealt out to the lanes, and those with equal vendors start at
/// different steps.
fn steps(rounds: usize, lanes: usize, lane: usize) -> impl Iterator<Item = Step> {
    let of_lane = (lane..rounds).step_by(lanes);
    of_lane.map(move |round| STEPS[(round / lanes + lane / 2) % 8])
}

/// Plays rounds in several lanes at once. Returns how many accounts were lost, as their vendors count it.
fn play(store: &str, rounds: usize, lanes: usize) -> usize {
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|number| {
                scope.spawn(move || {
                    let lane = Lane::new(store, &format!("crm{number}"), has_grace(number));
                    steps(rounds, lanes, number).for_each(|step| lane.round(step));
                    lane.vendor.revocations()
                })
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
    })
}

/// How many accounts must be lost: one for each answer that is lost at a vendor without a grace period. The
/// number depends on the lanes, since a lane's last rounds may be fewer than the steps.
fn expected(rounds: usize, lanes: usize) -> usize {
    let without_grace = (0..lanes).filter(|lane| !has_grace(*lane));
    let steps = without_grace.flat_map(|lane| steps(rounds, lanes, lane));
    steps.filter(|step| step.loses_the_answer()).count()
}

#[test]
fn a_process_that_is_killed_at_any_step_loses_no_account_but_with_its_answer() {
    let _limit = TimeLimit::start();
    let directory = tempfile::tempdir().unwrap();
    // Each step once with each vendor; of the vendor without a grace period two lose the account.
    assert_eq!(expected(16, 2), 2);
    assert_eq!(play(text(directory.path()), 16, 2), 2);
}

fn rounds() -> usize {
    let wanted = env::var("BIPED_KILL_ROUNDS").ok();
    wanted.map_or(208, |wanted| wanted.parse().unwrap())
}

#[test]
#[ignore = "takes minutes: tests/live/run rotation"]
fn hundreds_of_processes_are_killed_over_files() {
    let _limit = TimeLimit::of(Duration::from_secs(3600));
    let directory = tempfile::tempdir().unwrap();
    let lost = play(text(directory.path()), rounds(), 4);
    assert_eq!(lost, expected(rounds(), 4));
    eprintln!(
        "file: {} kills, {lost} accounts lost with their answers",
        rounds()
    );
}

#[test]
#[ignore = "needs a PostgreSQL: tests/live/run rotation"]
fn hundreds_of_processes_are_killed_over_postgres() {
    let _limit = TimeLimit::of(Duration::from_secs(3600));
    let url = env::var("BIPED_LIVE_POSTGRES").expect("tests/live/run rotation sets it");
    // Each waits for the lease of the one before, so many are under way at once.
    let lost = play(&url, rounds(), 16);
    assert_eq!(lost, expected(rounds(), 16));
    eprintln!(
        "postgres: {} kills, {lost} accounts lost with their answers",
        rounds()
    );
}

#[test]
#[ignore = "needs a PostgreSQL: tests/live/run rotation"]
fn processes_at_once_send_one_request_over_postgres() {
    let _limit = TimeLimit::start();
    let url = env::var("BIPED_LIVE_POSTGRES").expect("tests/live/run rotation sets it");
    let vendor = RotatingVendor::start(false);
    let provider = format!("{}refresh_token = 'R-0'\n", provider(&vendor));
    let plan = Plan {
        store: &url,
        provider: &provider,
        ..Plan::default()
    };
    for _ in 0..2 {
        let started: Vec<_> = (0..10).map(|_| plan.start()).collect();
        for process in started {
            assert_eq!(process.end().1, "token t-0");
        }
    }
    assert_eq!((vendor.times_sent(0), vendor.current()), (1, 1));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
