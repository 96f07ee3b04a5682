//! What a response says went wrong: the vendor's words, and what its codes mean.

use std::borrow::Cow;

use biped_core::{Error, ErrorKind, Timestamp, VendorError, wire};
use bytes::Bytes;

use crate::{
    answer_path::{AnswerPath, InBody as _},
    response::{Reads, Words},
    skim::Body,
};

impl Reads {
    /// The vendor's error, at the paths that the file gives, else wherever vendors write it.
    pub(crate) fn words(&self, response: &http::Response<Bytes>) -> VendorError {
        if let Some(words) = &self.words {
            let body = &Body::Whole(wire::json(response).unwrap_or_default());
            let words = words.read(response, body);
            if words.has_words() {
                return words;
            }
        }
        wire::vendor_error(response)
    }

    /// The error for what the vendor said, whose codes the file may explain.
    pub(crate) fn failure(
        &self,
        response: &http::Response<Bytes>,
        vendor: VendorError,
        now: Timestamp,
    ) -> Error {
        let says = |codes: &[String]| {
            let said = [&vendor.code, &vendor.reason].into_iter().flatten();
            said.into_iter().any(|word| codes.contains(word))
        };
        let (is_for_now, is_client) = (
            says(&self.codes.temporarily_unavailable),
            says(&self.codes.invalid_client),
        );
        if is_for_now {
            let retry_after = wire::retry_after(response.headers(), now);
            return Error::unavailable(vendor).with_retry_after(retry_after);
        }
        let error = wire::failure(response, vendor, now);
        match error.kind() {
            ErrorKind::Refused if is_client => error.refusing_client(true),
            _ => error,
        }
    }
}

impl Words {
    fn read(&self, response: &http::Response<Bytes>, body: &Body<'_>) -> VendorError {
        let said = |place: &Option<AnswerPath>| {
            let value = place.as_ref()?.find_in(body, response.headers())?;
            wire::text(&value).map(Cow::into_owned)
        };
        let mut vendor = VendorError::new(response.status().as_u16());
        if let Some(code) = said(&self.code) {
            vendor = vendor.code(code);
        }
        if let Some(reason) = said(&self.reason) {
            vendor = vendor.reason(reason);
        }
        if let Some(message) = said(&self.message) {
            vendor = vendor.message(message);
        }
        vendor
    }
}
