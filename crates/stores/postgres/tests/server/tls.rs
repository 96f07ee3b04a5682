//! TLS, as `sslmode` says.

use biped_core::TokenStore;
use biped_postgres::PostgresStore;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
};

use crate::{
    faults::found,
    postgres::Postgres,
    promises::{a_key, connected, token},
};

/// A server with TLS, and the authority that signed its certificate.
async fn with_tls(
    signature: &'static SignatureAlgorithm,
) -> (Postgres, CertifiedIssuer<'static, KeyPair>) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(signature).unwrap();
    let ca = CertifiedIssuer::self_signed(params, key).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["db.example".to_owned(), "localhost".to_owned()]);
    let certificate = params.unwrap().signed_by(&key, &ca).unwrap();

    let mut server = Postgres::start("").await;
    server.file("server.crt", &certificate.pem());
    server.file("server.key", &key.serialize_pem());
    server.run("ALTER SYSTEM SET ssl = on").await;
    server.stop();
    server.restart().await;
    (server, ca)
}

/// As the connection strings of hosted servers require it.
#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_password_is_bound_to_tls_where_the_url_requires_it() {
    for (signature, words) in [
        (&PKCS_ECDSA_P256_SHA256, None),
        (&PKCS_ECDSA_P384_SHA384, None),
        (&PKCS_ED25519, Some("remove channel_binding")),
    ] {
        let (server, ca) = with_tls(signature).await;
        let url = server.url().replace("127.0.0.1", "localhost");
        let url = format!("{url}?sslmode=require&channel_binding=require");
        let store = PostgresStore::with_ca(&url.into(), ca.pem()).unwrap();
        match (found(&store, &a_key()).await, words) {
            (Ok(None), None) => {}
            (Err(error), Some(words)) => assert!(error.contains(words), "{error}"),
            (found, _) => panic!("{signature:?}: {found:?}"),
        }
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL: tests/live/run postgres"]
async fn a_certificate_is_always_checked_where_there_is_tls() {
    let (server, ca) = with_tls(&PKCS_ECDSA_P256_SHA256).await;
    let at = |host: &str, mode: &str| server.url().replace("127.0.0.1", host) + "?sslmode=" + mode;
    for (url, with_ca, words) in [
        (at("127.0.0.1", "disable"), false, None),
        (at("localhost", "require"), true, None),
        (at("localhost", "verify-ca"), true, None),
        (at("localhost", "verify-full"), true, None),
        (at("127.0.0.1", "require"), true, Some("not valid for name")),
        (
            at("127.0.0.1", "verify-full"),
            true,
            Some("not valid for name"),
        ),
        (at("localhost", "prefer"), false, Some("set ca")),
        (at("localhost", "require"), false, Some("set ca")),
        (at("localhost", "verify-full"), false, Some("set ca")),
    ] {
        let store = match with_ca {
            true => PostgresStore::with_ca(&url.clone().into(), ca.pem()),
            false => PostgresStore::new(&url.clone().into()),
        };
        let store = store.unwrap();
        match (found(&store, &a_key()).await, words) {
            (Ok(None), None) => {}
            (Err(error), Some(words)) => assert!(error.contains(words), "{url}: {error}"),
            (found, _) => panic!("{url}: {found:?}"),
        }
    }

    let encrypted = PostgresStore::with_ca(&at("localhost", "require").into(), ca.pem()).unwrap();
    connected(&encrypted).await;
    encrypted.put(&a_key(), &token(1), None).await.unwrap();
    let client = server.client().await;
    let counted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                   WHERE ssl AND application_name = 'biped'";
    let counted: i64 = client.query_one(counted, &[]).await.unwrap().get(0);
    assert!(counted > 0, "no connection is encrypted");
}
