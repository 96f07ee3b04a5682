//! [`RotatingAccount`]: what a server that rotates refresh tokens makes of each.

use std::fmt;

/// How far the tokens of one consent are from those of the next.
const CONSENT: u64 = 100;

/// An account whose refresh token is replaced with each use (RFC 6749 §6). One that was replaced and is
/// used again revokes the account (RFC 9700 §4.14.2). With a grace period the latest replaced one is
/// accepted again, and gives the same successor, because the client may not have received it.
///
/// ```
/// use biped_sandbox::RotatingAccount;
///
/// let mut account = RotatingAccount::new("R", false);
/// let first = account.token();
/// let second = account.present(&first).unwrap();
/// assert_eq!(account.present(&first), None); // used again: the account is revoked
/// assert_eq!(account.present(&second), None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RotatingAccount {
    prefix: String,
    has_grace: bool,
    current: u64,
    is_revoked: bool,
}

impl RotatingAccount {
    /// Returns an account whose tokens are `PREFIX-0`, `PREFIX-1` and so on.
    #[must_use]
    pub fn new(prefix: impl Into<String>, has_grace: bool) -> Self {
        Self {
            prefix: prefix.into(),
            has_grace,
            current: 0,
            is_revoked: false,
        }
    }

    /// Returns the token that is good, if the account is.
    #[must_use]
    pub fn token(&self) -> String {
        self.numbered(self.current)
    }

    /// Returns the number of the token that is good.
    #[must_use]
    pub fn current(&self) -> u64 {
        self.current
    }

    /// Returns whether a replaced token was used again.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.is_revoked
    }

    /// Returns whether this looks like a token of the account, good or not.
    #[must_use]
    pub fn knows(&self, token: &str) -> bool {
        self.number(token).is_some()
    }

    /// Takes a token and returns its successor, or `None` for one that is refused.
    pub fn present(&mut self, token: &str) -> Option<String> {
        let number = self.number(token)?;
        let is_retry = self.has_grace && number + 1 == self.current;
        if self.is_revoked || !(number == self.current || is_retry) {
            self.is_revoked = true;
            return None;
        }
        self.current = number + 1;
        Some(self.token())
    }

    /// Returns a new token, as a person's consent gives it. The account is good again.
    pub fn consent(&mut self) -> String {
        self.is_revoked = false;
        self.current += CONSENT;
        self.token()
    }

    fn number(&self, token: &str) -> Option<u64> {
        let number = token.strip_prefix(&*self.prefix)?.strip_prefix('-')?;
        number.parse().ok().filter(|number| *number < u64::MAX)
    }

    fn numbered(&self, number: u64) -> String {
        format!("{}-{number}", self.prefix)
    }
}

/// Without the prefix, which is what can't be guessed of a token.
impl fmt::Debug for RotatingAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatingAccount")
            .field("current", &self.current)
            .field("is_revoked", &self.is_revoked)
            .finish_non_exhaustive()
    }
}
