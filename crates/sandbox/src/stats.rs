//! [`Stats`]: what the sandbox counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Vendor;

/// What the sandbox counted since it started, or since its counters were set to zero.
///
/// `GET /_sandbox/stats` tells the same as JSON. The fields of [`Counts`] stand beside the others,
/// in `Stats` itself (the sum), in each client and in each key:
///
/// ```json
/// {
///   "elapsed_ms": 12034, "lifetime_seconds": 3,
///   "token_requests": { "total": 5, "issued": 5, "refused": 0, "faulted": 0 },
///   "api_calls": { "total": 40, "accepted": 39, "rejected": 1, "refused": 0, "faulted": 0 },
///   "inspections": 0, "revocations": 1,
///   "clients": [{
///     "vendor": "contentsquare", "client_id": "c3133d76-…",
///     "token_requests": { … }, "api_calls": { … }, "inspections": 0, "revocations": 1,
///     "keys": [{
///       "scope": "data-export", "project_id": 42, "integration_id": null,
///       "token_requests": { … }, "api_calls": { … }, "inspections": 0, "revocations": 1
///     }]
///   }]
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Milliseconds on the sandbox's clock.
    pub elapsed_ms: u64,
    /// The `expires_in` of every token, in seconds.
    pub lifetime_seconds: u64,
    /// The sum over all clients.
    #[serde(flatten)]
    pub counts: Counts,
    /// The clients that were seen, by vendor and identifier.
    pub clients: Vec<ClientStats>,
}

/// What one client did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientStats {
    /// Whose client it is.
    pub vendor: Vendor,
    /// The identifier as it came; nothing where a request didn't tell (a malformed body, an API
    /// call without a token of ours).
    pub client_id: Option<String>,
    /// The sum over all keys.
    #[serde(flatten)]
    pub counts: Counts,
    /// The tokens it asked for, by what they are for.
    pub keys: Vec<KeyStats>,
}

/// What one client did for, and with, one kind of token.
///
/// A key is what a token request named, so a client that caches well asks once per key and
/// lifetime. API calls are counted with the key of the token they carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyStats {
    /// The scope asked for, as it came.
    pub scope: Option<String>,
    /// The project asked for.
    pub project_id: Option<i64>,
    /// The integration asked for.
    pub integration_id: Option<i64>,
    /// What was counted.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What is counted. Requests are counted when they arrive, their outcome when it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Requests to the token endpoint.
    pub token_requests: TokenRequests,
    /// Requests to the APIs.
    pub api_calls: ApiCalls,
    /// Requests to `/v1/oauth/me`.
    pub inspections: u64,
    /// How often live tokens were revoked early; several tokens revoked at once count once.
    pub revocations: u64,
}

/// Requests to a token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenRequests {
    /// All that arrived.
    pub total: u64,
    /// Answered with a token.
    pub issued: u64,
    /// Answered with an error by the vendor's own rules.
    pub refused: u64,
    /// Spoiled by a [`Fault`](crate::Fault).
    pub faulted: u64,
}

/// Requests to the APIs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiCalls {
    /// All that arrived.
    pub total: u64,
    /// Answered with a success.
    pub accepted: u64,
    /// Answered with 401: the token is missing, expired, revoked or none of ours.
    pub rejected: u64,
    /// Answered with another error by the vendor's own rules (no scope, wrong cloud, no such path).
    pub refused: u64,
    /// Spoiled by a [`Fault`](crate::Fault).
    pub faulted: u64,
}

/// Selects keys: those that agree with every field that is given.
///
/// As JSON: `{"client_id": "…", "project_id": 42}`; `{}` selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyFilter {
    vendor: Option<Vendor>,
    client_id: Option<String>,
    scope: Option<String>,
    project_id: Option<i64>,
    integration_id: Option<i64>,
}

