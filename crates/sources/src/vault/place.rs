//! [`Place`]: where a secret is.

use std::{collections::BTreeMap, fmt};

use biped_core::Error;

/// The scheme of references, `vault:MOUNT/PATH#FIELD`, and the key of tables that name a key.
pub(super) const SCHEME: &str = "vault";

/// Where a secret is in a key-value engine of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    mount: String,
    path: String,
    pub(super) field: String,
}

impl Place {
    /// Reads `MOUNT/PATH#FIELD`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('#');
        let parts = parts.and_then(|(place, field)| Some((place.split_once('/')?, field)));
        let Some(((mount, path), field)) = parts else {
            return Err(Self::wrong());
        };
        Self::new(mount, path, field)
    }

    /// Reads `{ mount, path, field }`.
    pub(super) fn from_parts(parts: &BTreeMap<String, String>) -> Result<Self, Error> {
        let part = |name: &str| parts.get(name).map(String::as_str);
        match (part("mount"), part("path"), part("field"), parts.len()) {
            (Some(mount), Some(path), Some(field), 3) => Self::new(mount, path, field),
            _ => Err(Error::configuration(
                "expected vault = { mount = \"…\", path = \"…\", field = \"…\" }",
            )),
        }
    }

    fn new(mount: &str, path: &str, field: &str) -> Result<Self, Error> {
        let is_path = |text: &str| text.split('/').all(is_segment);
        if !is_path(mount) || !is_path(path) || field.is_empty() {
            return Err(Self::wrong());
        }
        Ok(Self {
            mount: mount.to_owned(),
            path: path.to_owned(),
            field: field.to_owned(),
        })
    }

    fn wrong() -> Error {
        Error::configuration("expected vault:MOUNT/PATH#FIELD")
    }

    /// The path of the request, after `/v1`.
    pub(super) fn segments(&self) -> Vec<&str> {
        let mount = self.mount.split('/');
        mount.chain(["data"]).chain(self.path.split('/')).collect()
    }
}

/// Whether a text can be one segment of a path: others would lead elsewhere.
pub(super) fn is_segment(text: &str) -> bool {
    !["", ".", ".."].contains(&text) && !text.contains(char::is_control)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vault:{}/{}#{}", self.mount, self.path, self.field)
    }
}
