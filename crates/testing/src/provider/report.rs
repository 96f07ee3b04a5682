//! [`Report`]: what a case leaves unchecked.

use std::{fmt, future::Future, sync::Arc};

use tokio::sync::oneshot;

use super::{case::Case, repeating::repeats, stored::uses_its_own};

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
    /// Whether an error shows a secret that the vendor repeats: the case's refusals are not JSON, so that
    /// the suite can't put one into them, or the provider sends no request with a secret that contains
    /// quotes and blanks.
    RepeatedSecret,
}

impl Report {
    pub(super) async fn of(case: &Arc<Case>) -> Self {
        // What panics or hangs here is not checked.
        let (one, other) = (case.clone(), case.clone());
        let stored = asked(async move { uses_its_own(&*one.provider(), &one).await }).await;
        let repeated = asked(async move { repeats(&other).await }).await;
        let gaps = [
            (Gap::Lifetime, case.lifetime.is_none()),
            (Gap::RefusedRequest, case.refused_request.is_none()),
            (Gap::Rejection, case.rejected.is_none()),
            (Gap::StoredToken, !stored),
            (Gap::Settings, case.others.is_empty()),
            (Gap::RepeatedSecret, !repeated),
        ];
        let left = gaps.into_iter().filter(|(_, is_left)| *is_left);
        Self {
            unchecked: left.map(|(gap, _)| gap).collect(),
        }
    }

    /// Returns what was left unchecked, in the order of [`Gap`].
    #[must_use]
    pub fn unchecked(&self) -> &[Gap] {
        &self.unchecked
    }
}

async fn asked(work: impl Future<Output = bool> + Send + 'static) -> bool {
    let (tell, told) = oneshot::channel();
    let ended = crate::verdict(tokio::spawn(async move {
        let _ = tell.send(work.await);
    }));
    ended.await.is_ok() && told.await.unwrap_or(false)
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
            Self::RepeatedSecret => {
                "a secret that the vendor repeats; refuse with JSON in the case, and send any secret"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use biped_core::{Provider, SecretRef, TokenRequest};

    use super::*;
    use crate::{Reply, TestProvider};

    #[tokio::test]
    async fn a_refusal_that_is_not_json_is_left_unchecked() {
        let xml = http::Response::builder().status(401).body("<no/>".into());
        for (refusal, is_left) in [
            (Reply::Response(xml.unwrap()), true),
            (Reply::error(401, "invalid_client"), false),
            (Reply::status(401), false),
        ] {
            let make = |secret: &str| -> Arc<dyn Provider> {
                Arc::new(TestProvider::default().secret(SecretRef::inline(secret)))
            };
            let case = Case::new(make, TokenRequest::new())
                .grants("the-token", Reply::token("the-token", 60))
                .refuses_client(refusal);
            let report = Report::of(&Arc::new(case)).await;
            let left = report.unchecked().contains(&Gap::RepeatedSecret);
            assert_eq!(left, is_left);
        }
    }

    #[tokio::test]
    async fn what_panics_is_not_called_checked() {
        let case = Case::new(|_| panic!("as planted"), TokenRequest::new())
            .grants("the-token", Reply::token("the-token", 60))
            .for_seconds(60)
            .refuses_client(Reply::error(401, "invalid_client"))
            .refuses_request(Reply::error(400, "invalid_scope"))
            .rejects(Reply::status(401));
        let report = Report::of(&Arc::new(case)).await;
        let left = [Gap::StoredToken, Gap::Settings, Gap::RepeatedSecret];
        assert_eq!(report.unchecked(), left);
    }
}
