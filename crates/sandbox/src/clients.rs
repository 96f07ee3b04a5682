//! The clients, projects and integrations of the sandbox's vendors.

use std::fmt;

/// A client identifier and its secret.
///
/// They are valid only in a sandbox, so they are public.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// The client identifier.
    pub client_id: &'static str,
    /// The client secret, with characters that various encodings escape.
    pub client_secret: &'static str,
}

/// Contentsquare's account-level credentials, for all scopes and for projects 42 and 43, or more if the
/// sandbox has more.
pub const ACCOUNT: Credentials = Credentials {
    client_id: "c3133d76-a768-4f5a-9b1e-5a11d0c0ac42",
    client_secret: "0ISL0DEC;UyYKB;riWRS0E+/=%41&",
};

/// Contentsquare's project-level credentials, for project 42 only.
pub const PROJECT: Credentials = Credentials {
    client_id: "7be5ef02-19c4-4d0b-8a37-e6c0ffee0042",
    client_secret: "Qm;8vT\"x\\k#LZ$3 {o}~EN;Rich",
};

/// The envelope vendor's credentials.
pub const SHOP: Credentials = Credentials {
    client_id: "shop-backend",
    client_secret: "k&1=4+%2Bq Zt;8/w?~",
};

/// The level of a client's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// All projects of the account; each request names one.
    Account,
    /// One project, which a request need not name.
    Project(i64),
}

/// A client of Contentsquare.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) credentials: Credentials,
    pub(crate) level: Level,
    /// The granted scopes, in the order of `/me`.
    pub(crate) scopes: &'static [&'static str],
}

/// A project of the account.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) id: i64,
    pub(crate) name: &'static str,
    /// The index of its cloud.
    pub(crate) cloud: usize,
    /// Its only integration.
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

/// All possible projects; a sandbox has the first of them.
pub(crate) const PROJECTS: &[Project] = &[
    project(42, "UX ANALYTICS", 0, 123),
    project(43, "UX ANALYTICS US", 1, 456),
    project(44, "STORES", 0, 124),
    project(45, "STORES US", 1, 457),
    project(46, "APP", 0, 125),
    project(47, "APP US", 1, 458),
    project(48, "SUPPORT", 0, 126),
    project(49, "SUPPORT US", 1, 459),
    project(50, "CAREERS", 0, 127),
    project(51, "CAREERS US", 1, 460),
    project(52, "PRESS", 0, 128),
    project(53, "PRESS US", 1, 461),
];

const fn project(id: i64, name: &'static str, cloud: usize, integration: i64) -> Project {
    Project {
        id,
        name,
        cloud,
        integration,
    }
}

impl Client {
    /// The projects of these credentials, in an account with this many projects.
    pub(crate) fn projects(&self, count: usize) -> impl Iterator<Item = &'static Project> {
        let level = self.level;
        PROJECTS
            .iter()
            .take(count)
            .filter(move |project| match level {
                Level::Account => true,
                Level::Project(id) => id == project.id,
            })
    }
}

pub(crate) fn find_project(id: i64) -> Option<&'static Project> {
    PROJECTS.iter().find(|project| project.id == id)
}

/// Omits the secret, as always, although it is public.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
