use std::{path::Path, sync::Arc};

use biped_config::{ConfigValue, Origin, SecretSchemes, Value};
use biped_core::References;
use biped_reqwest::TokenClient;
use biped_sources::Vault;

/// A value of a configuration that knows the scheme of `vault`.
pub(crate) fn value(raw: Value, vault: &Vault) -> ConfigValue {
    let schemes: SecretSchemes = [vault.scheme()].into_iter().collect();
    schemes.connect(Arc::new(TokenClient::new().unwrap()));
    let file = Origin::File {
        path: Arc::from(Path::new("biped.toml")),
        line: 1,
        column: 0,
    };
    let origin = file.ruled(References::All, &schemes);
    ConfigValue { raw, origin }
}
