//! [`Pointer`] and [`ResponsePath`]: where a value is in a response.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use serde_json::Value;

/// A JSON pointer (RFC 6901), parsed once.
///
/// It also leads into JSON that a value contains as a string.
///
/// ```
/// use biped_core::wire::Pointer;
/// use serde_json::json;
///
/// let pointer = Pointer::parse("/data/tokens/0")?;
/// let response = json!({ "data": "{\"tokens\": [\"t-1\"]}" });
/// assert_eq!(pointer.find(&response).as_deref(), Some(&json!("t-1")));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer(Box<[Box<str>]>);

impl Pointer {
    /// Parses a pointer. The empty text is the pointer to the whole value.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Ok(Self(Box::default()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err("expected a JSON pointer, such as \"/data/token\"");
        };
        rest.split('/')
            .map(token)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Creates the pointer to a key of the top object.
    #[must_use]
    pub fn key(name: &str) -> Self {
        Self([name.into()].into())
    }

    /// Returns the first key of the pointer; `None` for the pointer to the whole value.
    #[must_use]
    pub fn top(&self) -> Option<&str> {
        self.0.first().map(|token| &**token)
    }

    /// Returns the key, if the pointer is no more than a key of the top object.
    #[must_use]
    pub fn only_key(&self) -> Option<&str> {
        match &*self.0 {
            [key] => Some(key),
            _ => None,
        }
    }

    /// Finds the value in a whole JSON value.
    #[must_use]
    pub fn find<'v>(&self, value: &'v Value) -> Option<Cow<'v, Value>> {
        walk(&self.0, value)
    }

    /// Finds the value in what the [first key](Self::top) leads to.
    #[must_use]
    pub fn find_below<'v>(&self, value: &'v Value) -> Option<Cow<'v, Value>> {
        walk(self.0.get(1..)?, value)
    }
    /// Puts a value at the pointer, and creates the objects and arrays that lead to it.
    ///
    /// Returns `false` if another value is in the way, or if an array would get a gap.
    #[must_use]
    pub fn put(&self, into: &mut Value, value: Value) -> bool {
        let mut at = into;
        for token in &self.0 {
            if at.is_null() {
                *at = match &**token {
                    "0" | "-" => Value::Array(Vec::new()),
                    _ => Value::Object(serde_json::Map::new()),
                };
            }
            at = match at {
                Value::Object(object) => object.entry(&**token).or_insert(Value::Null),
                Value::Array(array) => {
                    let index = match index(token) {
                        _ if &**token == "-" => array.len(),
                        Some(index) if index <= array.len() => index,
                        _ => return false,
                    };
                    if index == array.len() {
                        array.push(Value::Null);
                    }
                    &mut array[index]
                }
                _ => return false,
            };
        }
        if !at.is_null() {
            return false;
        }
        *at = value;
        true
    }
}

fn walk<'v>(tokens: &[Box<str>], value: &'v Value) -> Option<Cow<'v, Value>> {
    let mut found = Cow::Borrowed(value);
    for token in tokens {
        found = match found {
            Cow::Borrowed(value) => step(value, token)?,
            Cow::Owned(value) => Cow::Owned(step(&value, token)?.into_owned()),
        };
    }
    Some(found)
}

/// One step down: by key or by index, also into JSON in a string.
fn step<'v>(value: &'v Value, token: &str) -> Option<Cow<'v, Value>> {
    match value {
        Value::Object(object) => object.get(token).map(Cow::Borrowed),
        Value::Array(array) => array.get(index(token)?).map(Cow::Borrowed),
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => {
            let inside: Value = serde_json::from_str(text).ok()?;
            Some(Cow::Owned(step(&inside, token)?.into_owned()))
        }
        _ => None,
    }
}

fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with(['0', '+']);
    plain.then(|| token.parse().ok()).flatten()
}

fn token(text: &str) -> Result<Box<str>, &'static str> {
    if !text.contains('~') {
        return Ok(text.into());
    }
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match (next, (next == '~').then(|| rest.next()).flatten()) {
            ('~', Some('0')) => out.push('~'),
            ('~', Some('1')) => out.push('/'),
            ('~', _) => {
                return Err("expected ~0 or ~1 after ~; write ~ as ~0, and / in a name as ~1");
            }
            (other, _) => out.push(other),
        }
    }
    Ok(out.into())
}

