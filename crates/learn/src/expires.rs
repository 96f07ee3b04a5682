//! Reads when a token expires.

use serde_json::Value;

use crate::{
    place::{Leaf, Path},
    placeholder,
};

/// An expiry that a vendor file can read.
#[derive(Clone, Debug)]
pub(crate) struct Expires {
    pub(crate) path: Path,
    pub(crate) form: &'static str,
    /// The value of the example, and the lifetime that follows from it in seconds.
    pub(crate) sample: Value,
    pub(crate) seconds: u64,
}

/// Names of expiries.
const EXPIRIES: [&str; 24] = [
    "expiresin",
    "expirein",
    "ttl",
    "lifetime",
    "validfor",
    "tokenlifetime",
    "expiry",
    "expires",
    "expiration",
    "expiresat",
    "expireat",
    "expireson",
    "expirationtime",
    "expirationdate",
    "expirydate",
    "expirytime",
    "expiretime",
    "validuntil",
    "validto",
    "exp",
    "tokenexpiry",
    "tokenexpiration",
    "accesstokenexpiresat",
    "accesstokenexpiresin",
];

/// What the name of an expiry may end with.
const UNITS: [&str; 9] = [
    "utc",
    "milliseconds",
    "millis",
    "ms",
    "seconds",
    "secs",
    "sec",
    "minutes",
    "min",
];

pub(crate) fn expires(leaves: &[Leaf], token: &Path, notes: &mut Vec<String>) -> Option<Expires> {
    let is_one = |leaf: &&Leaf| {
        let name = leaf.path.name();
        let stem = UNITS.iter().find_map(|unit| name.strip_suffix(unit));
        let is_expiry = |name: &str| EXPIRIES.contains(&name);
        is_expiry(&name)
            || stem.is_some_and(is_expiry)
            || name.starts_with("expires") && !name.contains("refresh")
    };
    let mut found: Vec<_> = leaves.iter().filter(is_one).collect();
    found.sort_by_key(|leaf| std::cmp::Reverse(leaf.path.shared(token)));
    let Some(nearest) = found.first() else {
        notes.push(no_expiry(leaves));
        return None;
    };
    let near = nearest.path.shared(token);
    let mut forms: Vec<_> = Vec::new();
    let mut why = None;
    for leaf in found.iter().filter(|leaf| leaf.path.shared(token) == near) {
        match form(leaf) {
            Ok(found) => forms.push(found),
            Err(reason) => why = Some((leaf.path.pointer(), reason)),
        }
    }
    // The length of a life depends on no clock.
    forms.sort_by_key(|found| !["seconds", "millis"].contains(&found.form));
    if let (true, Some((pointer, reason))) = (forms.is_empty(), why) {
        notes.push(format!("the expiry at {pointer} was left out: {reason}"));
    }
    forms.into_iter().next()
}

/// Says that no expiry was found, and which numbers may be one.
fn no_expiry(leaves: &[Leaf]) -> String {
    /// A token that lives shorter is not worth keeping, and one that lives longer needs no expiry.
    const LIVES: std::ops::RangeInclusive<u64> = 30..=100_000_000_000_000;
    let is_number = |leaf: &&Leaf| {
        leaf.value
            .as_u64()
            .is_some_and(|number| LIVES.contains(&number))
    };
    let numbers = leaves.iter().filter(is_number).take(3);
    let numbers: Vec<_> = numbers.map(|leaf| leaf.path.pointer()).collect();
    match &*numbers.join(", ") {
        "" => "the response shows no expiry; set lifetime in the file".into(),
        numbers => format!(
            "no expiry was found in the response; if {numbers} is one, set expires in the file, else lifetime"
        ),
    }
}

/// The time of the examples, and an hour later.
const HOUR: u64 = 3_600;

fn form(leaf: &Leaf) -> Result<Expires, &'static str> {
    let name = leaf.path.name();
    let is_text = leaf.value.is_string();
    let number = match &leaf.value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let made = |form, sample: Value, seconds| {
        Ok(Expires {
            path: leaf.path.clone(),
            form,
            sample: match (&sample, is_text) {
                (Value::Number(number), true) => Value::String(number.to_string()),
                _ => sample,
            },
            seconds,
        })
    };
    let start = biped_dialect::EXAMPLE_TIME.unix_seconds().unsigned_abs();
    if let Some(number) = number {
        let is_span = ["in", "for", "ttl", "lifetime", "seconds", "secs", "sec"]
            .iter()
            .any(|end| name.ends_with(end));
        return match number {
            _ if name.contains("minute") || name.ends_with("min") => {
                Err("it is in minutes, which a vendor file can't read; set lifetime in seconds")
            }
            100_000_000_000.. => made("unix_millis", ((start + HOUR) * 1_000).into(), HOUR),
            1_000_000_000.. => made("unix", (start + HOUR).into(), HOUR),
            _ if name.ends_with("milliseconds")
                || name.ends_with("millis")
                || name.ends_with("ms") =>
            {
                made("millis", number.into(), number / 1_000)
            }
            _ if leaf.path.written() == "expires_in" => made("seconds", number.into(), number),
            0 => Err("its unit is not clear; set expires in the file"),
            1_000_000.. if number % 86_400 != 0 && number % 86_400 != 86_399 => {
                Err("its unit is not clear; set expires in the file, as seconds or millis")
            }
            _ if is_span || number <= 1_000_000 => made("seconds", number.into(), number),
            _ => Err("its unit is not clear; set expires in the file, as seconds or millis"),
        };
    }
    let Some(text) = leaf.value.as_str() else {
        return Err("it is neither a number nor a text");
    };
    let is_date = text.len() == 10 && text.chars().filter(|c| *c == '-').count() == 2;
    if text.contains('T') && text.parse::<jiff::Timestamp>().is_ok() {
        return made("rfc3339", "2026-11-22T01:00:00Z".into(), HOUR);
    }
    if is_date && text.starts_with("20") {
        return made("date", "2026-11-23".into(), 24 * HOUR);
    }
    if text.starts_with("20") && text.contains(':') {
        return Err("it has no time zone; ask the vendor, and set expires as local(FORMAT, ZONE)");
    }
    if placeholder::parts(text) != [placeholder::Part::Text(text.to_owned())]
        || placeholder::is_word_for_value(text)
    {
        return match leaf.path.written() {
            "expires_in" => made("seconds", HOUR.into(), HOUR),
            _ => Err("the response shows a placeholder; set expires in the file"),
        };
    }
    Err("its form is not clear; set expires in the file")
}
