//! What a refusal says about this machine's clock.
#![allow(clippy::unwrap_used)]

use biped_core::{Timestamp, VendorError, wire};
use bytes::Bytes;

/// 2026-11-22 00:00 UTC.
const MIDNIGHT: i64 = 1_795_305_600;

/// What is said of a response of midnight that arrives so much later by this machine's clock.
fn warning(status: u16, later: i64, header: Option<(&str, &str)>) -> Option<String> {
    let mut response = http::Response::builder()
        .status(status)
        .header("date", "Sun, 22 Nov 2026 00:00:00 GMT");
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    let response = response.body(Bytes::new()).unwrap();
    let now = Timestamp::from_unix_seconds(MIDNIGHT + later);
    let error = wire::failure(&response, VendorError::new(status), now);
    let warning = error.clock_warning();
    let is_told = |warning: &String| error.to_string().contains(warning);
    assert!(warning.as_ref().is_none_or(is_told), "{error}");
    warning
}

#[test]
fn a_refusal_tells_that_the_clocks_differ_by_more_than_30_s() {
    let _limit = biped_testing::TimeLimit::start();
    for (later, part) in [
        (31, "31 s ahead"),
        (-95, "95 s behind"),
        (-31, "31 s behind"),
    ] {
        for status in [400, 401, 403] {
            let told = warning(status, later, None).unwrap();
            assert!(told.contains(part), "{told}");
        }
    }
    for later in [-30, 0, 30] {
        assert_eq!(warning(401, later, None), None);
    }
    // A cache answered; or the vendor is down, which has nothing to do with clocks.
    assert_eq!(warning(401, 95, Some(("age", "120"))), None);
    assert_eq!(warning(503, 95, None), None);
}
