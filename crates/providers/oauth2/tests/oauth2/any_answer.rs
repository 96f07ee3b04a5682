//! Whatever a server answers, and whatever a key's file holds, nothing panics and nothing is shown.

use biped_core::{
    ApiResponse, Error, FetchContext, HttpClient, Provider as _, SecretRef, SystemClock, Timestamp,
    TokenRequest, async_trait,
};
use biped_oauth2::{CertificateHeader, OAuth2};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;

/// Stands where nothing may be shown.
const PLANTED: &str = "7pl4nted";

/// Gives the same answer to every request.
#[derive(Debug)]
struct Always(u16, Bytes, Option<HeaderValue>);

#[async_trait]
impl HttpClient for Always {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        let mut response = http::Response::builder()
            .status(self.0)
            .body(self.1.clone())
            .unwrap();
        if let Some(value) = &self.2 {
            response
                .headers_mut()
                .insert("www-authenticate", value.clone());
            response.headers_mut().insert("dpop-nonce", value.clone());
        }
        Ok(response)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// All that is shown of a fetch, an inspection and a revocation.
fn shown(http: &Always, provider: &OAuth2) -> String {
    block_on(async {
        let cx = FetchContext::new(http, &SystemClock);
        let request = TokenRequest::new();
        let mut shown = String::new();
        match provider.fetch(&request, &cx).await {
            Ok(token) => {
                shown += &format!("{token:?}");
                if let Err(error) = provider.revoke(&token, &cx).await {
                    shown += &format!("{error} {error:?}");
                }
            }
            Err(error) => shown += &format!("{error} {error:?}"),
        }
        match provider.inspect(&request, &cx).await {
            Ok(inspection) => drop(format!("{inspection:?}")),
            Err(error) => shown += &format!("{error} {error:?}"),
        }
        shown
    })
}

fn providers() -> Vec<OAuth2> {
    let url = |path: &str| format!("http://127.0.0.1:1{path}").parse().unwrap();
    let secret = SecretRef::inline(PLANTED);
    let at = OAuth2::at(url("/token"), SecretRef::inline("client-7"))
        .client_secret(secret.clone())
        .introspection_endpoint(url("/introspect"))
        .revocation_endpoint(url("/revoke"));
    let discovered = OAuth2::discovered("http://127.0.0.1:1", SecretRef::inline("client-7"))
        .client_secret(secret);
    vec![at.clone(), at.dpop(), discovered]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![Just(PLANTED.to_owned()), "\\PC{0,20}"];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        text.prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let name = prop_oneof![
        Just("access_token"),
        Just("token_type"),
        Just("expires_in"),
        Just("scope"),
        Just("issuer"),
        Just("token_endpoint"),
        Just("active"),
        Just("exp"),
        Just("other"),
    ];
    let object = proptest::collection::vec((name, leaf), 0..6).prop_map(|fields| {
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    });
    prop_oneof![object, proptest::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_answer_is_read_without_panic_and_without_showing_it(
        status in prop_oneof![3 => Just(200_u16), 1 => 200..600_u16],
        body in body(),
    ) {
        let http = Always(status, body.into(), None);
        for provider in providers() {
            let shown = shown(&http, &provider);
            // A scope and a type are shown on purpose, and an issuer that isn't the expected one.
            let shown = shown.replace(&format!("scope: Some(\"{PLANTED}\")"), "");
            let shown = shown.replace(&format!("token_type: \"{PLANTED}\""), "");
            prop_assert!(!shown.contains(PLANTED), "{}", shown);
        }
    }

    #[test]
    fn any_challenge_is_read_without_panic(value in "[ -~]{0,60}", status in 200..600_u16) {
        let value = HeaderValue::from_str(&value).ok();
        let http = Always(status, Bytes::new(), value.clone());
        for provider in providers() {
            shown(&http, &provider);
            let mut headers = HeaderMap::new();
            if let Some(value) = &value {
                headers.insert("www-authenticate", value.clone());
                headers.insert("dpop-nonce", value.clone());
            }
            let status = StatusCode::from_u16(status).unwrap();
            provider.judge(&ApiResponse::new(status, &headers, Timestamp::default()));
        }
    }

    #[test]
    fn any_key_is_read_without_panic_and_without_showing_it(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        label in prop_oneof![
            Just("PRIVATE KEY"),
            Just("RSA PRIVATE KEY"),
            Just("EC PRIVATE KEY"),
            Just("ENCRYPTED PRIVATE KEY"),
            Just("CERTIFICATE"),
        ],
        cut in 0..1800_usize,
    ) {
        use base64::Engine as _;
        let noise = base64::engine::general_purpose::STANDARD.encode(noise);
        let real = include_str!("../keys/rsa.jwk.json");
        let key = [
            format!("-----BEGIN {label}-----\n{PLANTED}{noise}\n-----END {label}-----\n"),
            format!("-----BEGIN {label}-----\n{noise}\n-----END {label}-----\n"),
            real.chars().take(cut).collect::<String>() + PLANTED,
            format!(r#"{{"kty":"RSA","d":"{PLANTED}","n":"{noise}"}}"#),
            format!(r#"{{"keys":[{{"kty":"RSA","d":"{PLANTED}","n":"{noise}"}}]}}"#),
        ];
        let http = Always(200, Bytes::from_static(b"{}"), None);
        for key in key {
            let url = "http://127.0.0.1:1/token".parse().unwrap();
            let provider = OAuth2::at(url, SecretRef::inline("client-7"))
                .key(SecretRef::inline(key))
                .key_password(SecretRef::inline("a password"));
            prop_assert!(!shown(&http, &provider).contains(PLANTED));
        }
    }

    /// The parts that are read by hand: how a key is encrypted, whose key a certificate is of.
    #[test]
    fn any_damage_is_read_without_panic(
        encrypted in any::<bool>(),
        at in 0..200_usize,
        byte in any::<u8>(),
        cut in prop_oneof![Just(None), (0..200_usize).prop_map(Some)],
    ) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let pem = if encrypted {
            include_str!("../keys/p256.encrypted.pem")
        } else {
            include_str!("../keys/p256.certificate.pem")
        };
        let lines: Vec<_> = pem.lines().collect();
        let (first, last) = (lines[0], lines[lines.len() - 1]);
        let mut der = STANDARD.decode(lines[1..lines.len() - 1].concat()).unwrap();
        der[at] = byte;
        der.truncate(cut.unwrap_or(der.len()));
        let damaged = SecretRef::inline(format!("{first}\n{}\n{last}\n", STANDARD.encode(der)));
        let url = "http://127.0.0.1:1/token".parse().unwrap();
        let provider = OAuth2::at(url, SecretRef::inline("client-7"));
        let provider = if encrypted {
            provider.key(damaged).key_password(SecretRef::inline("secret"))
        } else {
            let key = SecretRef::inline(include_str!("../keys/p256.pkcs8.pem"));
            provider.key(key).assertion_certificate(damaged, [CertificateHeader::X5c])
        };
        shown(&Always(200, Bytes::from_static(b"{}"), None), &provider);
    }
}
