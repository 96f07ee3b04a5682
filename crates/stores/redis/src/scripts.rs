//! What runs on the server, each at once and undivided.
//!
//! Those of tokens take the same five keys: token, forgotten, lease, failure, newest. Numbers of sixteen digits
//! are written with `%.0f`: Lua's own way would round them.

use redis::{Cmd, Script, cmd};

/// A script, with its hash.
pub(crate) struct Source {
    text: &'static str,
    hash: String,
}

impl Source {
    pub(crate) fn new(text: &'static str) -> Self {
        let hash = Script::new(text).get_hash().to_owned();
        Self { text, hash }
    }

    /// The commands that run it with these keys: for a server that knows it, and for one that doesn't.
    /// The second one goes to the node of the keys, unlike a command that only loads a script.
    pub(crate) fn commands(&self, keys: &[String]) -> [Cmd; 2] {
        [("EVALSHA", &*self.hash), ("EVAL", self.text)].map(|(name, script)| {
            let mut command = cmd(name);
            command.arg(script).arg(keys.len()).arg(keys);
            command
        })
    }
}

/// The scripts, with their hashes.
pub(crate) struct Scripts {
    pub(crate) get: Source,
    pub(crate) put: Source,
    pub(crate) forget: Source,
    pub(crate) lease: Source,
    pub(crate) release: Source,
    pub(crate) changed: Source,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            get: Source::new(include_str!("scripts/get.lua")),
            put: Source::new(include_str!("scripts/put.lua")),
            forget: Source::new(include_str!("scripts/forget.lua")),
            lease: Source::new(include_str!("scripts/lease.lua")),
            release: Source::new(include_str!("scripts/release.lua")),
            changed: Source::new(include_str!("scripts/changed.lua")),
        }
    }
}
