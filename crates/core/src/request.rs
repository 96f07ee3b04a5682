//! [`TokenRequest`]: what a token is for. [`SetParam`]: types that contain a request.

use std::{
    borrow::Cow,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use biped_redact::Escaped;

/// What a token is for: its scopes and the provider's further parameters.
///
/// One set of account-level credentials serves many projects, so the project is a parameter of the
/// request, not of the provider. Scopes are sent in the order in which they were written; requests that
/// differ only in the order of scopes or parameters are equal, and share a token.
///
/// ```
/// use biped_core::TokenRequest;
///
/// let a = TokenRequest::new().scope("metrics").scope("data-export").param("project_id", 42);
/// let b = TokenRequest::new().param("project_id", 42).scope("data-export metrics");
/// assert_eq!(a, b);
/// ```
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// As written, each once.
    scopes: Box<[Box<str>]>,
    params: Box<[(Box<str>, ParamValue)]>,
}

impl PartialEq for TokenRequest {
    fn eq(&self, other: &Self) -> bool {
        let same_scopes = || {
            self.scopes.len() == other.scopes.len()
                && self.scopes.iter().all(|scope| other.scopes.contains(scope))
        };
        self.params == other.params && (self.scopes == other.scopes || same_scopes())
    }
}

impl Eq for TokenRequest {}

impl Hash for TokenRequest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.params.hash(state);
        // A sum, so that the order of scopes doesn't matter.
        let mut sum = 0_u64;
        for scope in &self.scopes {
            let mut hasher = DefaultHasher::new();
            scope.hash(&mut hasher);
            sum = sum.wrapping_add(hasher.finish());
        }
        state.write_u64(sum);
    }
}

/// The value of a request's parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParamValue {
    /// A text.
    Text(Box<str>),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Bool(bool),
    /// Several texts, in order.
    List(Box<[Box<str>]>),
}

impl TokenRequest {
    /// Creates a request without scopes and parameters: the provider's defaults apply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a scope, or several separated by spaces (RFC 6749 §3.3).
    #[must_use]
    pub fn scope(self, scope: impl AsRef<str>) -> Self {
        self.scopes([scope])
    }

    /// Adds scopes. An item that contains spaces is several scopes, so that a configured
    /// `scope = "data-export metrics"` and a list of the two are the same request.
    #[must_use]
    pub fn scopes<S: AsRef<str>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        let mut all = Vec::from(std::mem::take(&mut self.scopes));
        for scope in scopes {
            for name in scope.as_ref().split_ascii_whitespace() {
                if !all.iter().any(|known| **known == *name) {
                    all.push(name.into());
                }
            }
        }
        self.scopes = all.into();
        self
    }

    /// Removes all scopes.
    #[must_use]
    pub fn without_scopes(mut self) -> Self {
        self.scopes = Box::default();
        self
    }

    /// Sets a parameter; the last value given for a name counts.
    #[must_use]
    pub fn param(mut self, name: impl AsRef<str>, value: impl Into<ParamValue>) -> Self {
        let mut all = Vec::from(std::mem::take(&mut self.params));
        match all.binary_search_by(|(known, _)| (**known).cmp(name.as_ref())) {
            Ok(at) => all[at].1 = value.into(),
            Err(at) => {
                all.reserve_exact(1);
                all.insert(at, (name.as_ref().into(), value.into()));
            }
        }
        self.params = all.into();
        self
    }

    /// Returns the scopes in the order in which they were written, each once.
    pub fn scope_names(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.scopes.iter().map(|scope| &**scope)
    }

    /// Returns the scopes in one text, in the order in which they were written, separated by
    /// `separator`; `None` if there are none.
    #[must_use]
    pub fn joined_scopes(&self, separator: &str) -> Option<String> {
        (!self.scopes.is_empty()).then(|| self.scopes.join(separator))
    }

    /// Returns the parameters, sorted by name.
    pub fn params(&self) -> impl ExactSizeIterator<Item = (&str, &ParamValue)> {
        self.params.iter().map(|(name, value)| (&**name, value))
    }

    /// Returns the value of one parameter.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&ParamValue> {
        let at = self
            .params
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .ok()?;
        Some(&self.params[at].1)
    }
}

