//! [`RejectionRule`]: which API responses reject the token, as data.

use serde_json::Value;

use crate::{
    ApiResponse, PEEK_LIMIT, Verdict,
    wire::{ResponsePath, alike},
};

/// An API response that rejects the token, for APIs that don't say so with 401. All of its conditions
/// must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectionRule {
    /// The statuses of such a response; `None`: any.
    pub statuses: Option<Vec<u16>>,
    /// Where such a response has one of these values; `None`: the status decides.
    pub any_of: Option<(ResponsePath, Vec<Value>)>,
}

impl RejectionRule {
    /// Judges an API response: it rejects the token if one of the rules does.
    #[must_use]
    pub fn judge(rules: &[Self], response: &ApiResponse<'_>) -> Verdict {
        let status = response.status().as_u16();
        let mut needs_body = false;
        for rule in rules {
            let statuses = rule.statuses.as_ref();
            if statuses.is_some_and(|all| !all.contains(&status)) {
                continue;
            }
            match (&rule.any_of, response.body()) {
                (None, _) => return Verdict::Rejected,
                (Some((path, _)), None) if !path.is_header() => needs_body = true,
                (Some((path, values)), body) => {
                    let body = body.and_then(|body| serde_json::from_slice(body).ok());
                    let body = body.unwrap_or_default();
                    let found = path.find(&body, response.headers());
                    if found.is_some_and(|found| values.iter().any(|value| alike(&found, value))) {
                        return Verdict::Rejected;
                    }
                }
            }
        }
        if needs_body {
            Verdict::NeedsBody { limit: PEEK_LIMIT }
        } else {
            Verdict::Accepted
        }
    }
}
