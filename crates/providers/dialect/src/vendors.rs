//! The files of the catalogue, as the build script lists them: every file below `vendors`.

use crate::backing::Backing;

/// A vendor, and what a search or a list of vendors shows of its file.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    pub(crate) title: &'static str,
    pub(crate) variant: Option<&'static str>,
    pub(crate) token_endpoint: &'static str,
    /// What is searched, in lower case.
    pub(crate) words: &'static str,
    pub(crate) backing: Backing,
}

include!(concat!(env!("OUT_DIR"), "/vendors.rs"));
