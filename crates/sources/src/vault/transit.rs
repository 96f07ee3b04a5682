//! [`TransitKey`]: a key in a transit engine, which signs in the server.

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use biped_config::{ConfigTable, Field, FieldType, LateHttp, Value as Written};
use biped_core::{Error, FetchContext, SourceContext, async_trait, wire};
use biped_io::before;
use serde_json::{Value, json};

use super::{
    Vault,
    link::{Link, at},
    place::{SCHEME, is_segment},
    server::no_answer,
    session::Asked,
};
use crate::{
    key::Algorithm,
    signer::{PublicKey, Signer, base64_of_any_kind},
};

/// The mount of keys if none is configured.
const MOUNT: &str = "transit";

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A key in a transit engine.
pub(crate) struct TransitKey {
    mount: String,
    key: String,
    link: Arc<Link>,
    http: LateHttp,
}

impl TransitKey {
    /// Reads `{ vault = "KEY" }` or `{ vault = { mount, key } }`, and notes what is wrong with it.
    pub(crate) fn from_config(table: &ConfigTable) -> Option<Self> {
        let value = table.value(SCHEME)?;
        let Some(vault) = value.origin.extension::<Vault>(SCHEME) else {
            drop(table.invalid(
                SCHEME,
                "there is no vault whose keys can sign; configure [vault]",
            ));
            return None;
        };
        let (mount, key) = match &value.raw {
            Written::Text(key) => {
                table.check(&[Field::new(SCHEME, FieldType::Text)]);
                (None, key.clone())
            }
            Written::Table(parts) if parts.contains_key("key") => {
                table.check(&[Field::new(SCHEME, FieldType::Table)]);
                let inner = table.table(SCHEME)?;
                inner.check(&[
                    Field::new("mount", FieldType::Text),
                    Field::new("key", FieldType::Text),
                ]);
                (inner.string("mount"), inner.string("key")?)
            }
            _ => {
                let expected = "expected \"KEY\" or { mount = \"…\", key = \"…\" }, which signs in the \
                                vault, or { mount = \"…\", path = \"…\", field = \"…\" }";
                drop(table.invalid(SCHEME, expected));
                return None;
            }
        };
        let mount = mount.unwrap_or_else(|| MOUNT.to_owned());
        if !mount.split('/').all(is_segment) || !is_segment(&key) || key.contains('/') {
            let message =
                "this does not name a key: neither part may be empty, and key has no slash";
            drop(table.invalid(SCHEME, message));
            return None;
        }
        Some(Self {
            mount,
            key,
            link: vault.link.clone(),
            http: value.origin.http(SCHEME).cloned().unwrap_or_default(),
        })
    }

    /// Sends a request about the key, and returns the `data` of the response.
    async fn data(
        &self,
        what: &'static str,
        body: Option<Value>,
        cx: &SourceContext<'_>,
    ) -> Result<Value, Error> {
        let name = self.reference();
        let (server, http) = self.link.open(&name, &self.http.give(cx))?;
        let fetch = FetchContext::new(http, cx.clock());
        let mount = self.mount.split('/');
        let segments: Vec<_> = mount.chain([what, &*self.key]).collect();
        let asked = Asked {
            segments: &segments,
            body: body.map(|body| body.to_string().into()),
            name: &name,
            missing: "key",
        };
        let asking = server.ask(&asked, &fetch);
        let answered = before(cx.clock().sleep(TIMEOUT), asking).await;
        let response = answered
            .unwrap_or_else(|| {
                let seconds = TIMEOUT.as_secs();
                let message = format!("the vault took more than {seconds} s for {name}");
                Err(Error::unreachable(message).transient(true))
            })
            .map_err(|error| at(error, &name))?;
        let mut answer = wire::json(&response)
            .map_err(|_| at(no_answer(&name, "something that is not JSON"), &name))?;
        Ok(answer["data"].take())
    }

    fn no_answer(&self, what: &str) -> Error {
        let name = self.reference();
        at(no_answer(&name, what), &name)
    }

    fn unfit(&self, what: &str) -> Error {
        let name = self.reference();
        at(Error::secret(format!("the key {name} {what}")), &name)
    }
}

#[async_trait]
impl Signer for TransitKey {
    fn reference(&self) -> String {
        format!("{SCHEME}:{}/{}", self.mount, self.key)
    }

    fn identity(&self) -> String {
        self.link.identity(&self.reference())
    }

    async fn public(&self, cx: &SourceContext<'_>) -> Result<PublicKey, Error> {
        let data = self.data("keys", None, cx).await?;
        let latest = data["latest_version"].to_string();
        let public = data["keys"][&latest]["public_key"].as_str();
        let kind = data["type"].as_str().unwrap_or_default();
        let is_ed25519 = kind == "ed25519";
        if !is_ed25519 && !kind.starts_with("rsa-") && !kind.starts_with("ecdsa-p") {
            let kind = wire::escaped(kind);
            return Err(self
                .unfit(&format!("is of the type {kind}, which signs no assertions"))
                .with_remedy(
                    "expected rsa-2048 or longer, ecdsa-p256, ecdsa-p384, ecdsa-p521 or ed25519",
                ));
        }
        let public = public.ok_or_else(|| self.no_answer("a key without its public half"))?;
        let read = match is_ed25519 {
            true => STANDARD
                .decode(public)
                .ok()
                .and_then(|raw| PublicKey::of_edwards(&raw)),
            false => PublicKey::from_pem(public).ok(),
        };
        read.ok_or_else(|| self.no_answer("a public key that can't be read"))
    }

    async fn sign(
        &self,
        alg: Algorithm,
        message: &[u8],
        cx: &SourceContext<'_>,
    ) -> Result<Vec<u8>, Error> {
        let mut body = parameters(alg)
            .ok_or_else(|| Error::internal("the algorithm needs a shared secret"))?;
        body["input"] = STANDARD.encode(message).into();
        let data = self.data("sign", Some(body), cx).await?;
        // vault:VERSION:SIGNATURE
        data["signature"]
            .as_str()
            .and_then(|text| text.rsplit_once(':'))
            .and_then(|(_, signature)| base64_of_any_kind(signature.as_bytes()))
            .ok_or_else(|| self.no_answer("something that is not a signature"))
    }
}

/// How a signature is asked for.
fn parameters(alg: Algorithm) -> Option<Value> {
    use Algorithm::*;
    let hash = format!("sha2-{}", alg.digest_length() * 8);
    Some(match alg {
        RS256 | RS384 | RS512 => {
            json!({ "hash_algorithm": hash, "signature_algorithm": "pkcs1v15" })
        }
        // The default length of the salt is not that of RFC 7518.
        PS256 | PS384 | PS512 => json!({
            "hash_algorithm": hash, "signature_algorithm": "pss", "salt_length": "hash",
        }),
        ES256 | ES384 | ES512 => json!({ "hash_algorithm": hash, "marshaling_algorithm": "jws" }),
        EdDSA | Ed25519 => json!({}),
        HS256 | HS384 | HS512 => return None,
    })
}

impl fmt::Debug for TransitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TransitKey")
            .field(&self.reference())
            .finish()
    }
}
