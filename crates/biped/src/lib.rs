//! Two-legged OAuth for Rust: names your vendors once, then gets, caches, shares, renews and attaches their access tokens.
