//! [`Whole`]: all that was learned.

use crate::{
    answer::Answer,
    api::Api,
    learned::Material,
    refused::{Refused, SuccessFlag},
    request::Request,
};

/// All that was learned.
#[derive(Debug)]
pub(crate) struct Whole<'a> {
    pub(crate) material: &'a Material<'a>,
    pub(crate) request: &'a Request,
    pub(crate) answer: &'a Answer,
    pub(crate) refused: Option<&'a Refused>,
    pub(crate) ok: Option<&'a SuccessFlag>,
    pub(crate) api: Option<&'a Api>,
}
