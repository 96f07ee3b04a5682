//! [`Report`]: what a case leaves unchecked.

use std::{fmt, sync::Arc};

use super::{case::Case, stored::uses_its_own};

/// What [`run`](super::conformance::run) could not check, because the case lacks information.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the report contains what the case leaves unchecked"]
pub struct Report {
    unchecked: Vec<Gap>,
}

/// Something that a case leaves unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// The lifetime of a granted token.
    Lifetime,
    /// The refusal of one request, but not of the client.
    RefusedRequest,
    /// The API's rejection of a token; an empty 401 is assumed.
    Rejection,
    /// The check of stored tokens: the provider does not use its own, so it can't be seen to refuse
    /// wrong ones.
    StoredToken,
    /// Whether settings beside the secret are part of the id.
    Settings,
}

impl Report {
    pub(super) async fn of(case: &Arc<Case>) -> Self {
        let case = case.clone();
        // A provider that panics here has panicked in a check already.
        let found = tokio::spawn(async move {
            let stored = uses_its_own(&*case.provider(), &case).await;
            let gaps = [
                (Gap::Lifetime, case.lifetime.is_none()),
                (Gap::RefusedRequest, case.refused_request.is_none()),
                (Gap::Rejection, case.rejected.is_none()),
                (Gap::StoredToken, !stored),
                (Gap::Settings, case.others.is_empty()),
            ];
            let left = gaps.into_iter().filter(|(_, is_left)| *is_left);
            left.map(|(gap, _)| gap).collect()
        });
        Self {
            unchecked: found.await.unwrap_or_default(),
        }
    }

    /// Returns what was left unchecked, in the order of [`Gap`].
    #[must_use]
    pub fn unchecked(&self) -> &[Gap] {
        &self.unchecked
    }
}

/// One gap per line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unchecked.is_empty() {
            return f.write_str("everything was checked");
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
            Self::Lifetime => "the lifetime of a granted token; call Case::for_seconds",
            Self::RefusedRequest => "the refusal of one request; call Case::refuses_request",
            Self::Rejection => "the API's rejection of a token; call Case::rejects",
            Self::StoredToken => "stored tokens; the provider does not use its own",
            Self::Settings => {
                "settings that are missing from the id; call Case::differs_in for each"
            }
        })
    }
}
