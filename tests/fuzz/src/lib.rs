//! What is fuzzed: a function for each thing that reads untrusted input. It panics if a promise is broken.
//!
//! `fuzz/` runs them with libFuzzer. The test beside this file runs them on every seed in `fuzz/seeds`,
//! and on changed ones.
//!
//! | file | reads |
//! | --- | --- |
//! | `input.rs` | nothing: it splits an input, and runs a future |
//! | `wire.rs` | `Retry-After`, `WWW-Authenticate`, JSON, numbers, dates, scopes, base URLs, vendor text |
//! | `answers.rs` | responses to token requests, metadata of servers and APIs, introspection, responses of platforms, agents and vaults |
//! | `configuration.rs` | `biped.toml`, vendor files, curl commands, places of tenants, what kubectl asks for |
//! | `stores.rs` | stored tokens, the entries of credentials that change, URLs of stores, the files of the file store, sealed entries |
//! | `keys.rs` | keys (PEM, DER, JSON Web Keys, Google's key files), `pkcs11:` URIs, certificates, signatures, JWT claims |
//! | `sidecar.rs` | a request's `Host`, `Origin`, credentials, path and parameters, allow-lists, `Location` and `Link`, the form of a token request |
// A target reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod configuration;
mod input;
mod keys;
mod sidecar;
mod stores;
mod wire;

/// A target: its name, which is that of its seeds' directory, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 31] = [
    ("allow_list", sidecar::allow_list),
    ("answers", answers::vendors),
    ("claims", keys::claims),
    ("configuration", configuration::biped_toml),
    ("credentials", sidecar::credentials),
    ("curl", configuration::curl),
    ("entries", stores::entries),
    ("exec_info", configuration::exec_info),
    ("form", sidecar::form),
    ("google_key", keys::google_key),
    ("hosts", sidecar::hosts),
    ("introspection", answers::introspection),
    ("keys", keys::keys),
    ("links", sidecar::links),
    ("metadata", answers::metadata),
    ("parameters", sidecar::parameters),
    ("path", sidecar::path),
    ("pkcs11_uris", keys::pkcs11_uris),
    ("platforms", answers::platforms),
    ("public_keys", keys::public_keys),
    ("resource", answers::resource),
    ("rotations", stores::rotations),
    ("signatures", keys::signatures),
    ("sources", configuration::sources),
    ("store_urls", stores::store_urls),
    ("stored", stores::stored),
    ("svids", answers::svids),
    ("tenants", configuration::tenants),
    ("vault", answers::vault),
    ("vendor_files", configuration::vendor_file),
    ("wire", wire::wire),
];

/// Runs the target of this name.
///
/// # Panics
/// If there is none, or if a promise is broken.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    (target.expect("expected the name of a target").1)(data);
}
