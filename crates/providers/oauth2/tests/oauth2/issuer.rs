//! An authorization server that verifies what it is shown, and issues what a platform would.

use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};
use wiremock::{Mock, Request, Respond, ResponseTemplate, matchers::method};

use crate::server::{Server, field, granted, json_answer, now};

const KEY: &str = include_str!("../keys/p256.pkcs8.pem");
const PUBLIC: &str = include_str!("../keys/p256.public.pem");

/// The issuer that the server trusts, the subject that it knows, and the audience that it is.
pub(crate) const TRUSTED: &str = "https://platform.example";
pub(crate) const SUBJECT: &str = "system:serviceaccount:crm";
pub(crate) const AUDIENCE: &str = "https://login.example";

/// What the platform says about the client; further claims replace these.
pub(crate) fn assertion(changes: &Value) -> String {
    let mut claims = json!({
        "iss": TRUSTED, "sub": SUBJECT, "aud": AUDIENCE, "exp": now() + 600, "jti": fastrand(),
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let key = EncodingKey::from_ec_pem(KEY.as_bytes()).unwrap();
    encode(&Header::new(Algorithm::ES256), &claims, &key).unwrap()
}

fn fastrand() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

/// Whether a server would trust it.
pub(crate) fn is_trusted(jwt: &str) -> bool {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[TRUSTED]);
    validation.leeway = 0;
    let key = DecodingKey::from_ec_pem(PUBLIC.as_bytes()).unwrap();
    decode::<Value>(jwt, &key, &validation).is_ok_and(|it| it.claims["sub"] == SUBJECT)
}

/// Accepts a field with a trusted token whose type field says this, and refuses with this code.
pub(crate) struct Accepts {
    pub(crate) field: &'static str,
    pub(crate) kind: Option<(&'static str, &'static str)>,
    pub(crate) refusal: (u16, &'static str),
    /// Whether a token is taken only once, and those that were taken.
    pub(crate) once: Option<Arc<Mutex<Vec<String>>>>,
}

impl Accepts {
    pub(crate) fn client_assertions() -> Self {
        Self {
            field: "client_assertion",
            kind: None,
            refusal: (401, "invalid_client"),
            once: None,
        }
    }

    pub(crate) async fn on(self, server: &Server) {
        Mock::given(method("POST"))
            .respond_with(self)
            .mount(&server.mock)
            .await;
    }
}

impl Respond for Accepts {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let (status, code) = self.refusal;
        let refuse = || json_answer(status, &json!({ "error": code }));
        let Some(token) = field(request, self.field).filter(|token| is_trusted(token)) else {
            return refuse();
        };
        if let Some((name, kind)) = self.kind
            && field(request, name).as_deref() != Some(kind)
        {
            return refuse();
        }
        if let Some(taken) = &self.once {
            let mut taken = taken.lock().unwrap();
            if taken.contains(&token) {
                return refuse();
            }
            taken.push(token);
        }
        granted("t-1")
    }
}
