//! The built-in scheme of secrets, `vault:…`, with and without its feature.

#[cfg(feature = "vault")]
mod with_feature {
    use std::any::Any;

    use biped_config::Section;
    use biped_sources::VaultSettings;

    pub(crate) use biped_sources::Vault;

    /// The section that says where the server is.
    pub(crate) fn section() -> Option<Section> {
        Some(Vault::section())
    }

    /// Says where the server is, before providers are made of what is in it. `section` is the value
    /// that `[vault]` was read into.
    pub(crate) fn locate(vault: &Vault, section: Option<&(dyn Any + Send + Sync)>) {
        let settings = section.and_then(|section| section.downcast_ref::<VaultSettings>());
        vault.locate(settings.cloned().unwrap_or_default());
    }
}

#[cfg(feature = "vault")]
pub(crate) use with_feature::{Vault, locate, section};

#[cfg(not(feature = "vault"))]
mod without_feature {
    use std::any::Any;

    use biped_config::{SecretScheme, Section};
    use biped_core::Error;

    /// Refuses every reference.
    #[derive(Clone, Debug)]
    pub(crate) struct Vault;

    impl Vault {
        pub(crate) fn new() -> Self {
            Self
        }

        #[allow(clippy::unused_self)] // it is as with the feature
        pub(crate) fn scheme(&self) -> SecretScheme {
            let refuse = || {
                let what = "vault: needs biped's feature vault, which is not enabled; write \
                            inline: before a secret that begins so";
                Err(Error::configuration(what))
            };
            SecretScheme::new(super::NAME, move |_| refuse()).with_table(move |_| refuse())
        }
    }

    pub(crate) fn section() -> Option<Section> {
        None
    }

    pub(crate) fn locate(_: &Vault, _: Option<&(dyn Any + Send + Sync)>) {}
}

#[cfg(not(feature = "vault"))]
pub(crate) use without_feature::{Vault, locate, section};

/// The name of the scheme and of the section.
pub(crate) const NAME: &str = "vault";
