//! [`Stats`]: the sandbox's counters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Vendor;

/// The counters since the sandbox started, or since they were reset.
///
/// `GET /_sandbox/stats` returns the same as JSON. The fields of [`Counts`] are next to the others, in
/// `Stats` itself (the sum), in each client and in each key:
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
    /// The clients so far, by vendor and identifier.
    pub clients: Vec<ClientStats>,
}

/// The counters of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientStats {
    /// The client's vendor.
    pub vendor: Vendor,
    /// The identifier as it was sent; `None` if a request did not contain it (a malformed body, or an
    /// API call without a token of the sandbox).
    pub client_id: Option<String>,
    /// The sum over all keys.
    #[serde(flatten)]
    pub counts: Counts,
    /// The keys of its token requests.
    pub keys: Vec<KeyStats>,
}

/// The counters of one client and one key.
///
/// A key is the scope, project and integration of a token request, so a client that caches well sends
/// one request per key and lifetime. API calls count for the key of their token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyStats {
    /// The requested scope, as it was sent.
    pub scope: Option<String>,
    /// The requested project.
    pub project_id: Option<i64>,
    /// The requested integration.
    pub integration_id: Option<i64>,
    /// The counters.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Counters. A request is counted when it arrives, its outcome when it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Requests to the token endpoint.
    pub token_requests: TokenRequests,
    /// Requests to the APIs.
    pub api_calls: ApiCalls,
    /// Requests to `/v1/oauth/me`.
    pub inspections: u64,
    /// How often live tokens were revoked early; several tokens at once count once.
    pub revocations: u64,
}

/// Requests to a token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenRequests {
    /// All requests.
    pub total: u64,
    /// Requests that got a token.
    pub issued: u64,
    /// Requests that the vendor refused by its rules.
    pub refused: u64,
    /// Requests that a [`Fault`](crate::Fault) spoiled.
    pub faulted: u64,
}

/// Requests to the APIs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiCalls {
    /// All requests.
    pub total: u64,
    /// Requests that succeeded.
    pub accepted: u64,
    /// Requests that got 401: the token is missing, expired, revoked or unknown.
    pub rejected: u64,
    /// Requests that got another error by the vendor's rules (missing scope, wrong cloud, unknown path).
    pub refused: u64,
    /// Requests that a [`Fault`](crate::Fault) spoiled.
    pub faulted: u64,
}

/// Selects the keys that match all given fields.
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
    /// Returns the sum over the keys that `filter` selects. An inspection has no key, and so is counted
    /// for its client only: see [`ClientStats::counts`].
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

    /// Selects the keys with this scope, in any order of its parts.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Selects the keys with this project.
    #[must_use]
    pub fn project_id(mut self, project_id: i64) -> Self {
        self.project_id = Some(project_id);
        self
    }

    /// Selects the keys with this integration.
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

/// The client and the key of a request.
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

/// Sums up a ledger; the caller fills in the times.
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
        // An inspection has a client but not a key.
        let counts = Counts {
            inspections: 0,
            ..*counts
        };
        if counts != Counts::default() {
            client.keys.push(KeyStats {
                scope: caller.scope.clone(),
                project_id: caller.project_id,
                integration_id: caller.integration_id,
                counts,
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
