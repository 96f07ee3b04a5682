//! Keys that sign elsewhere: in a command, or in code that an application registers.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_config::{ConfigValue, Origin, Problem, ProviderConfig, Value};
use biped_core::{
    Error, ErrorKind, Provider, References, SecretRef, SourceContext, TokenRequest, async_trait,
};
use biped_oauth2::{Algorithm, OAuth2, PublicKey, Signer, kind};
use jsonwebtoken::{DecodingKey, EncodingKey, Validation};

use crate::server::{CLIENT, Server, field, header};

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("../keys/", $name))
    };
}

/// Each type of key: its private and its public half, and its algorithms.
const KEYS: [(&str, &str, &[&str]); 4] = [
    (
        key!("rsa.pkcs8.pem"),
        key!("rsa.public.pem"),
        &["RS256", "PS256", "RS384", "PS384", "RS512", "PS512"],
    ),
    (key!("p256.pkcs8.pem"), key!("p256.public.pem"), &["ES256"]),
    (key!("p384.pkcs8.pem"), key!("p384.public.pem"), &["ES384"]),
    (
        key!("ed25519.pkcs8.pem"),
        key!("ed25519.public.pem"),
        &["EdDSA"],
    ),
];

fn encoding(pem: &str, alg: &str) -> EncodingKey {
    let pem = pem.as_bytes();
    let key = match &alg[..2] {
        "RS" | "PS" => EncodingKey::from_rsa_pem(pem),
        "ES" => EncodingKey::from_ec_pem(pem),
        _ => EncodingKey::from_ed_pem(pem),
    };
    key.unwrap()
}

fn is_valid(jwt: &str, pem: &str) -> bool {
    let alg = jsonwebtoken::decode_header(jwt).unwrap().alg;
    let name = format!("{alg:?}");
    let pem = pem.as_bytes();
    let key = match &name[..2] {
        "RS" | "PS" => DecodingKey::from_rsa_pem(pem),
        "ES" => DecodingKey::from_ec_pem(pem),
        _ => DecodingKey::from_ed_pem(pem),
    };
    let mut validation = Validation::new(alg);
    validation.validate_aud = false;
    jsonwebtoken::decode::<serde_json::Value>(jwt, &key.unwrap(), &validation).is_ok()
}

/// Signs with a key of these tests, and counts.
#[derive(Debug, Default)]
struct Service {
    private: &'static str,
    public: &'static str,
    signed: Arc<Mutex<u32>>,
}

#[async_trait]
impl Signer for Service {
    fn reference(&self) -> String {
        "service:crm".into()
    }

    async fn public(&self, _: &SourceContext<'_>) -> Result<PublicKey, Error> {
        Ok(PublicKey::from_pem(self.public)?.named("k-1"))
    }

    async fn sign(
        &self,
        alg: Algorithm,
        message: &[u8],
        _: &SourceContext<'_>,
    ) -> Result<Vec<u8>, Error> {
        *self.signed.lock().unwrap() += 1;
        let key = encoding(self.private, alg.as_str());
        let with = alg.as_str().parse().unwrap();
        let signature = jsonwebtoken::crypto::sign(message, &key, with).unwrap();
        Ok(URL_SAFE_NO_PAD.decode(signature).unwrap())
    }
}

#[tokio::test]
async fn a_signer_in_code_signs_once_for_each_attempt() {
    let server = Server::generous().await;
    for (private, public, algorithms) in KEYS {
        for alg in algorithms {
            let signed = Arc::default();
            let service = Service {
                private,
                public,
                signed: Arc::clone(&signed),
            };
            let provider = server.client().signer(service).alg(alg.parse().unwrap());
            server.fetch(&provider).await.unwrap();
            let jwt = field(server.requests().await.last().unwrap(), "client_assertion").unwrap();
            assert_eq!(header(&jwt)["alg"], *alg);
            assert_eq!(header(&jwt)["kid"], "k-1");
            assert!(is_valid(&jwt, public), "{alg}");
            assert_eq!(*signed.lock().unwrap(), 1);
            let proof = provider
                .proof(&TokenRequest::new(), &server.context())
                .await
                .unwrap();
            assert_eq!(proof.source.as_deref(), Some("service:crm"));
            assert_eq!(proof.method.as_deref(), Some("private_key_jwt"));
        }
    }
}