/// A type that contains a token request and can set its parameters: [`TokenRequest`] itself, the
/// engine's `TokenSource`, the reqwest client's `ApiClient`.
///
/// A provider's crate names its parameters once for all of these types:
///
/// ```
/// use biped_core::{SetParam, TokenRequest};
///
/// /// Acme's parameters of a token request.
/// trait AcmeRequest: SetParam {
///     /// Asks for a token of this tenant.
///     fn tenant(self, name: &str) -> Self {
///         self.with_param("tenant", name.into())
///     }
/// }
///
/// impl<T: SetParam> AcmeRequest for T {}
///
/// let request = TokenRequest::new().tenant("north");
/// assert_eq!(request, TokenRequest::new().param("tenant", "north"));
/// ```
pub trait SetParam: Sized {
    /// Sets a parameter; the last value given for a name counts.
    #[must_use]
    fn with_param(self, name: &str, value: ParamValue) -> Self;
}

impl SetParam for TokenRequest {
    fn with_param(self, name: &str, value: ParamValue) -> Self {
        self.param(name, value)
    }
}

/// Shows the request as in logs and in `biped list`, on one line, sorted:
/// `data-export metrics project_id=42`.
/// Control characters are escaped.
impl fmt::Display for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut scopes: Vec<_> = self.scopes.iter().collect();
        scopes.sort_unstable();
        for scope in scopes {
            write!(f, "{separator}{}", Escaped(scope))?;
            separator = " ";
        }
        for (name, value) in &self.params {
            let value = value.to_string();
            write!(f, "{separator}{}={}", Escaped(name), Escaped(&value))?;
            separator = " ";
        }
        Ok(())
    }
}

impl ParamValue {
    /// Returns the text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the whole number, if it is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The same value with other texts.
    pub(crate) fn map_texts<'s>(&'s self, change: impl Fn(&'s str) -> Cow<'s, str>) -> Self {
        match self {
            Self::Text(text) => Self::Text(change(text).into()),
            Self::List(texts) => Self::List(texts.iter().map(|text| change(text).into()).collect()),
            Self::Integer(_) | Self::Bool(_) => self.clone(),
        }
    }

    /// Returns the value as JSON, with its type.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => (**text).into(),
            Self::Integer(number) => (*number).into(),
            Self::Bool(yes) => (*yes).into(),
            Self::List(texts) => texts.iter().map(|text| &**text).collect(),
        }
    }
}

/// Shows the value as it is sent in a text. Nothing is escaped.
impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
            Self::List(texts) => f.write_str(&texts.join(" ")),
        }
    }
}

macro_rules! from {
    ($($from:ty => |$value:ident| $make:expr),* $(,)?) => {$(
        impl From<$from> for ParamValue {
            fn from($value: $from) -> Self {
                $make
            }
        }
    )*};
}

from! {
    &str => |text| Self::Text(text.into()),
    String => |text| Self::Text(text.into()),
    i64 => |number| Self::Integer(number),
    i32 => |number| Self::Integer(number.into()),
    u32 => |number| Self::Integer(number.into()),
    bool => |yes| Self::Bool(yes),
    Vec<String> => |texts| Self::List(texts.into_iter().map(Into::into).collect()),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_keep_the_order_in_which_they_were_written_and_are_equal_in_any() {
        let written = TokenRequest::new()
            .scope("write read")
            .scopes(["admin", "read"]);
        assert_eq!(
            written.joined_scopes(" ").as_deref(),
            Some("write read admin")
        );
        let sorted = TokenRequest::new().scope("admin read write");
        assert_eq!(written, sorted);
        let hash = |request: &TokenRequest| {
            let mut hasher = DefaultHasher::new();
            request.hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&written), hash(&sorted));
        assert_ne!(written, TokenRequest::new().scope("admin read"));
        assert_ne!(written, TokenRequest::new().scope("admin read other"));
        assert_eq!(written.to_string(), "admin read write");
    }
}
