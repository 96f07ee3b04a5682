//! [`Expiry`]: where and how a response tells when its token expires.

use std::time::Duration;

use biped_core::{Timestamp, wire};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::answer_path::AnswerPath;

/// Where a response tells the expiry, and in which form.
#[derive(Clone, Debug)]
pub(crate) struct Expiry {
    /// `None`: in the token itself.
    pub(crate) at: Option<AnswerPath>,
    pub(crate) written: Written,
    /// Whether the vendor file says where.
    pub(crate) is_described: bool,
    /// Where the time of issue is, from which a lifetime counts; `None`: it counts from the request.
    pub(crate) issued: Option<AnswerPath>,
}

/// The form of an expiry.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMillis,
    /// A point in time (RFC 3339).
    Rfc3339,
    /// A day; the token expires at 00:00 UTC.
    Date,
    /// A local time, in a format of strptime.
    Local { format: Box<str>, zone: TimeZone },
    /// A duration: `1h 30m`, `24 hours`, `PT1H`, `01:30:00`, or a number of seconds.
    Duration,
    /// The `exp` of a JWT.
    Jwt,
    /// The form that the value looks like.
    Auto,
}

/// When a token expires, as a response tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    In(Duration),
    At(Timestamp),
}

impl Ends {
    /// Counts a lifetime from the time of issue. An issue in the future makes no token live longer, and
    /// a token whose life is over gets a second, because no life would count as an unknown one.
    pub(crate) fn since(self, issued: Option<Timestamp>, sent_at: Timestamp) -> Self {
        match (self, issued) {
            (Self::In(life), Some(issued)) if !life.is_zero() => {
                let left = issued.after(life).since(sent_at);
                Self::In(left.clamp(Duration::from_secs(1).min(life), life))
            }
            _ => self,
        }
    }
}

impl Written {
    /// Whether it is a lifetime, or may be one.
    pub(crate) fn is_lifetime(&self) -> bool {
        matches!(
            self,
            Self::Seconds | Self::Millis | Self::Duration | Self::Auto
        )
    }

    /// Reads a time of issue, in any form of a point in time.
    pub(crate) fn read_issued(value: &Value) -> Option<Timestamp> {
        match auto(value)? {
            Ends::At(issued) => Some(issued),
            Ends::In(_) => None,
        }
    }

    /// Parses the name of a form.
    pub(crate) fn parse(name: &str) -> Result<Self, &'static str> {
        Ok(match name {
            "seconds" => Self::Seconds,
            "millis" => Self::Millis,
            "unix" => Self::Unix,
            "unix_millis" => Self::UnixMillis,
            "rfc3339" => Self::Rfc3339,
            "date" => Self::Date,
            "duration" => Self::Duration,
            "jwt" => Self::Jwt,
            "auto" => Self::Auto,
            _ => return Self::parse_local(name),
        })
    }

    fn parse_local(name: &str) -> Result<Self, &'static str> {
        let inside = name
            .strip_prefix("local(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|inside| inside.rsplit_once(','));
        let Some((format, zone)) = inside else {
            return Err(
                "expected one of seconds, millis, unix, unix_millis, rfc3339, date, duration, jwt, \
                 auto, local(FORMAT, ZONE)",
            );
        };
        let format = format.trim();
        let zone = TimeZone::get(zone.trim())
            .map_err(|_| "the time zone database does not contain ZONE of local(FORMAT, ZONE)")?;
        let sample = jiff::civil::date(2026, 11, 22).at(13, 5, 9, 0);
        let read = sample
            .to_zoned(zone.clone())
            .and_then(|sample| jiff::fmt::strtime::format(format, &sample))
            .ok()
            .and_then(|text| local(format, &text, &zone));
        if read.is_none() {
            return Err(
                "expected a format of strptime with date and time as FORMAT of local(FORMAT, ZONE)",
            );
        }
        Ok(Self::Local {
            format: format.into(),
            zone,
        })
    }

    /// Reads an expiry; an unreadable value counts as missing.
    pub(crate) fn read(&self, value: &Value) -> Option<Ends> {
        match self {
            Self::Seconds => wire::seconds(value).map(Ends::In),
            Self::Millis => {
                let millis = wire::seconds(&scaled(value, 1e-3)?)?;
                Some(Ends::In(millis))
            }
            Self::Unix => unix(number(value)?),
            Self::UnixMillis => unix(number(value)? / 1e3),
            Self::Rfc3339 => {
                let at: jiff::Timestamp = value.as_str()?.trim().parse().ok()?;
                Some(Ends::At(timestamp(at)))
            }
            Self::Date => {
                let text = value.as_str()?.trim();
                // A time without a zone may be off by hours, and is no date.
                let is_day = text.len() == "2026-11-22".len();
                let date: jiff::civil::Date = text.parse().ok().filter(|_| is_day)?;
                zoned(date.at(0, 0, 0, 0), &TimeZone::UTC)
            }
            Self::Local { format, zone } => local(format, value.as_str()?.trim(), zone),
            Self::Duration => match wire::seconds(value) {
                Some(seconds) => Some(Ends::In(seconds)),
                None => duration(value.as_str()?.trim()).map(Ends::In),
            },
            Self::Jwt => wire::jwt_expiry(value.as_str()?).map(Ends::At),
            Self::Auto => auto(value),
        }
    }
}

