//! What core reads of vendors' answers.
#![no_main]

use biped_core::{Timestamp, Token, VendorError, wire};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use url::Url;

fuzz_target!(|data: &[u8]| {
    let now = Timestamp::from_unix_seconds(1_800_000_000);
    if let Ok(value) = http::HeaderValue::from_bytes(data) {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::RETRY_AFTER, value);
        let _ = wire::retry_after(&headers, now);
        let value = headers.remove(http::header::RETRY_AFTER).unwrap();
        headers.insert(http::header::WWW_AUTHENTICATE, value);
        let _ = wire::challenge_parameters(&headers, "error");
    }
    let response = http::Response::new(Bytes::copy_from_slice(data));
    if let Ok(json) = wire::json(&response) {
        let _ = (
            wire::seconds(&json),
            wire::point_in_time(&json),
            wire::text(&json),
            wire::integer(&json),
        );
        let _ = (wire::scope(&json), wire::object(&json));
    }
    let _ = wire::vendor_error_despite_status(&response);
    let _ = wire::failure(&response, VendorError::new(400), now);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = wire::vendor_text(text);
    assert!(!wire::escaped(text).contains(char::is_control));
    let redactor = wire::Redactor::new(["S3/c+r\"e&t <\u{e9}>"]);
    assert!(!redactor.redacted(text).contains("S3/c+r\"e&t <\u{e9}>"));
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
    let _ = text.parse::<biped_core::SecretRef>();
});
