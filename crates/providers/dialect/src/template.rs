//! [`Template`]: a text with `{names}` in it, parsed when the file is loaded.
//!
//! `{x}`, `{x|b64}`, `{x|urlencode}`, `{uuid}`, `{now}` (seconds since 1970), `{now+7d}`,
//! `{now-5m|%Y-%m-%dT%H:%M:%SZ}`; `{{` and `}}` stand for braces.

use std::{borrow::Cow, fmt::Write as _};

use base64::Engine as _;
use biped_core::{Timestamp, wire};

/// The names with the same meaning in every dialect.
pub(crate) const RESERVED: [&str; 7] = [
    "client_id",
    "client_secret",
    "scope",
    "url",
    "token",
    "uuid",
    "now",
];

/// A text with names to fill in.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    parts: Box<[Part]>,
    /// Its line in the file.
    pub(crate) line: usize,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<str>),
    Hole { what: What, filters: Box<[Filter]> },
}

#[derive(Clone, Debug)]
enum What {
    Name(Box<str>),
    Now {
        offset: i64,
        format: Option<Box<str>>,
    },
}

#[derive(Clone, Copy, Debug)]
enum Filter {
    Base64,
    UrlEncode,
}

/// The values of the names in templates.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) client_id: Option<&'a str>,
    pub(crate) client_secret: Option<&'a str>,
    pub(crate) scope: Option<&'a str>,
    pub(crate) url: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) uuid: &'a str,
    pub(crate) now: Timestamp,
    /// Parameters and exports; the last of several equal names counts.
    pub(crate) named: &'a [(&'a str, &'a str)],
}

impl<'a> Values<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        match name {
            "client_id" => self.client_id,
            "client_secret" => self.client_secret,
            "scope" => self.scope,
            "url" => self.url,
            "token" => self.token,
            "uuid" => Some(self.uuid),
            _ => self
                .named
                .iter()
                .rev()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value),
        }
    }
}

impl Template {
    /// Parses a text. The error never quotes it, because it may contain a secret.
    pub(crate) fn parse(text: &str, line: usize) -> Result<Self, Cow<'static, str>> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            let after = &rest[at + 1..];
            if after.starts_with(brace) {
                literal.push_str(brace);
                rest = &after[1..];
                continue;
            }
            if brace == "}" {
                return Err("} without a matching {; write a literal } as }}".into());
            }
            let Some(end) = after.find('}') else {
                return Err("{ without a matching }; write a literal { as {{".into());
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(hole(&after[..end])?);
            rest = &after[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self {
            parts: parts.into(),
            line,
        })
    }

    /// The template `{name}`.
    pub(crate) fn of(name: &str, filters: bool) -> Self {
        let filters: Box<[Filter]> = if filters {
            [Filter::UrlEncode].into()
        } else {
            Box::default()
        };
        let what = What::Name(name.into());
        Self {
            parts: [Part::Hole { what, filters }].into(),
            line: 0,
        }
    }

    /// The names that may be part of a URL's host: those before its path.
    pub(crate) fn host_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let (mut has_scheme, mut has_begun) = (false, false);
        for part in &self.parts {
            match part {
                Part::Text(text) => {
                    let mut rest = &**text;
                    let ends = |text: &str| text.contains(['/', '\\', '?', '#']);
                    match rest.split_once("://") {
                        Some((before, after)) if !(has_scheme || has_begun && ends(before)) => {
                            has_scheme = true;
                            // URL parsers ignore extra slashes before a host.
                            rest = after.trim_start_matches(['/', '\\']);
                            has_begun = !rest.is_empty();
                        }
                        _ => {}
                    }
                    if has_begun && ends(rest) {
                        break;
                    }
                }
                Part::Hole { what, .. } => {
                    has_begun = true;
                    if let What::Name(name) = what {
                        names.push(&**name);
                    }
                }
            }
        }
        names
    }

    /// The names in it, except `now` and `uuid`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole {
                what: What::Name(name),
                ..
            } if &**name != "uuid" => Some(&**name),
            _ => None,
        })
    }

    /// Whether it contains no name.
    pub(crate) fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text before the first name.
    pub(crate) fn lead(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// Fills in the names; returns `None` if one has no value.
    pub(crate) fn render<'v>(&'v self, values: &Values<'v>) -> Option<Cow<'v, str>> {
        if let [part] = &*self.parts {
            return part.render(values);
        }
        let mut out = String::new();
        for part in &self.parts {
            out.push_str(&part.render(values)?);
        }
        Some(out.into())
    }

    /// Fills in the `known` names, and leaves the others as they are written.
    pub(crate) fn outline<'v>(&'v self, known: impl Fn(&str) -> Option<&'v str>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole {
                    what: What::Name(name),
                    filters,
                } => match known(name) {
                    Some(value) => out.push_str(&filtered(value.into(), filters)),
                    None => {
                        let _ = write!(out, "{{{name}}}");
                    }
                },
                Part::Hole { .. } => out.push_str("{now}"),
            }
        }
        out
    }
}

impl Part {
    fn render<'v>(&'v self, values: &Values<'v>) -> Option<Cow<'v, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Hole { what, filters } => {
                let value = match what {
                    What::Name(name) => Cow::Borrowed(values.get(name)?),
                    What::Now { offset, format } => {
                        time(values.now, *offset, format.as_deref())?.into()
                    }
                };
                Some(filtered(value, filters))
            }
        }
    }
}

