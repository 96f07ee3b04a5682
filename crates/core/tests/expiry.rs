//! When a token expires, as vendors write it.
#![allow(clippy::unwrap_used, clippy::needless_pass_by_value)]

use std::time::Duration;

use biped_core::{NoLifetime, Timestamp, Token, wire};
use serde_json::{Value, json};

/// 2026-11-22 00:00 UTC.
const MIDNIGHT: i64 = 1_795_305_600;

#[test]
fn a_point_in_time_is_a_number_of_seconds_or_a_date() {
    let _limit = biped_testing::TimeLimit::start();
    for value in [
        json!(MIDNIGHT),
        json!(MIDNIGHT.to_string()),
        json!(1_795_305_600.0),
        json!("1795305600000"),
        json!("2026-11-22T00:00:00Z"),
        json!("2026-11-22T01:00:00.000+01:00"),
        json!("2026-11-22 00:00:00+00:00"),
        json!("Sun, 22 Nov 2026 00:00:00 GMT"),
        json!(" 2026-11-22 "),
    ] {
        let expected = Some(Timestamp::from_unix_seconds(MIDNIGHT));
        assert_eq!(wire::point_in_time(&value), expected, "{value}");
    }
    for value in [
        Value::Null,
        json!(true),
        json!(0),
        json!(-5),
        json!("NaN"),
        json!("soon"),
        json!(""),
        // No zone: it may be off by hours.
        json!("2026-11-22T00:00:00"),
        json!("2026-11-22 00:00"),
        json!([MIDNIGHT]),
    ] {
        assert_eq!(wire::point_in_time(&value), None, "{value}");
    }
}

#[test]
fn expires_in_comes_before_a_point_in_time_and_a_point_in_time_before_an_assumption() {
    let _limit = biped_testing::TimeLimit::start();
    let sent_at = Timestamp::from_unix_seconds(MIDNIGHT - 600);
    let token = |fields: Value| {
        Token::new("t-1", sent_at)
            .expires_in_json(&fields["expires_in"])
            .or_expires_at(|name| fields.get(name))
            .build()
            .unwrap()
    };
    for (fields, seconds, assumed) in [
        (
            json!({ "expires_in": 60, "expires_on": MIDNIGHT }),
            60,
            None,
        ),
        (json!({ "expires_on": MIDNIGHT }), 600, None),
        (json!({ "expires_at": "2026-11-22T00:00:00Z" }), 600, None),
        (
            json!({ "expires_in": null, "expires_on": null, "expires_at": MIDNIGHT }),
            600,
            None,
        ),
        (
            json!({ "expires_in": "soon", "expires_on": MIDNIGHT }),
            600,
            None,
        ),
        (
            json!({ "expires_on": "soon", "expires_at": MIDNIGHT }),
            600,
            None,
        ),
        (json!({}), 900, Some(NoLifetime::Missing)),
        (
            json!({ "expires_at": "soon" }),
            900,
            Some(NoLifetime::Unreadable),
        ),
        // In the past, and not an expiry at all.
        (
            json!({ "expires_at": 3600 }),
            900,
            Some(NoLifetime::Unreadable),
        ),
    ] {
        let token = token(fields.clone());
        assert_eq!(
            token.lifetime(),
            Some(Duration::from_secs(seconds)),
            "{fields}"
        );
        assert_eq!(token.assumed_lifetime(), assumed, "{fields}");
    }
}
