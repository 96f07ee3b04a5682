//! The files of the catalogue; a test compares this list with the directory.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../vendors/", $name, ".toml")))),*]
    };
}

/// Names and texts, in order.
pub(crate) const FILES: &[(&str, &str)] = files!["keycloak",];
