//! Client authentication: every method, and the choice of one.
//!
//! A method is one file, which declares its keys, reads them and makes the proof, and one row in
//! [`METHODS`].

mod assertion;
mod basic;
mod basic_encoding;
mod certificate;
mod client_assertion;
mod context;
mod key_jwt;
mod method;
mod none;
mod options;
mod post;
mod proof;
mod secret_jwt;

use biped_config::ProviderConfig;
use biped_core::Error;

use self::context::MethodConfig;
pub use self::{
    assertion::{ASSERTION_BACKDATING, ASSERTION_LIFETIME, CLOCK_SKEW},
    basic_encoding::BasicEncoding,
    method::ClientAuthentication,
};
pub(crate) use self::{
    context::ProofContext, method::MethodKind, options::ProofOptions, proof::ClientProof,
};

/// Every method, in order of preference: if several are configured and none is chosen, the first that
/// the server lists is used.
pub(crate) const METHODS: &[MethodKind] = &[
    key_jwt::KIND,
    basic::KIND,
    post::KIND,
    secret_jwt::KIND,
    certificate::CA_ISSUED,
    certificate::SELF_SIGNED,
    client_assertion::KIND,
    none::KIND,
];

/// The names of [`METHODS`].
pub(crate) const NAMES: &[&str] = &{
    let mut names = [""; METHODS.len()];
    let mut at = 0;
    while at < METHODS.len() {
        names[at] = METHODS[at].name;
        at += 1;
    }
    names
};

/// What the configuration says about client authentication.
pub(crate) struct Configured {
    /// The method that `client_authentication` names.
    pub(crate) chosen: Option<ClientAuthentication>,
    /// The methods whose credentials are configured.
    pub(crate) offered: Vec<ClientAuthentication>,
    pub(crate) options: ProofOptions,
}

impl Configured {
    /// Reads the keys of every method, and notes what is missing.
    pub(crate) fn read(config: &ProviderConfig) -> Self {
        let name = config.string("client_authentication");
        let is_chosen = |kind: &&MethodKind| name.as_deref() == Some(kind.name);
        let given = MethodConfig {
            config,
            chosen: METHODS.iter().find(is_chosen).map(|kind| kind.name),
        };
        let mut options = ProofOptions::default();
        let mut chosen = None;
        let mut offered = Vec::new();
        for kind in METHODS {
            let method = (kind.from_config)(&given, &mut options);
            if is_chosen(&kind) {
                if method.is_none() {
                    kind.note_missing(config);
                }
                chosen.clone_from(&method);
            }
            // A method without credentials is used if it is chosen, or if there is no other.
            offered.extend(method.filter(|_| !kind.credentials.is_empty()));
        }
        Self {
            chosen,
            offered,
            options,
        }
    }
}

/// Returns the method to use if none is chosen: the first in order of preference that is offered and
/// that the server lists, if it lists any.
pub(crate) fn choose(
    offered: &[ClientAuthentication],
    listed: Option<&[String]>,
) -> Result<ClientAuthentication, Error> {
    let candidates: Vec<_> = if offered.is_empty() {
        vec![ClientAuthentication::none()]
    } else {
        let of_kind = |kind: &MethodKind| offered.iter().find(|method| method.name() == kind.name);
        METHODS.iter().filter_map(of_kind).cloned().collect()
    };
    // No list has a name for it.
    if let Some(method) = candidates.iter().find(|method| method.token().is_some()) {
        return Ok(method.clone());
    }
    let listed = listed.filter(|all| !all.is_empty());
    let is_listed = |name: &str| listed.is_none_or(|all| all.iter().any(|one| one == name));
    if let Some(method) = candidates.iter().find(|method| is_listed(method.name())) {
        return Ok(method.clone());
    }
    let ours: Vec<_> = candidates.iter().map(ClientAuthentication::name).collect();
    let theirs: Vec<_> = NAMES
        .iter()
        .copied()
        .filter(|name| is_listed(name))
        .collect();
    let theirs = if theirs.is_empty() {
        "no supported method".to_owned()
    } else {
        theirs.join(", ")
    };
    Err(Error::configuration(format!(
        "the server's metadata lists no client authentication method for the configured \
         credentials ({}); it lists {theirs}",
        ours.join(", ")
    ))
    .with_remedy(
        "configure the credentials for one of those, or set client_authentication if the list is \
         wrong",
    ))
}