/// Tells the forms apart. Since 2001, seconds since 1970 have ten digits and milliseconds thirteen; no
/// lifetime in seconds is that long.
fn auto(value: &Value) -> Option<Ends> {
    if let Some(number) = number(value) {
        return match number {
            n if n >= 1e11 => unix(n / 1e3),
            n if n >= 1e9 => unix(n),
            _ => wire::seconds(value).map(Ends::In),
        };
    }
    [
        Written::Rfc3339,
        Written::Date,
        Written::Duration,
        Written::Jwt,
    ]
    .iter()
    .find_map(|written| written.read(value))
    .or_else(|| http_date(value.as_str()?.trim()))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number| number.is_finite())
}

fn scaled(value: &Value, by: f64) -> Option<Value> {
    Some((number(value)? * by).into())
}

fn unix(seconds: f64) -> Option<Ends> {
    #[allow(clippy::cast_possible_truncation)] // a cast saturates
    let millis = (seconds * 1e3) as i64;
    (millis > 0).then(|| Ends::At(Timestamp::from_unix_millis(millis)))
}

fn timestamp(at: jiff::Timestamp) -> Timestamp {
    Timestamp::from_unix_millis(at.as_millisecond())
}

/// A time in a format. An offset in the text takes precedence over the zone.
fn local(format: &str, text: &str, zone: &TimeZone) -> Option<Ends> {
    let read = jiff::fmt::strtime::parse(format, text).ok()?;
    if read.offset().is_some() {
        return Some(Ends::At(timestamp(read.to_timestamp().ok()?)));
    }
    zoned(read.to_datetime().ok()?, zone)
}

fn zoned(at: jiff::civil::DateTime, zone: &TimeZone) -> Option<Ends> {
    let at = at.to_zoned(zone.clone()).ok()?;
    Some(Ends::At(timestamp(at.timestamp())))
}

/// `Sun, 22 Nov 2026 00:00:00 GMT`, the form of HTTP headers (RFC 9110 §5.6.7).
fn http_date(text: &str) -> Option<Ends> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Ends::At(timestamp(at.timestamp())))
}

/// A duration in words or in ISO 8601. A day has 24 hours, a week seven days.
fn duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return None;
    }
    let length = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .ok()?;
    Duration::try_from(length)
        .ok()
        .filter(|length| !length.is_zero())
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // values are written where they are read
mod tests {
    use serde_json::json;

    use super::*;

