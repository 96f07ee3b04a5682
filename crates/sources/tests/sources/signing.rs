//! Assertions that are signed here, verified as a server does.

use std::{collections::BTreeSet, fs};

use biped_core::{Error, ErrorKind, ExposeSecret, FetchContext, SystemClock};
use biped_sources::{Asking, Wanted};
use biped_testing::ScriptedHttp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use url::Url;

use crate::outcome::source;

const RSA: &str = include_str!("../../../providers/oauth2/tests/keys/rsa.pkcs8.pem");
const RSA_PUBLIC: &str = include_str!("../../../providers/oauth2/tests/keys/rsa.public.pem");

async fn signed(toml: &str) -> Result<String, Error> {
    let (token, problems) = source(toml);
    assert!(problems.is_empty(), "{problems:?}");
    let http = ScriptedHttp::new();
    let cx = FetchContext::new(&http, &SystemClock);
    let endpoint = Url::parse("https://oauth2.googleapis.com/token").unwrap();
    let asking = Asking {
        audience: Some("https://issuer.example"),
        token_endpoint: Some(&endpoint),
        client_id: Some("client-7"),
        wanted: Wanted {
            scope: Some("a b"),
            ..Wanted::default()
        },
        ..Asking::new(&cx)
    };
    let given = token.unwrap().read(&asking).await?;
    Ok(given.text.expose_secret().to_owned())
}

/// Verifies the signature and the audience, and returns header and claims.
fn verified(jwt: &str, audience: &str) -> (jsonwebtoken::Header, Value) {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[audience]);
    let key = DecodingKey::from_rsa_pem(RSA_PUBLIC.as_bytes()).unwrap();
    let claims = decode::<Value>(jwt, &key, &validation).unwrap().claims;
    (decode_header(jwt).unwrap(), claims)
}

fn life(claims: &Value) -> i64 {
    claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
}

#[tokio::test]
async fn an_assertion_says_what_is_configured() {
    let toml = format!(
        "token = {{ sign = {{ key = '''{RSA}''', iss = 'i', sub = 's', aud = 'https://a', kid = 'k', \
         lifetime = 180, claims = {{ extra = [1, 'x'], sub = 'other' }} }} }}"
    );
    let (header, claims) = verified(&signed(&toml).await.unwrap(), "https://a");
    assert_eq!(header.kid.as_deref(), Some("k"));
    assert_eq!(header.typ.as_deref(), Some("JWT"));
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("i"), &json!("other"))
    );
    assert_eq!(claims["extra"], json!([1, "x"]));
    assert_eq!(life(&claims), 180);
}

#[tokio::test]
async fn an_assertion_is_about_the_client_and_for_the_issuer_and_new_each_time() {
    let toml = format!("token = {{ sign = {{ key = '''{RSA}''' }} }}");
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        let (_, claims) = verified(&signed(&toml).await.unwrap(), "https://issuer.example");
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("client-7"), &json!("client-7"))
        );
        assert_eq!(life(&claims), 300);
        ids.insert(claims["jti"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 2);
}

fn key_file(changes: &[(&str, &str)]) -> (tempfile::TempDir, String) {
    let mut file = json!({
        "type": "service_account", "client_email": "a@b.example", "private_key_id": "7",
        "private_key": RSA, "token_uri": "https://oauth2.googleapis.com/token",
    });
    for (name, value) in changes {
        file[*name] = json!(value);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sa.json");
    fs::write(&path, file.to_string()).unwrap();
    let toml = format!(
        "token = {{ google_key = 'file:{}', sub = 'u@b.example' }}",
        path.display()
    );
    (directory, toml)
}

#[tokio::test]
async fn a_google_key_signs_for_the_token_endpoint_with_the_scopes() {
    let (_directory, toml) = key_file(&[]);
    let jwt = signed(&toml).await.unwrap();
    let (header, claims) = verified(&jwt, "https://oauth2.googleapis.com/token");
    assert_eq!(header.kid.as_deref(), Some("7"));
    assert_eq!(claims["iss"], "a@b.example");
    assert_eq!(claims["sub"], "u@b.example");
    assert_eq!(claims["scope"], "a b");
    assert_eq!(life(&claims), 3600);
}

#[tokio::test]
async fn a_key_file_does_not_choose_where_it_is_sent() {
    for change in [
        ("token_uri", "https://evil.example/token"),
        ("type", "external_account"),
        ("type", "authorized_user"),
    ] {
        let (_directory, toml) = key_file(&[change]);
        let error = signed(&toml).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    }
}

#[tokio::test]
async fn a_path_in_place_of_a_key_file_says_what_to_write() {
    let error = signed("token = { google_key = '/run/sa.json' }").await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert_eq!(error.token_source(), Some("the configuration"));
    let shown = error.to_string();
    assert!(shown.contains("file:PATH"), "{shown}");
    assert!(!shown.contains("sa.json"), "{shown}");
}
