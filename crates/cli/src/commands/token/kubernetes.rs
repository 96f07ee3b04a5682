//! `--format exec-credential`: what kubectl and client libraries of Kubernetes take from a command
//! (<https://kubernetes.io/docs/reference/config-api/client-authentication.v1/>).

use biped::{Error, ExposeSecret, Token};
use serde::{Deserialize, Serialize};

use crate::words::rfc3339;

/// The variable in which the caller describes what it takes.
const INFO: &str = "KUBERNETES_EXEC_INFO";

/// The versions in which the credential has this form; the first one where the caller names none.
const VERSIONS: [&str; 2] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential<'t> {
    api_version: &'t str,
    kind: &'t str,
    status: Status<'t>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'t> {
    /// Without it, kubectl uses the token until the server rejects it.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_timestamp: Option<String>,
    token: &'t str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    api_version: String,
}

/// The credential, for the version that the caller speaks.
pub(super) fn credential(token: &Token) -> Result<String, Error> {
    if !token.token_type().eq_ignore_ascii_case("bearer") {
        return Err(Error::configuration(
            "kubectl sends only Bearer tokens, and this token is not one",
        )
        .with_remedy("call the API with biped call or biped serve"));
    }
    let object = ExecCredential {
        api_version: version(std::env::var_os(INFO).as_deref())?,
        kind: "ExecCredential",
        status: Status {
            expiration_timestamp: token.expires_at().and_then(rfc3339),
            token: token.expose_secret(),
        },
    };
    let json = serde_json::to_string(&object)
        .map_err(|_| Error::internal("the credential can't be shown as JSON"))?;
    Ok(json + "\n")
}

pub(crate) fn version(info: Option<&std::ffi::OsStr>) -> Result<&'static str, Error> {
    let Some(info) = info.filter(|info| !info.is_empty()) else {
        return Ok(VERSIONS[0]);
    };
    let info = info.to_str().map(serde_json::from_str::<Info>);
    let asked = info.and_then(Result::ok).map(|info| info.api_version);
    let known = VERSIONS
        .into_iter()
        .find(|known| Some(*known) == asked.as_deref());
    known.ok_or_else(|| {
        let all = VERSIONS.join(", ");
        Error::configuration(format!(
            "{INFO}: expected JSON whose apiVersion is one of {all}"
        ))
        .with_remedy("set apiVersion in the exec section of the kubeconfig")
    })
}