    fn read(written: &str, value: Value) -> Option<Ends> {
        Written::parse(written).unwrap().read(&value)
    }

    fn within(seconds: u64) -> Option<Ends> {
        Some(Ends::In(Duration::from_secs(seconds)))
    }

    fn at(seconds: i64) -> Option<Ends> {
        Some(Ends::At(Timestamp::from_unix_seconds(seconds)))
    }

    #[test]
    fn every_form_is_read_as_number_and_as_text() {
        assert_eq!(read("seconds", json!("3600")), within(3600));
        assert_eq!(read("millis", json!(7_200_000)), within(7200));
        assert_eq!(read("millis", json!("7200000")), within(7200));
        assert_eq!(read("unix", json!(1_795_305_600)), at(1_795_305_600));
        assert_eq!(read("unix", json!("1795305600")), at(1_795_305_600));
        assert_eq!(
            read("unix_millis", json!(1_795_305_600_000_i64)),
            at(1_795_305_600)
        );
        assert_eq!(
            read("rfc3339", json!("2026-11-22T01:00:00+01:00")),
            at(1_795_305_600)
        );
        assert_eq!(read("date", json!("2026-11-22")), at(1_795_305_600));
        for text in ["1h 30m", "PT1H30M", "90 minutes", "01:30:00"] {
            assert_eq!(read("duration", json!(text)), within(5400), "{text}");
        }
        assert_eq!(read("duration", json!("2 days")), within(172_800));
    }

    #[test]
    fn local_times_know_their_zone_and_its_summer() {
        let berlin = "local(%Y-%m-%d %H:%M:%S, Europe/Berlin)";
        assert_eq!(
            read(berlin, json!("2026-11-22 01:00:00")),
            at(1_795_305_600)
        );
        assert_eq!(
            read(berlin, json!("2026-07-01 02:00:00")),
            at(1_782_864_000)
        );
        let with_offset = "local(%Y-%m-%d %H:%M:%S %z, Asia/Tokyo)";
        assert_eq!(
            read(with_offset, json!("2026-11-22 01:00:00 +0100")),
            at(1_795_305_600)
        );
        let shanghai = "local(%Y%m%d%H%M%S, Asia/Shanghai)";
        assert_eq!(read(shanghai, json!("20261122080000")), at(1_795_305_600));
    }

    #[test]
    fn auto_tells_the_forms_apart() {
        for value in [
            json!(1_795_305_600),
            json!("1795305600000"),
            json!("2026-11-22T00:00:00Z"),
            json!("2026-11-22"),
            json!("Sun, 22 Nov 2026 00:00:00 GMT"),
        ] {
            assert_eq!(read("auto", value.clone()), at(1_795_305_600), "{value}");
        }
        assert_eq!(read("auto", json!("3600")), within(3600));
        assert_eq!(read("auto", json!("1 hour")), within(3600));
    }

    #[test]
    fn nonsense_is_silence() {
        for form in [
            "seconds",
            "millis",
            "unix",
            "unix_millis",
            "rfc3339",
            "date",
            "duration",
            "jwt",
            "auto",
            "local(%Y-%m-%d %H:%M, UTC)",
        ] {
            for value in [
                json!(null),
                json!(true),
                json!("soon"),
                json!(""),
                json!([]),
                json!({}),
                json!(0),
                json!(-1),
                json!("NaN"),
                json!("-PT1H"),
                json!("2026-11-22T10:00:00"),
                json!("2026-11-22 10:00:00"),
            ] {
                assert_eq!(read(form, value.clone()), None, "{form} {value}");
            }
        }
    }

    #[test]
    fn forms_that_can_not_be_are_refused() {
        for form in [
            "minutes",
            "",
            "local",
            "local()",
            "local(%Y)",
            "local(%Y-%m-%d, Mars/Olympus)",
            "local(%Y, UTC)",
            "local(%Q, UTC)",
        ] {
            assert!(Written::parse(form).is_err(), "{form}");
        }
    }
}
