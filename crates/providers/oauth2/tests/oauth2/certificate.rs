//! Assertions that name the certificate of their key.

use biped_core::{Error, ErrorKind, SecretRef};
use biped_oauth2::CertificateHeader::{self, X5c, X5t, X5tS256};
use serde_json::{Value, json};

use crate::server::{Server, field, header};

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("../keys/", $name))
    };
}

/// As `openssl x509 -in rsa.certificate.pem -outform der | openssl dgst -sha256 -binary` (or `-sha1`)
/// tells them, in base64url.
const SHA256: &str = "fQMraU3Fb4SHAtBbNsfMMGVA1QE5E6ma2lRQKCl6M_A";
const SHA1: &str = "yE48NxYgSSjxlybnezlZrcpIAjU";

async fn assertion(
    key: &str,
    certificate: &str,
    headers: &[CertificateHeader],
) -> Result<String, Error> {
    let server = Server::generous().await;
    let provider = server
        .client()
        .key(SecretRef::inline(key))
        .assertion_certificate(SecretRef::inline(certificate), headers.iter().copied());
    let outcome = server.fetch(&provider).await;
    let requests = server.requests().await;
    outcome.inspect_err(|_| assert!(requests.is_empty()))?;
    Ok(field(&requests[0], "client_assertion").unwrap())
}

/// A certificate in PEM as the base64 of its DER.
fn der(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

#[tokio::test]
async fn the_header_has_the_thumbprint_to_the_byte() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let (key, certificate) = (pem!("rsa.pkcs8.pem"), pem!("rsa.certificate.pem"));
    for (named, expected) in [
        (
            X5tS256,
            format!(r#"{{"alg":"RS256","typ":"JWT","x5t#S256":"{SHA256}"}}"#),
        ),
        (
            X5t,
            format!(r#"{{"alg":"RS256","typ":"JWT","x5t":"{SHA1}"}}"#),
        ),
        (
            X5c,
            format!(
                r#"{{"alg":"RS256","typ":"JWT","x5c":["{}"]}}"#,
                der(certificate)
            ),
        ),
    ] {
        let jwt = assertion(key, certificate, &[named]).await.unwrap();
        let header = URL_SAFE_NO_PAD
            .decode(jwt.split('.').next().unwrap())
            .unwrap();
        assert_eq!(String::from_utf8(header).unwrap(), expected);
    }
}

#[tokio::test]
async fn several_headers_go_together_and_the_chain_with_them() {
    let (own, other) = (pem!("rsa.certificate.pem"), pem!("p256.certificate.pem"));
    let chain = format!("{own}{other}");
    let jwt = assertion(pem!("rsa.pkcs8.pem"), &chain, &[X5t, X5c])
        .await
        .unwrap();
    let said = header(&jwt);
    assert_eq!(said["x5t"], SHA1);
    assert_eq!(said["x5c"], json!([der(own), der(other)]));
    assert_eq!(said["x5t#S256"], Value::Null);
}

#[tokio::test]
async fn keys_of_every_kind_have_certificates() {
    for (key, certificate) in [
        (pem!("rsa.jwk.json"), pem!("rsa.certificate.pem")),
        (pem!("p256.sec1.pem"), pem!("p256.certificate.pem")),
        (pem!("ed25519.pkcs8.pem"), pem!("ed25519.certificate.pem")),
    ] {
        let jwt = assertion(key, certificate, &[X5tS256]).await.unwrap();
        assert_eq!(header(&jwt)["x5t#S256"].as_str().unwrap().len(), 43);
    }
}

#[tokio::test]
async fn a_certificate_of_another_key_is_not_sent() {
    let key = pem!("rsa.pkcs8.pem");
    for certificate in [
        pem!("p256.certificate.pem").to_owned(),
        // The chain before the certificate itself.
        pem!("p256.certificate.pem").to_owned() + pem!("rsa.certificate.pem"),
        pem!("rsa.public.pem").to_owned(),
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".into(),
        "garbage".into(),
    ] {
        let error = assertion(key, &certificate, &[X5tS256]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Secret);
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_may_be_on_one_line() {
    let (key, certificate) = (pem!("rsa.pkcs8.pem"), pem!("rsa.certificate.pem"));
    let one_line = format!("subject=crm\\n{}", certificate.replace('\n', "\\n"));
    let jwt = assertion(key, &one_line, &[X5tS256]).await.unwrap();
    assert_eq!(header(&jwt)["x5t#S256"], SHA256);
}
