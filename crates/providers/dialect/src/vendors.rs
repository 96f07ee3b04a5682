//! The files of the catalogue, as the build script lists them: every file below `vendors`.

include!(concat!(env!("OUT_DIR"), "/vendors.rs"));