fn filtered<'v>(mut value: Cow<'v, str>, filters: &[Filter]) -> Cow<'v, str> {
    for filter in filters {
        value = match filter {
            Filter::Base64 => base64::engine::general_purpose::STANDARD
                .encode(&*value)
                .into(),
            Filter::UrlEncode => wire::percent_encoded(&value).into(),
        };
    }
    value
}

fn time(now: Timestamp, offset: i64, format: Option<&str>) -> Option<String> {
    let seconds = now.unix_seconds().saturating_add(offset);
    let Some(format) = format else {
        return Some(seconds.to_string());
    };
    let millis = now.unix_millis().rem_euclid(1000);
    let nanos = i32::try_from(millis).unwrap_or(0) * 1_000_000;
    let at = jiff::Timestamp::new(seconds, nanos).ok()?;
    jiff::fmt::strtime::format(format, &at.to_zoned(jiff::tz::TimeZone::UTC)).ok()
}

fn hole(inside: &str) -> Result<Part, Cow<'static, str>> {
    let mut pieces = inside.split('|');
    let head = pieces.next().unwrap_or_default().trim();
    let name_end = head.find(['+', '-']).unwrap_or(head.len());
    let is_now = &head[..name_end] == "now";
    let mut format = None;
    let mut filters = Vec::new();
    for piece in pieces {
        match piece.trim() {
            "b64" => filters.push(Filter::Base64),
            "urlencode" => filters.push(Filter::UrlEncode),
            _ if is_now && piece.contains('%') && format.is_none() && filters.is_empty() => {
                if time(Timestamp::default(), 0, Some(piece)).is_none() {
                    return Err("expected a format of strftime in {now|…}".into());
                }
                format = Some(piece.into());
            }
            _ => return Err("unknown filter; expected one of b64, urlencode".into()),
        }
    }
    let what = if is_now {
        let offset = offset(&head[name_end..])
            .ok_or("expected a whole number of s, m, h or d after {now, such as {now+7d}")?;
        What::Now { offset, format }
    } else {
        if !is_name(head) {
            return Err("expected a name between { and }; write a literal { as {{".into());
        }
        What::Name(head.into())
    };
    Ok(Part::Hole {
        what,
        filters: filters.into(),
    })
}

/// Parses an offset such as `+7d` to seconds, at most ten years; the empty text is zero.
fn offset(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        _ => return None,
    };
    let number: i64 = text[..text.len() - 1].parse().ok()?;
    number
        .checked_mul(unit)
        .filter(|seconds| seconds.unsigned_abs() <= 315_360_000)
}

/// Whether a text is a valid parameter name: letters, digits, `_` and `.`, not starting with a digit
/// or `.`.
pub(crate) fn is_name(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.len() <= 64
        && text.chars().all(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_305_600); // 2026-11-22

    fn values<'a>(named: &'a [(&'a str, &'a str)]) -> Values<'a> {
        Values {
            client_id: Some("id"),
            client_secret: Some("s&=+ ~é"),
            scope: None,
            url: Some("https://v.example/token"),
            token: None,
            uuid: "00000000-0000-4000-8000-000000000000",
            now: NOW,
            named,
        }
    }

    fn render(template: &str) -> Option<String> {
        let template = Template::parse(template, 1).unwrap();
        Some(
            template
                .render(&values(&[("x", "old"), ("x", "new")]))?
                .into_owned(),
        )
    }

    #[test]
    fn names_and_filters_are_filled_in() {
        assert_eq!(render("").as_deref(), Some(""));
        assert_eq!(render("a{x}b{ x }c").as_deref(), Some("anewbnewc"));
        assert_eq!(render("{{{x}}}").as_deref(), Some("{new}"));
        assert_eq!(
            render("{client_id|b64}:{client_secret|urlencode}").as_deref(),
            Some("aWQ=:s%26%3D%2B%20~%C3%A9")
        );
        assert_eq!(
            render("{client_id|b64|urlencode}").as_deref(),
            Some("aWQ%3D")
        );
        assert_eq!(
            render("{uuid}").as_deref(),
            Some("00000000-0000-4000-8000-000000000000")
        );
    }

    #[test]
    fn now_is_moved_and_formatted() {
        assert_eq!(render("{now}").as_deref(), Some("1795305600"));
        assert_eq!(render("{now+7d|%Y-%m-%d}").as_deref(), Some("2026-11-29"));
        assert_eq!(
            render("{now-90s|%H:%M:%S|urlencode}").as_deref(),
            Some("23%3A58%3A30")
        );
    }

    #[test]
    fn a_name_without_a_value_leaves_nothing() {
        assert_eq!(render("scope={scope}"), None);
        assert_eq!(render("{unheard_of}"), None);
    }

    #[test]
    fn an_invalid_template_is_refused_without_being_quoted() {
        for text in [
            "pl4nted{",
            "pl4nted}",
            "{pl4nted x}",
            "{}",
            "{x|pl4nted}",
            "{now+1y}",
            "{now|pl4}",
            "{now+99999999999999999999d}",
            "{now|%!}",
            "{7}",
            "{x",
            "{now+|%Y}",
        ] {
            let why = Template::parse(text, 1).unwrap_err();
            assert!(!why.contains("pl4"), "{why}");
        }
    }
}