/// Signs with these algorithms only.
#[derive(Debug)]
struct Limited(Service, &'static [Algorithm]);

#[async_trait]
impl Signer for Limited {
    async fn public(&self, cx: &SourceContext<'_>) -> Result<PublicKey, Error> {
        let public = self.0.public(cx).await?;
        Ok(public.signing_with(self.1.iter().copied()))
    }

    async fn sign(
        &self,
        alg: Algorithm,
        message: &[u8],
        cx: &SourceContext<'_>,
    ) -> Result<Vec<u8>, Error> {
        assert!(self.1.contains(&alg), "{alg}");
        self.0.sign(alg, message, cx).await
    }
}

#[tokio::test]
async fn a_signer_is_asked_for_no_algorithm_that_it_lacks() {
    use Algorithm::{ES256, PS256, PS512};
    let server = Server::generous().await;
    let limited = || {
        let service = Service {
            private: key!("rsa.pkcs8.pem"),
            public: key!("rsa.public.pem"),
            ..Service::default()
        };
        // An algorithm that doesn't fit the key is not offered.
        Limited(service, &[ES256, PS512, PS256])
    };
    server
        .fetch(&server.client().signer(limited()))
        .await
        .unwrap();
    let jwt = field(&server.requests().await[0], "client_assertion").unwrap();
    assert_eq!(header(&jwt)["alg"], "PS512");
    let other = server.client().signer(limited()).alg(Algorithm::RS256);
    let error = server.fetch(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(server.requests().await.len(), 1);
}

#[tokio::test]
async fn a_signature_of_another_form_is_not_sent() {
    let server = Server::generous().await;
    let service = Service {
        private: key!("p384.pkcs8.pem"),
        public: key!("p256.public.pem"),
        ..Service::default()
    };
    // The service signs with ES384 whatever it is asked for.
    #[derive(Debug)]
    struct Wrong(Service);
    #[async_trait]
    impl Signer for Wrong {
        async fn public(&self, cx: &SourceContext<'_>) -> Result<PublicKey, Error> {
            self.0.public(cx).await
        }

        async fn sign(
            &self,
            _: Algorithm,
            message: &[u8],
            cx: &SourceContext<'_>,
        ) -> Result<Vec<u8>, Error> {
            self.0.sign(Algorithm::ES384, message, cx).await
        }
    }
    let provider = server.client().signer(Wrong(service));
    let error = server.fetch(&provider).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(server.requests().await.is_empty());
}

#[test]
fn a_public_key_is_read_from_pem_and_from_a_json_web_key() {
    for (pem, jwk) in [
        (key!("rsa.public.pem"), key!("rsa.jwk.json")),
        (key!("p256.public.pem"), key!("p256.jwk.json")),
        (key!("p384.public.pem"), key!("p384.jwk.json")),
        (key!("p521.public.pem"), key!("p521.jwk.json")),
        (key!("ed25519.public.pem"), key!("ed25519.jwk.json")),
    ] {
        let mut jwk: serde_json::Value = serde_json::from_str(jwk).unwrap();
        for name in ["kid", "alg"] {
            jwk.as_object_mut().unwrap().remove(name);
        }
        let from_jwk = PublicKey::from_jwk(&jwk.to_string()).unwrap();
        assert_eq!(PublicKey::from_pem(pem).unwrap(), from_jwk);
    }
    for wrong in [
        "",
        "{}",
        r#"{"kty":"EC","crv":"secp256k1","x":"","y":""}"#,
        "x",
    ] {
        assert!(PublicKey::from_jwk(wrong).is_err());
        assert!(PublicKey::from_pem(wrong).is_err());
    }
}

fn value(raw: Value) -> ConfigValue {
    let origin = Origin::File {
        path: Arc::from(Path::new("biped.toml")),
        line: 1,
        column: 0,
    };
    ConfigValue { raw, origin }
}

fn table(entries: &[(&str, Value)]) -> Value {
    let entries = entries.iter();
    Value::Table(
        entries
            .map(|(name, raw)| ((*name).to_owned(), value(raw.clone())))
            .collect(),
    )
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn argv(argv: &[&str]) -> Value {
    Value::List(argv.iter().map(|it| value(text(it))).collect())
}

fn build(endpoint: &str, keys: &[(&str, Value)]) -> Result<Arc<dyn Provider>, Vec<Problem>> {
    let mut values = BTreeMap::from([
        ("client_id".to_owned(), value(text(CLIENT))),
        ("token_endpoint".to_owned(), value(text(endpoint))),
    ]);
    values.extend(
        keys.iter()
            .map(|(key, raw)| ((*key).to_owned(), value(raw.clone()))),
    );
    kind().build(&ProviderConfig::new(
        "crm",
        "oauth2",
        Origin::Builder,
        values,
    ))
}

/// A key that the shell command `script` signs with.
fn command(script: &str, public: &str) -> (&'static str, Value) {
    let key = table(&[
        ("signer", argv(&["sh", "-c", script])),
        ("public", text(public)),
    ]);
    ("key", key)
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_gets_the_message_and_the_algorithm_and_prints_the_signature() {
    let server = Server::generous().await;
    let url = server.url("/token");
    let work = tempfile::tempdir().unwrap();
    let at = work.path().display();
    // r and s of ECDSA as they are, and as DER with the zero that keeps a number positive.
    let (r, s) = ([0x81_u8; 32], [0x01_u8; 32]);
    let fixed = [r, s].concat();
    let der = [&[0x30, 0x45, 0x02, 0x21, 0][..], &r, &[0x02, 0x20], &s].concat();
    let public = key!("p256.public.pem");
    for signature in [
        URL_SAFE_NO_PAD.encode(&fixed),
        base64::engine::general_purpose::STANDARD.encode(&der),
        URL_SAFE_NO_PAD.encode(&der),
    ] {
        let script = format!(
            "cat > '{at}/message'; printf %s \"$BIPED_ALG\" > '{at}/alg'; echo {signature}"
        );
        let provider = build(url.as_str(), &[command(&script, public)]).unwrap();
        provider
            .fetch(&TokenRequest::new(), &server.context())
            .await
            .unwrap();
        let jwt = field(server.requests().await.last().unwrap(), "client_assertion").unwrap();
        let (message, signed) = jwt.rsplit_once('.').unwrap();
        let got = std::fs::read_to_string(work.path().join("message")).unwrap();
        assert_eq!(got, message);
        assert_eq!(
            std::fs::read_to_string(work.path().join("alg")).unwrap(),
            "ES256"
        );
        assert_eq!(signed, URL_SAFE_NO_PAD.encode(&fixed));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_that_does_not_sign_sends_nothing() {
    let server = Server::generous().await;
    let url = server.url("/token");
    let public = key!("p256.public.pem");
    for (script, transient) in [
        ("exit 3", true),
        ("echo 'pl4nted, and no base64'", false),
        ("true", false),
        ("echo AAAA", false),
    ] {
        let provider = build(url.as_str(), &[command(script, public)]).unwrap();
        let fetched = provider
            .fetch(&TokenRequest::new(), &server.context())
            .await;
        let error = fetched.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Secret, transient),
            "{script}"
        );
        assert!(!format!("{error:?}").contains("pl4nted"));
    }
    let provider = build(url.as_str(), &[command("touch ran", "not a key")]).unwrap();
    let fetched = provider
        .fetch(&TokenRequest::new(), &server.context())
        .await;
    assert_eq!(fetched.unwrap_err().kind(), ErrorKind::Secret);
    assert!(server.requests().await.is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn a_command_is_not_run_while_a_configuration_is_only_shown() {
    let server = Server::generous().await;
    let work = tempfile::tempdir().unwrap();
    let script = format!("touch '{}/ran'", work.path().display());
    let provider = build(
        server.url("/token").as_str(),
        &[command(&script, key!("p256.public.pem"))],
    );
    let cx = server.context().limited_to(References::WithoutCommands);
    let error = provider
        .unwrap()
        .fetch(&TokenRequest::new(), &cx)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(!work.path().join("ran").exists());
}

#[test]
fn what_a_configuration_says_wrong_about_a_signer_is_told() {
    let endpoint = "https://login.example/token";
    let public = ("public", text("file:crm.pub.pem"));
    let signer = ("signer", argv(&["aws", "kms"]));
    let problem = |keys: &[(&str, Value)]| {
        let problems = build(endpoint, keys).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].key.clone()
    };
    let key = |parts: &[(&str, Value)]| ("key", table(parts));
    let whole = key(&[signer.clone(), public.clone()]);
    let built = build(endpoint, std::slice::from_ref(&whole)).unwrap();
    let other = [("signer", argv(&["aws", "kms", "other"])), public.clone()];
    let other = build(endpoint, &[key(&other)]).unwrap();
    assert_ne!(built.id(), other.id());
    assert!(!format!("{:?} {:?}", other, other.id()).contains("other"));

    assert_eq!(
        problem(&[key(std::slice::from_ref(&signer))]),
        "providers.crm.key.public"
    );
    assert_eq!(
        problem(&[key(std::slice::from_ref(&public))]),
        "providers.crm.key"
    );
    let empty = key(&[("signer", argv(&[])), public.clone()]);
    assert_eq!(problem(&[empty]), "providers.crm.key.signer");
    let further = key(&[signer.clone(), public.clone(), ("x", text("y"))]);
    assert_eq!(problem(&[further]), "providers.crm.key.x");
    let password = ("key_password", text("env:P"));
    assert_eq!(
        problem(&[whole.clone(), password]),
        "providers.crm.key_password"
    );
    // A proof for each call can't wait for a device.
    let secret = ("client_secret", text("env:S"));
    assert_eq!(
        problem(&[secret, ("dpop_key", whole.1)]),
        "providers.crm.dpop_key"
    );
}

#[test]
fn a_signer_is_part_of_whose_tokens_they_are() {
    let client = || OAuth2::discovered("https://login.example", SecretRef::inline(CLIENT));
    let service = Service::default;
    assert_ne!(client().signer(service()).id(), client().id());
    assert_eq!(
        client().signer(service()).id(),
        client().signer(service()).id()
    );
}