/// Where a value is in a response: in the body or in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponsePath {
    /// In the JSON body; the empty pointer is the whole body.
    Body(Pointer),
    /// In a header: `header:Name`.
    Header(HeaderName),
}

impl ResponsePath {
    /// Parses a path: `header:Name`, or a JSON pointer.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text.strip_prefix("header:") {
            Some(name) => name
                .trim()
                .parse()
                .map(Self::Header)
                .map_err(|_| "expected the name of a header after header:"),
            None => Pointer::parse(text).map(Self::Body),
        }
    }

    /// Creates the path to a key of the body's top object.
    #[must_use]
    pub fn key(name: &str) -> Self {
        Self::Body(Pointer::key(name))
    }

    /// Returns whether it is the whole body.
    #[must_use]
    pub fn is_whole_body(&self) -> bool {
        matches!(self, Self::Body(pointer) if pointer.0.is_empty())
    }

    /// Returns whether it is a header.
    #[must_use]
    pub fn is_header(&self) -> bool {
        matches!(self, Self::Header(_))
    }

    /// Finds the value; null counts as missing.
    #[must_use]
    pub fn find<'v>(&self, body: &'v Value, headers: &HeaderMap) -> Option<Cow<'v, Value>> {
        match self {
            Self::Body(pointer) => pointer.find(body).filter(|value| !value.is_null()),
            Self::Header(name) => {
                let text = headers.get(name)?.to_str().ok()?.trim();
                Some(Cow::Owned(text.into()))
            }
        }
    }
}

/// Returns whether two plain values are equal; `401` and `"401"` are.
#[must_use]
pub fn alike(found: &Value, expected: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let word = |value: &Value| match value {
        Value::Bool(yes) => Some(yes.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    };
    if found == expected {
        return true;
    }
    match (number(found), number(expected)) {
        (Some(found), Some(expected)) => found.total_cmp(&expected).is_eq(),
        _ => word(found).is_some_and(|found| Some(found) == word(expected)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn find(pointer: &str, value: &Value) -> Option<Value> {
        Some(Pointer::parse(pointer).unwrap().find(value)?.into_owned())
    }

    #[test]
    fn pointers_lead_through_objects_arrays_and_json_in_strings() {
        let value = json!({ "a": [{ "b/c": 1 }], "~": 2, "in": "{\"x\": [7]}", "": 3 });
        assert_eq!(find("/a/0/b~1c", &value), Some(json!(1)));
        assert_eq!(find("/~0", &value), Some(json!(2)));
        assert_eq!(find("/in/x/0", &value), Some(json!(7)));
        assert_eq!(find("/", &value), Some(json!(3)));
        assert_eq!(find("", &value), Some(value.clone()));
        assert_eq!(find("/0", &json!(["root"])), Some(json!("root")));
        for nothing in ["/a/1", "/a/00", "/a/+0", "/a/-", "/in/y", "/x", "/~0/x"] {
            assert_eq!(find(nothing, &value), None, "{nothing}");
        }
    }

    #[test]
    fn an_invalid_pointer_is_refused() {
        for text in ["a", "a/b", "/~", "/~2", "header:", "header:a b"] {
            assert!(ResponsePath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_are_put_where_pointers_say() {
        let mut value = Value::Null;
        let mut put = |at: &str, what: Value| Pointer::parse(at).unwrap().put(&mut value, what);
        assert!(put("/auth/user", json!("u")));
        assert!(put("/auth/list/0", json!(1)));
        assert!(put("/auth/list/-", json!(2)));
        assert!(!put("/auth/list/7", json!(3)), "a gap");
        assert!(!put("/auth/user/name", json!(4)), "a text is in the way");
        assert!(!put("/auth/user", json!(5)), "it is there already");
        assert_eq!(value["auth"], json!({ "user": "u", "list": [1, 2] }));
    }
}
