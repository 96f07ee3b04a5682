//! [`Body`]: an answer's JSON, of which no more is read than is asked for.

use std::{fmt, mem};

use serde_json::Value;

/// The JSON of an answer.
pub(crate) enum Body<'k> {
    /// All of it.
    Whole(Value),
    /// Of an object, what stands under the keys that are wanted; the last of a name counts.
    Parts(Vec<(&'k str, Value)>),
}

impl<'k> Body<'k> {
    /// The object in `bytes` with only those of its keys that are wanted; `None` for anything that
    /// is no object, or no JSON.
    pub(crate) fn skim(bytes: &[u8], wanted: &'k [Box<str>]) -> Option<Self> {
        use serde::de::Deserializer as _;
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let parts = json.deserialize_map(Skim(wanted)).ok()?;
        json.end().ok()?;
        Some(Self::Parts(parts))
    }

    /// What stands under a key of the object.
    pub(crate) fn part(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Whole(value) => value.as_object()?.get(key),
            Self::Parts(parts) => {
                let part = parts.iter().rev().find(|(known, _)| *known == key);
                part.map(|(_, value)| value)
            }
        }
    }

    /// Takes the text under a key of the object, without a copy; `None` where it is no text.
    pub(crate) fn take_text(&mut self, key: &str) -> Option<String> {
        let value = match self {
            Self::Whole(value) => value.as_object_mut()?.get_mut(key),
            Self::Parts(parts) => {
                let part = parts.iter_mut().rev().find(|(known, _)| *known == key);
                part.map(|(_, value)| value)
            }
        };
        match value {
            Some(Value::String(text)) => Some(mem::take(text)),
            _ => None,
        }
    }
}

struct Skim<'a>(&'a [Box<str>]);

impl<'de, 'k> serde::de::Visitor<'de> for Skim<'k> {
    type Value = Vec<(&'k str, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::with_capacity(self.0.len());
        while let Some(key) = all.next_key_seed(Wanted(self.0))? {
            match key {
                Some(key) => found.push((key, all.next_value()?)),
                None => drop(all.next_value::<serde::de::IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// A key, if it is one that is wanted.
struct Wanted<'a>(&'a [Box<str>]);

impl<'de, 'a> serde::de::DeserializeSeed<'de> for Wanted<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'a> serde::de::Visitor<'_> for Wanted<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let found = self.0.iter().find(|wanted| ***wanted == *key);
        Ok(found.map(|wanted| &**wanted))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_wanted_is_kept_and_the_last_of_it_counts() {
        let wanted = ["a".into(), "c".into()];
        let text = br#"{"a": {"x": [1]}, "b": "no", "\u0063": "2", "a": 3, "d": {"a": 4}}"#;
        let mut body = Body::skim(text, &wanted).unwrap();
        assert_eq!(body.part("a"), Some(&json!(3)));
        assert_eq!(body.part("b"), None);
        assert_eq!(body.take_text("a"), None);
        assert_eq!(body.take_text("c").as_deref(), Some("2"));
        for text in [
            "[]",
            "7",
            "\"a\"",
            "",
            "{\"a\": 1} x",
            "{\"a\": 1",
            "{\"b\": }",
        ] {
            assert!(Body::skim(text.as_bytes(), &wanted).is_none(), "{text}");
        }
    }
}
