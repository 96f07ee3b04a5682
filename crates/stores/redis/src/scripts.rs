//! What runs on the server, each at once and undivided.
//!
//! All take the same five keys: token, forgotten, lease, failure, newest. Numbers of sixteen digits
//! are written with `%.0f`: Lua's own way would round them.

use redis::Script;

/// The scripts, with their hashes.
pub(crate) struct Scripts {
    pub(crate) get: Script,
    pub(crate) put: Script,
    pub(crate) forget: Script,
    pub(crate) lease: Script,
    pub(crate) release: Script,
    pub(crate) changed: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            get: Script::new(include_str!("scripts/get.lua")),
            put: Script::new(include_str!("scripts/put.lua")),
            forget: Script::new(include_str!("scripts/forget.lua")),
            lease: Script::new(include_str!("scripts/lease.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
            changed: Script::new(include_str!("scripts/changed.lua")),
        }
    }
}
