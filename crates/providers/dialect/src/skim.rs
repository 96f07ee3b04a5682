//! [`Body`]: the JSON of a response, of which only the wanted keys are read.

use std::{fmt, mem};

use serde_json::Value;

/// The JSON of a response.
pub(crate) enum Body<'k> {
    /// All of it.
    Whole(Value),
    /// The wanted keys of an object with their values; the last of several equal keys counts.
    Parts(Vec<(&'k str, Value)>),
}

impl<'k> Body<'k> {
    /// Reads the wanted keys of the object in `bytes`; returns `None` if they are not a JSON
    /// object.
    pub(crate) fn skim(bytes: &[u8], wanted: &'k [Box<str>]) -> Option<Self> {
        use serde::de::Deserializer as _;
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let parts = json.deserialize_map(Skim(wanted)).ok()?;
        json.end().ok()?;
        Some(Self::Parts(parts))
    }

    /// Returns the value of a key.
    pub(crate) fn part(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Whole(value) => value.as_object()?.get(key),
            Self::Parts(parts) => {
                let part = parts.iter().rev().find(|(known, _)| *known == key);
                part.map(|(_, value)| value)
            }
        }
    }

    /// Moves the string of a key out of the object; returns `None` for a value of another type.
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

/// A key, if it is wanted.
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
