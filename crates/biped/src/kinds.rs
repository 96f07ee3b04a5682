//! The kinds of provider that are known.

use std::collections::BTreeMap;

use biped_config::{ProviderKind, nearest};

/// The kinds that Biped brings, and the feature that each needs.
const BUILT_IN: &[&str] = &["contentsquare", "envelope", "oauth2", "dialect"];

/// The kinds of provider that a configuration may name.
#[derive(Clone, Debug)]
pub(crate) struct Kinds(BTreeMap<String, ProviderKind>);

impl Kinds {
    /// The kinds whose features are on.
    pub(crate) fn built_in() -> Self {
        let kinds: &[fn() -> ProviderKind] = &[
            #[cfg(feature = "contentsquare")]
            biped_contentsquare::kind,
            #[cfg(feature = "dialect")]
            biped_dialect::kind,
            #[cfg(feature = "envelope")]
            biped_envelope::kind,
            #[cfg(feature = "oauth2")]
            biped_oauth2::kind,
        ];
        Self(
            kinds
                .iter()
                .map(|kind| kind())
                .map(|kind| (kind.name().into(), kind))
                .collect(),
        )
    }

    /// Adds a kind, in the place of one with the same name.
    pub(crate) fn insert(&mut self, kind: ProviderKind) {
        self.0.insert(kind.name().to_owned(), kind);
    }

    pub(crate) fn get(&self, name: &str) -> Option<&ProviderKind> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ProviderKind> {
        self.0.values()
    }

    /// What is wrong with a kind that is not there. The name itself is not shown.
    pub(crate) fn unknown(&self, name: &str) -> String {
        if let Some(known) = BUILT_IN.iter().find(|known| **known == name) {
            // ProviderKind and feature have one name.
            return format!("{known} needs biped's feature {known}, which is not enabled");
        }
        let meant = nearest(name, self.0.keys().map(String::as_str))
            .map_or(String::new(), |meant| format!("; did you mean {meant}?"));
        format!("unknown kind of provider; {}{meant}", self.known())
    }

    /// Which kinds there are, in words.
    pub(crate) fn known(&self) -> String {
        if self.0.is_empty() {
            return "no kind of provider is available".into();
        }
        let names: Vec<_> = self.0.keys().map(String::as_str).collect();
        format!("expected one of {}", names.join(", "))
    }
}
