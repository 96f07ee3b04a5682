//! [`Report`]: what a case left unchecked.

use std::{fmt, sync::Arc};

use super::{case::Case, stored::uses_its_own};

/// What [`run`](super::conformance::run) could not check, since the case didn't tell enough.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it tells what the case left unchecked"]
pub struct Report {
    unchecked: Vec<Gap>,
}

/// Something that a case left unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// How long a granted token lives.
    Lifetime,
    /// What a refusal of one request, but not of the client, looks like.
    RefusedRequest,
    /// How the API rejects a token: an empty 401 was assumed.
    Rejection,
    /// What comes of a stored token: the provider doesn't use its own, so that it refuses a wrong one
    /// for no other reason.
    StoredToken,
}

impl Report {
    pub(super) async fn of(case: &Arc<Case>) -> Self {
        let case = case.clone();
        // A provider that panics here has done so in a check already.
        let found = tokio::spawn(async move {
            let stored = uses_its_own(&*case.provider(), &case).await;
            let gaps = [
                (Gap::Lifetime, case.lifetime.is_none()),
                (Gap::RefusedRequest, case.refused_request.is_none()),
                (Gap::Rejection, case.rejected.is_none()),
                (Gap::StoredToken, !stored),
            ];
            let left = gaps.into_iter().filter(|(_, is_left)| *is_left);
            left.map(|(gap, _)| gap).collect()
        });
        Self {
            unchecked: found.await.unwrap_or_default(),
        }
    }

    /// What was left unchecked, in the order of [`Gap`]; empty where it was nothing.
    #[must_use]
    pub fn unchecked(&self) -> &[Gap] {
        &self.unchecked
    }
}

/// One gap a line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unchecked.is_empty() {
            return f.write_str("nothing was left unchecked");
        }
        f.write_str("left unchecked:")?;
        self.unchecked
            .iter()
            .try_for_each(|gap| write!(f, "\n{gap}"))
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lifetime => "how long a granted token lives; see Case::for_seconds",
            Self::RefusedRequest => "a refusal of one request; see Case::refuses_request",
            Self::Rejection => "how the API rejects a token; see Case::rejects",
            Self::StoredToken => "stored tokens; the provider does not use its own",
        })
    }
}