impl Stats {
    /// The sum over the keys that `filter` selects.
    #[must_use]
    pub fn counts_of(&self, filter: &KeyFilter) -> Counts {
        let mut sum = Counts::default();
        for client in &self.clients {
            for key in &client.keys {
                let of = Caller {
                    vendor: client.vendor,
                    client_id: client.client_id.clone(),
                    scope: key.scope.clone(),
                    project_id: key.project_id,
                    integration_id: key.integration_id,
                };
                if filter.selects(&of) {
                    sum.add(&key.counts);
                }
            }
        }
        sum
    }
}

impl KeyFilter {
    /// Selects every key.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects the keys of one vendor's clients.
    #[must_use]
    pub fn vendor(mut self, vendor: Vendor) -> Self {
        self.vendor = Some(vendor);
        self
    }

    /// Selects the keys of one client.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Selects the keys asked for with this scope, in any order of its parts.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Selects the keys asked for with this project.
    #[must_use]
    pub fn project_id(mut self, project_id: i64) -> Self {
        self.project_id = Some(project_id);
        self
    }

    /// Selects the keys asked for with this integration.
    #[must_use]
    pub fn integration_id(mut self, integration_id: i64) -> Self {
        self.integration_id = Some(integration_id);
        self
    }

    pub(crate) fn selects(&self, caller: &Caller) -> bool {
        self.vendor.is_none_or(|vendor| vendor == caller.vendor)
            && self
                .client_id
                .as_ref()
                .is_none_or(|id| caller.client_id.as_ref() == Some(id))
            && self.scope.as_deref().is_none_or(|scope| {
                caller
                    .scope
                    .as_deref()
                    .is_some_and(|asked| sorted(asked) == sorted(scope))
            })
            && self
                .project_id
                .is_none_or(|id| caller.project_id == Some(id))
            && self
                .integration_id
                .is_none_or(|id| caller.integration_id == Some(id))
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        let (sum, more) = (&mut self.token_requests, &other.token_requests);
        sum.total += more.total;
        sum.issued += more.issued;
        sum.refused += more.refused;
        sum.faulted += more.faulted;
        let (sum, more) = (&mut self.api_calls, &other.api_calls);
        sum.total += more.total;
        sum.accepted += more.accepted;
        sum.rejected += more.rejected;
        sum.refused += more.refused;
        sum.faulted += more.faulted;
        self.inspections += other.inspections;
        self.revocations += other.revocations;
    }
}

/// Who sent a request, and for what key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Caller {
    pub(crate) vendor: Vendor,
    pub(crate) client_id: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) project_id: Option<i64>,
    pub(crate) integration_id: Option<i64>,
}

impl Caller {
    pub(crate) fn unknown(vendor: Vendor) -> Self {
        Self {
            vendor,
            client_id: None,
            scope: None,
            project_id: None,
            integration_id: None,
        }
    }
}

/// The counters of every key.
pub(crate) type Ledger = BTreeMap<Caller, Counts>;

/// Sums a ledger up; the times are the caller's to fill in.
pub(crate) fn summary(ledger: &Ledger) -> Stats {
    let mut stats = Stats::default();
    for (caller, counts) in ledger {
        stats.counts.add(counts);
        let is_known = stats
            .clients
            .last()
            .is_some_and(|last| last.vendor == caller.vendor && last.client_id == caller.client_id);
        if !is_known {
            stats.clients.push(ClientStats {
                vendor: caller.vendor,
                client_id: caller.client_id.clone(),
                counts: Counts::default(),
                keys: Vec::new(),
            });
        }
        let Some(client) = stats.clients.last_mut() else {
            continue;
        };
        client.counts.add(counts);
        // An inspection is of a client, not of a key.
        let of_client = Counts {
            inspections: counts.inspections,
            ..Counts::default()
        };
        if *counts != of_client {
            client.keys.push(KeyStats {
                scope: caller.scope.clone(),
                project_id: caller.project_id,
                integration_id: caller.integration_id,
                counts: *counts,
            });
        }
    }
    stats
}

fn sorted(scope: &str) -> Vec<&str> {
    let mut parts: Vec<_> = scope.split_ascii_whitespace().collect();
    parts.sort_unstable();
    parts
}
