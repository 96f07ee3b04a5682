//! Who the sandbox's vendors know: clients, projects, integrations.

use std::fmt;

/// A client identifier and its secret.
///
/// They open nothing but a sandbox, so they are public.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// The client identifier.
    pub client_id: &'static str,
    /// The client secret; full of characters that need escaping somewhere.
    pub client_secret: &'static str,
}

/// Contentsquare's account-level credentials: projects 42 and 43, every scope.
pub const ACCOUNT: Credentials = Credentials {
    client_id: "c3133d76-a768-4f5a-9b1e-5a11d0c0ac42",
    client_secret: "0ISL0DEC;UyYKB;riWRS0E+/=%41&",
};

/// Contentsquare's project-level credentials: project 42 alone.
pub const PROJECT: Credentials = Credentials {
    client_id: "7be5ef02-19c4-4d0b-8a37-e6c0ffee0042",
    client_secret: "Qm;8vT\"x\\k#LZ$3 {o}~EN;Rich",
};

/// The envelope vendor's credentials.
pub const SHOP: Credentials = Credentials {
    client_id: "shop-backend",
    client_secret: "k&1=4+%2Bq Zt;8/w?~",
};

/// How wide a client's credentials are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Any project of the account, named in each request.
    Account,
    /// One project, which needn't be named.
    Project(i64),
}

/// A client of Contentsquare.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) credentials: Credentials,
    pub(crate) level: Level,
    /// The scopes granted, in the order in which `/me` tells them.
    pub(crate) scopes: &'static [&'static str],
}

/// A project of the account.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) id: i64,
    pub(crate) name: &'static str,
    /// The cloud it is installed on, as an index.
    pub(crate) cloud: usize,
    /// The one integration installed on it.
    pub(crate) integration: i64,
}

pub(crate) const CLIENTS: &[Client] = &[
    Client {
        credentials: ACCOUNT,
        level: Level::Account,
        scopes: &[
            "speed-analysis",
            "metrics",
            "data-export",
            "session-replay",
            "symbolicator",
            "enrichment",
        ],
    },
    Client {
        credentials: PROJECT,
        level: Level::Project(42),
        scopes: &["metrics", "data-export", "enrichment"],
    },
];

pub(crate) const PROJECTS: &[Project] = &[
    Project {
        id: 42,
        name: "UX ANALYTICS",
        cloud: 0,
        integration: 123,
    },
    Project {
        id: 43,
        name: "UX ANALYTICS US",
        cloud: 1,
        integration: 456,
    },
];

impl Client {
    /// The projects these credentials are good for.
    pub(crate) fn projects(&self) -> impl Iterator<Item = &'static Project> {
        let level = self.level;
        PROJECTS.iter().filter(move |project| match level {
            Level::Account => true,
            Level::Project(id) => id == project.id,
        })
    }
}

pub(crate) fn project(id: i64) -> Option<&'static Project> {
    PROJECTS.iter().find(|project| project.id == id)
}

/// The secret is left out: a habit, also where it is a published one.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
