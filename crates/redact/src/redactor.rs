//! [`Redactor`]: keeps secrets out of a text, however they are encoded in it.

use std::{borrow::Cow, fmt, ops::Range};

use base64::Engine as _;
use zeroize::Zeroizing;

use crate::{lattice::Lattice, vendor_text::CUT};

/// Replaces a secret.
const REDACTED: &str = "[redacted]";

/// The shortest secret, or beginning of one, that is looked for: a shorter one would be found
/// everywhere.
const SHORTEST: usize = 4;

/// The shortest plain word that is looked for: a shorter one may be a word of the vendor.
const SHORTEST_WORD: usize = 8;

/// The shortest beginning of a secret that is redacted at the end of a text that may be complete.
const SHORTEST_AT_END: usize = 8;

/// Redacts secrets in texts that may repeat them.
///
/// A secret is found plain, percent-encoded, encoded as in a form, escaped as in JSON or HTML, also
/// one inside another, and in Base64 of either alphabet, alone or after a user name. The beginning of a
/// secret at the end of a text that was cut is redacted too. Secrets under 4 bytes and plain words
/// under 8 lower-case letters are not redacted: people try things out with `secret` and `wrong`, and
/// vendors use such words themselves.
///
/// ```
/// use biped_redact::Redactor;
///
/// let redactor = Redactor::new(["hunter2/+"]);
/// for text in ["no hunter2/+", "no hunter2%2f%2B", "no aHVudGVyMi8r", "no hunter2/…"] {
///     assert!(redactor.redacted(text).starts_with("no [redacted]"));
/// }
/// assert_eq!(redactor.redacted("unknown client"), "unknown client");
/// ```
pub struct Redactor(Vec<Pattern>);

/// A sequence of characters, each of which may be one of two.
struct Pattern {
    units: Zeroizing<Vec<[char; 2]>>,
    /// Whether it is part of a longer Base64 text, all of which is redacted.
    is_base64: bool,
}

impl Redactor {
    /// Creates a redactor of these secrets.
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut patterns = Vec::new();
        for secret in secrets {
            let trimmed = secret.trim();
            patterns.extend(Pattern::text(trimmed));
            patterns.extend(Pattern::base64(secret));
            if trimmed != secret {
                patterns.extend(Pattern::base64(trimmed));
            }
            // A vendor may repeat single lines of a PEM key.
            let lines = trimmed.lines().map(str::trim);
            let several = trimmed.contains('\n');
            for line in lines.filter(|line| several && line.len() >= SHORTEST_AT_END) {
                patterns.extend(Pattern::text(line));
            }
        }
        Self(patterns)
    }

    /// Returns the text, with `[redacted]` in place of each secret.
    #[must_use]
    pub fn redacted<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.replaced(text, REDACTED)
    }

    /// Returns the text, with `name` in place of each secret.
    #[must_use]
    pub fn replaced<'t>(&self, text: &'t str, name: &str) -> Cow<'t, str> {
        replaced(text, self.found(text), name)
    }

    /// Returns the text as [`redacted`](Self::redacted) does, for one whose end may have been cut
    /// without a mark, such as a vendor's message: the beginning of a secret at the end is redacted
    /// too.
    #[must_use]
    pub fn redacted_to_the_end<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found = self.found(text);
        found.extend(self.beginning(text, 0..text.len(), SHORTEST_AT_END));
        replaced(text, found, REDACTED)
    }

    /// The places of secrets.
    fn found(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.0.is_empty() || text.len() < SHORTEST {
            return found;
        }
        let lattice = Lattice::new(text);
        for pattern in &self.0 {
            for start in lattice.starts(pattern.first()) {
                if let Some(end) = pattern.end(&lattice, start) {
                    found.push(pattern.grown(text, start..end));
                }
            }
        }
        for part in cut_parts(text) {
            found.extend(self.beginning(text, part, SHORTEST));
        }
        found
    }

    /// The place of the beginning of a secret at the end of this part of the text.
    fn beginning(&self, text: &str, part: Range<usize>, least: usize) -> Option<Range<usize>> {
        let cut = &text[part.clone()];
        if self.0.is_empty() || cut.len() < least {
            return None;
        }
        let lattice = Lattice::new(cut);
        let found = self.0.iter().filter_map(|pattern| {
            let starts = lattice.starts(pattern.first());
            let mut starts = starts.take_while(|at| at + least <= cut.len());
            let start = starts.find(|start| pattern.is_cut_off(&lattice, *start))?;
            Some(pattern.grown(cut, start..cut.len()).start)
        });
        let start = found.min()?;
        Some(part.start + start..part.end)
    }
}

