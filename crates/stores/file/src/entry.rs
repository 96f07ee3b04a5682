//! [`Entry`]: the state of a key, and its format in a file.

use std::time::Duration;

use biped_core::{Generation, Lease, LeaseId, StoredToken, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The version of the format. Another version uses other file names, so that different versions of
/// Biped leave each other's entries alone.
const FORMAT: u32 = 1;

/// The state of a key.
#[derive(Default)]
pub(crate) struct Entry {
    pub(crate) token: Option<(StoredToken, Span)>,
    pub(crate) forgotten: Option<(Generation, Timestamp)>,
    pub(crate) lease: Option<(Lease, Span)>,
    pub(crate) failure: Option<(Vec<u8>, Span)>,
    /// The newest generation that was stored, forgotten or given out.
    pub(crate) newest: Generation,
}

/// A time on the wall clock, which is the one that processes share; in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    since: i64,
    until: i64,
}

impl Span {
    /// A span of this length that begins now.
    pub(crate) fn new(now: Timestamp, length: Duration) -> Self {
        Self {
            since: now.unix_micros(),
            until: now.after(length).unix_micros(),
        }
    }

    /// The time that is left. A span that begins in the future has no time left: the clock was set back,
    /// and the elapsed time is unknown.
    pub(crate) fn left(&self, now: Timestamp) -> Option<Duration> {
        const COARSE: i64 = 1_000_000;
        let now = now.unix_micros();
        let holds = self.since <= now.saturating_add(COARSE) && now < self.until;
        let left = self.until.saturating_sub(now.max(self.since));
        let left = Duration::from_micros(u64::try_from(left).ok()?);
        holds.then_some(left)
    }
}

impl Entry {
    pub(crate) fn forgotten(&self) -> Generation {
        self.forgotten.map_or(Generation(0), |(through, _)| through)
    }

    pub(crate) fn held(&self) -> Generation {
        self.token
            .as_ref()
            .map_or(Generation(0), |(token, _)| token.generation)
    }

    /// Drops what has expired.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        self.token.take_if(|(_, span)| span.left(now).is_none());
        self.forgotten.take_if(|(_, until)| *until <= now);
        self.lease.take_if(|(_, span)| span.left(now).is_none());
        self.failure.take_if(|(_, span)| span.left(now).is_none());
    }

    /// Whether the entry needs no file. The newest generation needs one until the clock is sure to give
    /// out a later one.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.token.is_none()
            && self.forgotten.is_none()
            && self.lease.is_none()
            && self.failure.is_none()
            && self.newest < Generation(0).next(now)
    }

    /// The entry as the content of a file: a line of JSON, then the bytes that the line describes.
    pub(crate) fn write(&self) -> Zeroizing<Vec<u8>> {
        let token = self.token.as_ref().map(|(token, span)| WrittenToken {
            generation: token.generation.0,
            span: *span,
            bytes: token.bytes.len(),
        });
        let failure = self.failure.as_ref().map(|(why, span)| WrittenFailure {
            span: *span,
            bytes: why.len(),
        });
        let written = Written {
            biped: FORMAT,
            newest: self.newest.0,
            token,
            forgotten: self.forgotten.map(|(through, until)| WrittenForgotten {
                through: through.0,
                until: until.unix_millis(),
            }),
            lease: self.lease.map(|(lease, span)| WrittenLease {
                id: format!("{:032x}", lease.id.0),
                generation: lease.generation.0,
                span,
            }),
            failure,
        };
        // Texts and numbers always make JSON. A file without JSON would not be an entry.
        let header = serde_json::to_vec(&written).unwrap_or_default();
        let token = self.token.as_ref().map_or(&[][..], |(t, _)| &t.bytes);
        let why = self.failure.as_ref().map_or(&[][..], |(why, _)| why);
        // Reserved at once, since a buffer that grows leaves copies of the token behind.
        let room = header.len() + 1 + token.len() + why.len();
        let mut content = Zeroizing::new(Vec::with_capacity(room));
        content.extend_from_slice(&header);
        content.push(b'\n');
        content.extend_from_slice(token);
        content.extend_from_slice(why);
        content
    }

    /// Reads the content of a file. Returns `None` if it is not an entry of this version.
    pub(crate) fn read(content: &[u8], now: Timestamp) -> Option<Self> {
        let line = content.iter().position(|byte| *byte == b'\n')?;
        let (header, body) = (&content[..line], &content[line + 1..]);
        let version: Version = serde_json::from_slice(header).ok()?;
        if version.biped != FORMAT {
            return None;
        }
        let written: Written = serde_json::from_slice(header).ok()?;
        written.entry(body, now)
    }
}

#[derive(Deserialize)]
struct Version {
    biped: u32,
}

#[derive(Serialize, Deserialize)]
struct Written {
    biped: u32,
    newest: u64,
    token: Option<WrittenToken>,
    forgotten: Option<WrittenForgotten>,
    lease: Option<WrittenLease>,
    failure: Option<WrittenFailure>,
}

