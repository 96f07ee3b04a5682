//! [`kind`]: the kind `file` of `[store]`.

use std::sync::Arc;

use biped_config::{Field, FieldType, StoreConfig, StoreKind};
use biped_core::{Error, TokenStore};

use crate::FileStore;

/// The kind `file`, to be registered where configuration is read.
///
/// | key | |
/// | --- | --- |
/// | `path` | the directory, relative to the configuration file; default: [`FileStore::in_state_directory`] |
#[must_use]
pub fn kind() -> StoreKind {
    StoreKind::new("file", from_config)
        .about("Tokens on disk")
        .field(Field::new("path", FieldType::Text).about(
        "For kind = \"file\": the directory, which must be its owner's alone. Default: biped in \
             the platform's directory for a user's state.",
    ))
}

fn from_config(config: &StoreConfig) -> Result<Arc<dyn TokenStore>, Error> {
    let (Some(text), Some(path)) = (config.string("path"), config.path("path")) else {
        return Ok(Arc::new(FileStore::in_state_directory()?));
    };
    if let Some(problem) = no_directory(&text) {
        return Err(config.invalid("path", problem));
    }
    Ok(Arc::new(FileStore::new(path)))
}

/// Why a text is not the path of a directory.
fn no_directory(text: &str) -> Option<&'static str> {
    if text.trim().is_empty() {
        Some("expected a directory")
    } else if text == "~" || text.starts_with("~/") {
        Some("~ is not expanded; write the whole path")
    } else if ["env:", "file:", "cmd:"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
    {
        Some("expected a directory, not a reference; to set it from outside use BIPED_STORE__PATH")
    } else {
        None
    }
}
