//! A problem as an HTTP answer.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, PRAGMA, RETRY_AFTER},
};
use serde_json::{Map, Value, json};

use super::Problem;

const PAGE: &str = "https://docs.rs/biped-serve/latest/biped_serve/problem/#";
pub(crate) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

impl Problem {
    /// The answer; `is_grpc` as the caller's request was.
    pub(crate) fn into_response(self, is_grpc: bool) -> Response<Bytes> {
        let mut response = if is_grpc {
            self.grpc()
        } else {
            let mut response = Response::new(Bytes::from(self.json().to_string()));
            *response.status_mut() = self.status;
            let json = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        };
        let headers = response.headers_mut();
        if let Ok(status) = HeaderValue::from_str(&self.proxy_status()) {
            headers.insert(PROXY_STATUS, status);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        if let Some(seconds) = self.retry_after.map(whole_seconds) {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.extend(self.0.headers);
        response
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("type".into(), json!(format!("{PAGE}{}", self.word)));
        object.insert("problem".into(), json!(self.word));
        object.insert("title".into(), json!(self.title));
        object.insert("status".into(), json!(self.status.as_u16()));
        object.insert("detail".into(), json!(self.detail));
        if let Some(provider) = &self.provider {
            object.insert("provider".into(), json!(&**provider));
        }
        if let Some(kind) = self.kind {
            object.insert("kind".into(), json!(kind));
        }
        object.insert("sent".into(), json!(self.sent));
        if let Some(vendor) = &self.vendor {
            let vendor = vendor.clone().cut_and_escaped();
            let told = json!({
                "status": vendor.status,
                "code": vendor.code,
                "reason": vendor.reason,
                "message": vendor.message,
            });
            object.insert("vendor".into(), told);
        }
        if let Some(time) = self.retry_after {
            object.insert("retry_after".into(), json!(whole_seconds(time)));
        }
        Value::Object(object)
    }

    /// RFC 9209.
    fn proxy_status(&self) -> String {
        let mut text = format!("biped; error={}", self.error);
        if self.rejected {
            text.push_str("; received-status=401");
        }
        let details: String = self
            .title
            .chars()
            .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
            .collect();
        text.push_str(&format!("; details=\"{details}\""));
        text
    }

    fn grpc(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", self.grpc_status().into());
        let message: String = self
            .detail
            .bytes()
            .map(|byte| match byte {
                b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        if let Ok(message) = HeaderValue::from_str(&message) {
            headers.insert("grpc-message", message);
        }
        response
    }

    /// The status of gRPC. `UNAVAILABLE` invites clients to send again, so it never stands for what may
    /// have been acted on.
    fn grpc_status(&self) -> u16 {
        match (self.status, self.word) {
            (StatusCode::UNAUTHORIZED, _) => 16,
            (StatusCode::FORBIDDEN, _) => 7,
            (StatusCode::NOT_FOUND, _) => 12,
            (StatusCode::BAD_REQUEST, _) => 3,
            (StatusCode::TOO_MANY_REQUESTS, _) | (_, "overloaded") => 8,
            (_, "refused") => 9,
            (StatusCode::SERVICE_UNAVAILABLE, _) => 14,
            (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT, _) if !self.sent => 14,
            (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT, _) => 2,
            (StatusCode::INTERNAL_SERVER_ERROR, _) => 13,
            _ => 2,
        }
    }
}

/// Seconds, rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