#[derive(Serialize, Deserialize)]
struct WrittenToken {
    generation: u64,
    #[serde(flatten)]
    span: Span,
    bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct WrittenForgotten {
    through: u64,
    until: i64,
}

#[derive(Serialize, Deserialize)]
struct WrittenLease {
    id: String,
    generation: u64,
    #[serde(flatten)]
    span: Span,
}

#[derive(Serialize, Deserialize)]
struct WrittenFailure {
    #[serde(flatten)]
    span: Span,
    bytes: usize,
}

impl Written {
    fn entry(self, body: &[u8], now: Timestamp) -> Option<Entry> {
        let token_bytes = self.token.as_ref().map_or(0, |token| token.bytes);
        let (token, why) = body.split_at_checked(token_bytes)?;
        if why.len() != self.failure.as_ref().map_or(0, |failure| failure.bytes) {
            return None;
        }
        let lease = match self.lease {
            Some(written) => {
                let id = LeaseId(u128::from_str_radix(&written.id, 16).ok()?);
                let generation = Generation(written.generation);
                Some((Lease { id, generation }, written.span))
            }
            None => None,
        };
        let stored = self.token.map(|written| {
            let stored = StoredToken {
                generation: Generation(written.generation),
                keep: written.span.left(now).unwrap_or_default(),
                bytes: token.to_vec(),
            };
            (stored, written.span)
        });
        let forgotten = self.forgotten.map(|written| {
            let until = Timestamp::from_unix_millis(written.until);
            (Generation(written.through), until)
        });
        Some(Entry {
            token: stored,
            forgotten,
            lease,
            failure: self.failure.map(|written| (why.to_vec(), written.span)),
            newest: Generation(self.newest),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noon() -> Timestamp {
        Timestamp::from_unix_seconds(1_772_366_400)
    }

    fn full() -> Entry {
        let span = Span::new(noon(), Duration::from_secs(60));
        let generation = Generation(1_772_366_400_000_001);
        let token = StoredToken {
            generation,
            keep: Duration::from_secs(60),
            bytes: b"token\n\xff".to_vec(),
        };
        let id = LeaseId(u128::MAX);
        Entry {
            token: Some((token, span)),
            forgotten: Some((Generation(7), noon().after(Duration::from_secs(9)))),
            lease: Some((Lease { id, generation }, span)),
            failure: Some((b"why\n".to_vec(), span)),
            newest: generation,
        }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let written = full();
        let read = Entry::read(&written.write(), noon()).unwrap();
        assert_eq!(read.token, written.token);
        assert_eq!(read.forgotten, written.forgotten);
        assert_eq!(read.lease, written.lease);
        assert_eq!(read.failure, written.failure);
        assert_eq!(read.newest, written.newest);
    }

    #[test]
    fn an_entry_cut_anywhere_is_corrupt() {
        let content = full().write();
        for length in 0..content.len() {
            let read = Entry::read(&content[..length], noon());
            assert!(read.is_none(), "cut at {length}");
        }
    }

    #[test]
    fn an_entry_of_another_version_is_none() {
        let mut later = full().write();
        assert!(later.starts_with(b"{\"biped\":1,"));
        assert!(Entry::read(&later, noon()).is_some());
        later[9] = b'2';
        assert!(Entry::read(&later, noon()).is_none());
    }

    #[test]
    fn a_span_is_over_when_the_clock_was_set_back_before_it() {
        let span = Span::new(noon(), Duration::from_secs(60));
        let hour = Duration::from_secs(3600);
        assert_eq!(span.left(noon()), Some(Duration::from_secs(60)));
        assert_eq!(span.left(noon().before(hour)), None);
        assert_eq!(span.left(noon().after(Duration::from_secs(60))), None);
    }

    proptest! {
        #[test]
        fn an_entry_that_was_changed_is_none_or_is_written_as_it_is_read(
            at in 0..400_usize,
            length in 0..4_usize,
            new in proptest::collection::vec(b' '..b'~', 0..4),
        ) {
            let mut content = full().write().to_vec();
            let at = at.min(content.len() - length);
            content.splice(at..at + length, new);
            if let Some(read) = Entry::read(&content, noon()) {
                let written = read.write();
                let again = Entry::read(&written, noon()).map(|entry| entry.write().to_vec());
                prop_assert_eq!(again, Some(written.to_vec()));
            }
        }

        #[test]
        fn no_bytes_are_an_entry(content: Vec<u8>) {
            prop_assert!(Entry::read(&content, noon()).is_none());
        }

        #[test]
        fn an_entry_keeps_nothing_that_is_over(
            newest: u64,
            bytes in 3..8_usize,
            since: i64,
            until: i64,
        ) {
            let content = format!(
                "{{\"biped\":1,\"newest\":{newest},\"token\":{{\"generation\":{newest},\
                 \"since\":{since},\"until\":{until},\"bytes\":{bytes}}},\"forgotten\":{{\
                 \"through\":{newest},\"until\":{until}}}}}\nbytes"
            );
            let read = Entry::read(content.as_bytes(), noon());
            prop_assert_eq!(read.is_some(), bytes == b"bytes".len());
            if let Some(mut entry) = read {
                entry.tidy(noon());
                prop_assert_eq!(entry.newest, Generation(newest));
                let now = noon().unix_micros();
                let may_be_kept = since <= now + 1_000_000 && now < until;
                prop_assert_eq!(entry.token.is_some(), may_be_kept);
                let kept = entry.forgotten.map(|(_, until)| until > noon());
                prop_assert!(kept.is_none_or(|is_ahead| is_ahead));
            }
        }
    }
}
