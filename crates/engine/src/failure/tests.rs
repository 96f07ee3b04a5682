//! The rules of failures, one by one.

use biped_core::VendorError;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const WAITING: Patience = Patience {
    urgent: true,
    left: Duration::from_secs(10),
};

fn fetch(error: Error) -> FlightFailure {
    FlightFailure::Fetch(error.into())
}

fn unavailable(retry_after: Option<Duration>) -> Error {
    Error::unavailable(VendorError::default()).with_retry_after(retry_after)
}

fn situation(failures: u32, serving: bool) -> KeySituation {
    KeySituation {
        failures,
        serving,
        next_try: Duration::MAX,
    }
}

#[test]
fn a_flight_tries_again_while_a_caller_waits_and_the_wait_ends_before_the_callers_do() {
    let failure = fetch(unavailable(Some(3 * SECOND)));
    assert_eq!(failure.retry(1, WAITING), Some(3 * SECOND));
    assert_eq!(failure.retry(ATTEMPTS, WAITING), None);
    let background = Patience {
        urgent: false,
        ..WAITING
    };
    assert_eq!(failure.retry(1, background), None);
    let late = Patience {
        left: 3 * SECOND,
        ..WAITING
    };
    assert_eq!(failure.retry(1, late), None);
}

#[test]
fn what_will_not_pass_is_not_tried_again() {
    for failure in [
        fetch(Error::refused(VendorError::default())),
        fetch(Error::configuration("no")),
        FlightFailure::Known(unavailable(None)),
        FlightFailure::Panic(Error::internal("no")),
        FlightFailure::Interrupted(Error::internal("no").transient(true)),
    ] {
        assert_eq!(failure.retry(1, WAITING), None, "{}", failure.error());
    }
}

#[test]
fn a_short_pause_of_the_fleet_is_sat_out_and_a_long_one_ends_the_flight() {
    let pause = |wait| FlightFailure::Fleet {
        error: unavailable(None),
        wait,
    };
    assert_eq!(pause(SECOND).retry(0, WAITING), Some(SECOND));
    assert_eq!(pause(Duration::ZERO).retry(0, WAITING), Some(LEAST_WAIT));
    assert_eq!(pause(2 * SECOND).retry(0, WAITING), None);
}

#[test]
fn the_fleet_hears_of_the_vendor_and_not_of_what_this_process_lacks() {
    assert_eq!(
        fetch(unavailable(None)).fleet_rest(2 * SECOND),
        Some(2 * SECOND)
    );
    let refused = fetch(Error::refused(VendorError::default()));
    assert_eq!(refused.fleet_rest(SECOND), Some(SECOND));
    for failure in [
        fetch(Error::configuration("no")),
        fetch(Error::secret("no")),
        fetch(Error::secret("not now").transient(true)),
        fetch(Error::internal("no")),
        FlightFailure::Known(unavailable(None)),
        FlightFailure::Interrupted(unavailable(None)),
    ] {
        assert_eq!(failure.fleet_rest(SECOND), None, "{}", failure.error());
    }
}

#[test]
fn retry_after_pauses_the_endpoint_and_only_a_refused_client_stops_the_client() {
    let failure = FetchFailure::from(unavailable(Some(2 * MAX_RETRY_AFTER)));
    let consequences = failure.consequences();
    assert_eq!(consequences.pause_endpoint, Some(MAX_RETRY_AFTER));
    assert!(!consequences.refuse_client);
    let consequences = FetchFailure::from(unavailable(None)).consequences();
    assert_eq!(consequences.pause_endpoint, None);
    let refused = Error::refused(VendorError::default()).with_retry_after(Some(SECOND));
    let consequences = FetchFailure::from(refused.refusing_client(true)).consequences();
    assert_eq!(consequences.pause_endpoint, None);
    assert!(consequences.refuse_client);
}

#[test]
fn each_failure_of_the_vendor_makes_the_next_wait_of_the_key_longer_up_to_a_minute() {
    for (failures, from, to) in [(0, 1, 2), (1, 2, 4), (4, 16, 32), (5, 30, 60), (90, 30, 60)] {
        let found = fetch(unavailable(None)).for_key(&situation(failures, false));
        let KeyConsequence::Wait { wait, counts: true } = found else {
            panic!("{failures}");
        };
        let range = Duration::from_secs(from)..=Duration::from_secs(to);
        assert!(range.contains(&wait), "{failures}: {wait:?}");
    }
}

#[test]
fn a_wait_leaves_the_token_that_serves_time_for_another_try_unless_the_vendor_asks_for_more() {
    let near = KeySituation {
        failures: 5,
        serving: true,
        next_try: 3 * SECOND,
    };
    let wait = |error| match fetch(error).for_key(&near) {
        KeyConsequence::Wait { wait, .. } => wait,
        _ => panic!(),
    };
    assert_eq!(wait(unavailable(None)), 3 * SECOND);
    assert_eq!(wait(unavailable(Some(40 * SECOND))), 40 * SECOND);
}

#[test]
fn a_panic_keeps_callers_away_only_while_a_token_serves() {
    let panic = FlightFailure::Panic(Error::internal("no"));
    assert!(matches!(
        panic.for_key(&situation(0, true)),
        KeyConsequence::Wait {
            counts: false,
            wait: REST
        }
    ));
    let found = panic.for_key(&situation(0, false));
    assert!(matches!(found, KeyConsequence::None));
}

#[test]
fn probes_come_after_one_minute_and_after_fifteen_at_the_latest() {
    let error = Error::refused(VendorError::default());
    assert_eq!(probe_after(&error, 0), 60 * SECOND);
    assert_eq!(probe_after(&error, 1), 120 * SECOND);
    assert_eq!(probe_after(&error, u32::MAX), LAST_PROBE);
    let asks = error.with_retry_after(Some(90 * SECOND));
    assert_eq!(probe_after(&asks, 0), 90 * SECOND);
}

#[test]
fn what_only_this_process_has_concerns_no_other() {
    let refused = || Error::refused(VendorError::new(401).code("invalid_client"));
    assert_eq!(fetch(refused()).fleet_rest(SECOND), Some(REST));
    let own = FlightFailure::Fetch(FetchFailure {
        is_own: true,
        ..refused().into()
    });
    assert_eq!(own.fleet_rest(SECOND), None);
    // Nor does a platform that fails, whose endpoint is not the vendor's.
    let platform = unavailable(Some(SECOND)).with_token_source("gcp");
    let failure = FetchFailure::from(platform);
    assert_eq!(failure.consequences().pause_endpoint, None);
    assert!(!failure.consequences().refuse_client);
    assert_eq!(FlightFailure::Fetch(failure).fleet_rest(SECOND), None);
}
