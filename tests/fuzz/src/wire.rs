//! What core reads of vendors' responses.

use biped_core::{SecretRef, Timestamp, Token, VendorError, pem_blocks, wire};
use bytes::Bytes;
use url::Url;

const SECRET: &str = "S3/c+r\"e&t <\u{e9}>";

pub(crate) fn wire(data: &[u8]) {
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    if let Ok(value) = http::HeaderValue::from_bytes(data) {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::RETRY_AFTER, value.clone());
        headers.insert(http::header::WWW_AUTHENTICATE, value);
        let _ = wire::retry_after(&headers, now);
        let _ = wire::challenge_parameters(&headers, "error");
    }
    let response = http::Response::new(Bytes::copy_from_slice(data));
    if let Ok(json) = wire::json(&response) {
        let _ = (wire::seconds(&json), wire::point_in_time(&json));
        let _ = (wire::text(&json), wire::integer(&json));
        let _ = (wire::scope(&json), wire::object(&json));
    }
    let _ = wire::vendor_error_despite_status(&response);
    let _ = wire::failure(&response, VendorError::new(400), now);
    let _ = pem_blocks(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = wire::vendor_text(text);
    assert!(!wire::escaped(text).contains(char::is_control));
    let redactor = wire::Redactor::new([SECRET]);
    assert!(!redactor.redacted(text).contains(SECRET));
    let _ = wire::jwt_expiry(text);
    let endpoint = Url::parse("https://login.example/token").unwrap();
    if let Ok(url) = wire::base_url(text, &["vendor.example", "*.vendor.example"], &endpoint) {
        let host = url.host_str().unwrap().trim_end_matches('.');
        assert!(host == "vendor.example" || host.ends_with(".vendor.example"));
        assert_eq!(url.scheme(), "https");
    }
    if let Ok(token) = Token::new(text, now).build() {
        let _ = format!("{token:?}");
    }
    let _ = text.parse::<SecretRef>();
}