/// The parts of a text that end with a mark of a cut.
fn cut_parts(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mark = |rest: &str| {
        let found =
            [CUT.to_string().as_str(), "..."].map(|mark| Some((rest.find(mark)?, mark.len())));
        found.into_iter().flatten().min()
    };
    while let Some((at, length)) = mark(&text[start..]) {
        parts.push(start..start + at);
        start += at + length;
    }
    parts
}

fn replaced<'t>(text: &'t str, mut found: Vec<Range<usize>>, name: &str) -> Cow<'t, str> {
    if found.is_empty() {
        return text.into();
    }
    found.sort_unstable_by_key(|range| range.start);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut found = found.into_iter().peekable();
    while let Some(range) = found.next() {
        let mut end = range.end;
        while let Some(next) = found.next_if(|next| next.start <= end) {
            end = end.max(next.end);
        }
        out.push_str(&text[done..range.start]);
        out.push_str(name);
        done = end;
    }
    out.push_str(&text[done..]);
    out.into()
}

impl Pattern {
    fn text(text: &str) -> Option<Self> {
        let is_word = text.len() < SHORTEST_WORD && text.bytes().all(|it| it.is_ascii_lowercase());
        (text.len() >= SHORTEST && !is_word).then(|| Self {
            units: Zeroizing::new(text.chars().map(|unit| [unit, unit]).collect()),
            is_base64: false,
        })
    }

    /// The text in Base64 at each of the three offsets in a group of bytes: those characters that only
    /// the text determines.
    fn base64(text: &str) -> Vec<Self> {
        let aligned = |skipped: usize| {
            let bytes = Zeroizing::new([&[0; 2][..skipped], text.as_bytes()].concat());
            let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&bytes[..]);
            let encoded = Zeroizing::new(encoded);
            let own = (skipped * 8).div_ceil(6)..bytes.len() * 8 / 6;
            let units = encoded.get(own)?.chars().map(|unit| match unit {
                '+' => ['+', '-'],
                '/' => ['/', '_'],
                unit => [unit, unit],
            });
            let units: Vec<_> = units.collect();
            (units.len() >= SHORTEST).then(|| Self {
                units: Zeroizing::new(units),
                is_base64: true,
            })
        };
        (0..3).filter_map(aligned).collect()
    }

    fn first(&self) -> [char; 2] {
        self.units.first().copied().unwrap_or_default()
    }

    /// The latest end of an occurrence that starts at `start`.
    fn end(&self, text: &Lattice<'_>, start: usize) -> Option<usize> {
        let ends = self.walk(text, start, |_| false);
        // If the search takes too long, the rest of the text counts as the secret.
        let end = if text.take_steps(0) {
            ends.last().copied()?
        } else {
            text.len()
        };
        Some(end)
    }

    /// Whether an occurrence starts at `start` that the end of the text cuts off.
    fn is_cut_off(&self, text: &Lattice<'_>, start: usize) -> bool {
        let mut cut_off = false;
        self.walk(text, start, |at| {
            cut_off = at > start && text.ends_at(at);
            cut_off
        });
        cut_off || !text.take_steps(0)
    }

    /// Follows the pattern from `start`, until the text differs or `stop` returns `true` for a place.
    /// Returns the places where it ends, in order.
    fn walk(
        &self,
        text: &Lattice<'_>,
        start: usize,
        mut stop: impl FnMut(usize) -> bool,
    ) -> Vec<usize> {
        let mut places = vec![start];
        for unit in &*self.units {
            if !text.take_steps(places.len()) {
                return Vec::new();
            }
            let mut next = Vec::new();
            for place in places {
                if stop(place) {
                    return Vec::new();
                }
                for (character, end) in text.at(place) {
                    if unit.contains(&character) {
                        next.push(end);
                    }
                }
            }
            next.sort_unstable();
            next.dedup();
            places = next;
            if places.is_empty() {
                break;
            }
        }
        places
    }

    /// The whole Base64 text around what was found.
    fn grown(&self, text: &str, found: Range<usize>) -> Range<usize> {
        if !self.is_base64 {
            return found;
        }
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
        let bytes = text.as_bytes();
        let before = bytes[..found.start]
            .iter()
            .rev()
            .take_while(|it| is_part(it));
        let after = bytes[found.end..].iter().take_while(|it| is_part(it));
        found.start - before.count()..found.end + after.count()
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}
