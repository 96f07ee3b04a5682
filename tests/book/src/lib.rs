//! Compiles and runs the Rust of the book's chapters: each is the documentation of a module here. The test
//! beside this file reads the rest.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/fleet.md")]
pub mod fleet {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/getting-started.md")]
pub mod getting_started {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/keyless.md")]
pub mod keyless {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrating-from-a-cache.md")]
pub mod migrating_from_a_cache {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrating-from-envoy.md")]
pub mod migrating_from_envoy {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrating-from-oauth2.md")]
pub mod migrating_from_oauth2 {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrating.md")]
pub mod migrating {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/performance.md")]
pub mod performance {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/recipes.md")]
pub mod recipes {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/security.md")]
pub mod security {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/sidecar.md")]
pub mod sidecar {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/stability.md")]
pub mod stability {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing.md")]
pub mod testing {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/troubleshooting.md")]
pub mod troubleshooting {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/vendors.md")]
pub mod vendors {}
