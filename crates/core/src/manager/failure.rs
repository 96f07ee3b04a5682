//! Why a holder of a lease failed, as it is written down for the others of the fleet.

use crate::{Error, ErrorKind, VendorError, wire};

#[derive(serde::Serialize, serde::Deserialize)]
struct WrittenFailure {
    kind: String,
    message: String,
    remedy: Option<String>,
    client: bool,
    vendor: Option<VendorError>,
    /// What was refused: a digest of each credential that was sent, under the store's key.
    #[serde(default)]
    refused: Vec<Option<String>>,
}

pub(crate) fn write(error: &Error, refused: Vec<Option<String>>) -> Vec<u8> {
    let written = WrittenFailure {
        kind: error.kind().as_str().into(),
        message: error.message().into(),
        remedy: error.remedy().map(Into::into),
        client: error.refuses_client(),
        vendor: error.vendor().cloned(),
        refused,
    };
    serde_json::to_vec(&written).unwrap_or_default()
}

/// What is written there is shown to people, and anybody may have written it.
pub(crate) fn read(bytes: &[u8]) -> (Error, Vec<Option<String>>) {
    let Ok(written) = serde_json::from_slice::<WrittenFailure>(bytes) else {
        let error = Error::unreachable("another process could not get a token");
        return (error, Vec::new());
    };
    let mut error = match written.kind.as_str() {
        kind if kind == ErrorKind::Refused.as_str() => {
            Error::refused(VendorError::default()).refusing_client(written.client)
        }
        kind if kind == ErrorKind::Failing.as_str() => Error::failing(VendorError::default()),
        kind if kind == ErrorKind::Unusable.as_str() => Error::unusable("").transient(true),
        _ => Error::unreachable(""),
    };
    error = error.with_message(wire::vendor_text(&written.message).unwrap_or_default());
    if let Some(remedy) = written.remedy.and_then(|text| wire::vendor_text(&text)) {
        error = error.with_remedy(remedy);
    }
    if let Some(vendor) = written.vendor {
        error = error.with_vendor(vendor.cut_and_escaped());
    }
    (error, written.refused)
}
