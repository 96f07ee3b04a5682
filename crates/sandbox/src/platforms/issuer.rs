//! An authorization server that trusts the platforms, and verifies what they sign.

use std::sync::Arc;

use axum::{
    Form, Json, Router,
    extract::{ConnectInfo, Path, State as Of, rejection::FormRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{
    keys::{Claims, is_for},
    state::{AZURE_AUDIENCE, CLIENT_ID, Caller, Party, State},
};
use crate::{
    body::{self, Ending},
    listen::End,
};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:";
const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:";

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/issuer/token", post(token))
        .route("/issuer/jwks", get(jwks))
        .route("/issuer/_sandbox/lose-answer", post(lose_answer))
        .route("/issuer/_sandbox/consent/{account}", post(consent))
        .route(
            "/.well-known/oauth-authorization-server/issuer",
            get(metadata),
        )
}

/// RFC 8414 §2.
async fn metadata(Of(state): Of<Arc<State>>) -> Json<Value> {
    Json(json!({
        "issuer": state.issuer(),
        "token_endpoint": state.token_endpoint(),
        "jwks_uri": format!("{}/jwks", state.issuer()),
        // It has no authorization endpoint.
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        "grant_types_supported": ["client_credentials", "refresh_token", JWT_BEARER, TOKEN_EXCHANGE],
        "protected_resources": [state.api()],
    }))
}

async fn jwks(Of(state): Of<Arc<State>>) -> Json<Value> {
    Json(state.jwks())
}

/// An error response (RFC 6749 §5.2).
struct Refusal(&'static str, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(code, description) = self;
        let status = match code {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({ "error": code, "error_description": description });
        (status, Json(body)).into_response()
    }
}

/// The fields of a token request; a field may be there more than once. One without a value counts as
/// left out (RFC 6749 §3.2).
struct Fields(Vec<(String, String)>);

impl Fields {
    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        let values = named.map(|(_, value)| value.as_str());
        values.filter(|value| !value.is_empty())
    }

    /// A field that may be there once (RFC 6749 §3.2).
    fn one<'a>(&'a self, name: &'static str) -> Result<Option<&'a str>, Refusal> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (_, Some(_)) => Err(Refusal("invalid_request", "a parameter is repeated")),
            (one, None) => Ok(one),
        }
    }

    fn required<'a>(&'a self, name: &'static str) -> Result<&'a str, Refusal> {
        let missing = Refusal("invalid_request", "a parameter is missing");
        self.one(name)?.ok_or(missing)
    }
}

/// The answer to the next refresh is lost: the refresh token is replaced, and the connection is reset.
async fn lose_answer(Of(state): Of<Arc<State>>) -> StatusCode {
    state.lose_answer();
    StatusCode::NO_CONTENT
}

/// A new refresh token of an account, as a person's consent gives it.
async fn consent(
    Of(state): Of<Arc<State>>,
    Path(account): Path<String>,
) -> Result<String, StatusCode> {
    state.consent(&account).ok_or(StatusCode::NOT_FOUND)
}

async fn token(
    Of(state): Of<Arc<State>>,
    ConnectInfo(end): ConnectInfo<End>,
    fields: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Result<Response, Refusal> {
    let malformed = |_| Refusal("invalid_request", "the request is not a form");
    let Form(fields) = fields.map_err(malformed)?;
    let fields = Fields(fields);
    let answer = granted(&state, &fields)?;
    let is_lost = answer.get("refresh_token").is_some() && state.loses_answer();
    let answer = ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response();
    if !is_lost {
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    let body = body::cut(body, Ending::Reset(end), state.stopped());
    Ok(Response::from_parts(parts, body))
}

/// The token response (RFC 6749 §5.1).
fn granted(state: &State, fields: &Fields) -> Result<Value, Refusal> {
    if fields.all("resource").any(|it| it != state.api()) {
        return Err(Refusal("invalid_target", "the resource is not known"));
    }
    let client = client(state, fields)?;
    let mut answer = json!({ "token_type": "Bearer", "expires_in": state.lifetime.as_secs() });
    let mut scope = fields.one("scope")?.map(str::to_owned);
    let caller = match fields.required("grant_type")? {
        "client_credentials" => {
            client.ok_or(Refusal("invalid_client", "there is no client assertion"))?
        }
        JWT_BEARER => {
            let assertion = fields.required("assertion")?;
            let refused = |why| Refusal("invalid_grant", why);
            let (party, claims) = known(state, assertion).map_err(refused)?;
            if party == Party::Account {
                // Google reads the scopes of a service account in the assertion.
                if scope.is_some() {
                    return Err(Refusal(
                        "invalid_request",
                        "the scope belongs to the claims",
                    ));
                }
                scope = claims.get("scope").and_then(Value::as_str).map(Into::into);
            }
            Caller::of(party, &claims)
        }
        TOKEN_EXCHANGE => {
            let caller = subject(state, fields)?;
            answer["issued_token_type"] = format!("{TOKEN_TYPE}access_token").into();
            caller
        }
        "refresh_token" => {
            client.ok_or(Refusal("invalid_client", "there is no client assertion"))?;
            let token = fields.required("refresh_token")?;
            let refused = Refusal("invalid_grant", "the refresh token is not valid");
            let (caller, successor) = state.refreshed(token).ok_or(refused)?;
            answer["refresh_token"] = successor.into();
            caller
        }
        _ => return Err(Refusal("unsupported_grant_type", "the grant is not known")),
    };
    if let Some(scope) = scope {
        answer["scope"] = scope.into();
    }
    answer["access_token"] = state.issue(caller, state.lifetime).into();
    Ok(answer)
}

/// Whom a client assertion is about, if there is one (RFC 7521 §4.2).
fn client(state: &State, fields: &Fields) -> Result<Option<Caller>, Refusal> {
    let refused = |why| Refusal("invalid_client", why);
    if fields.one("client_id")?.is_some_and(|id| id != CLIENT_ID) {
        return Err(refused("the client_id is not known"));
    }
    let Some(assertion) = fields.one("client_assertion")? else {
        return Ok(None);
    };
    let (party, claims) = known(state, assertion).map_err(refused)?;
    let kind = match party {
        Party::Spiffe => "jwt-spiffe",
        _ => "jwt-bearer",
    };
    let given = fields.required("client_assertion_type")?;
    if given.strip_prefix(ASSERTION_TYPE) != Some(kind) {
        return Err(refused("the type of the assertion is another"));
    }
    Ok(Some(Caller::of(party, &claims)))
}

/// What an assertion says, if it is for this server.
fn known(state: &State, assertion: &str) -> Result<(Party, Claims), &'static str> {
    let (issuer, endpoint) = (state.issuer(), state.token_endpoint());
    let (party, claims) = state.verified(assertion, &[&issuer, &endpoint, AZURE_AUDIENCE])?;
    let is_of_azure = is_for(&claims, &[AZURE_AUDIENCE]);
    match is_of_azure == (party == Party::Azure) {
        true => Ok((party, claims)),
        false => Err("the audience of the assertion is another"),
    }
}

/// Whom the subject of an exchange is about (RFC 8693 §2.1).
fn subject(state: &State, fields: &Fields) -> Result<Caller, Refusal> {
    let token = fields.required("subject_token")?;
    let subject = exchanged(state, token, fields.required("subject_token_type")?)?;
    match (fields.one("actor_token")?, fields.one("actor_token_type")?) {
        (None, None) => {}
        (Some(actor), Some(kind)) => {
            exchanged(state, actor, kind)?;
        }
        (Some(_), None) => return Err(invalid("the type of the actor token is missing")),
        (None, Some(_)) => return Err(invalid("there is a type of an actor token, but no token")),
    }
    Ok(subject)
}

/// Whom a token in an exchange is about.
fn exchanged(state: &State, token: &str, kind: &str) -> Result<Caller, Refusal> {
    match kind.strip_prefix(TOKEN_TYPE) {
        Some("access_token") => {
            let issued = state.issued(token);
            issued.ok_or(invalid("the token is not valid"))
        }
        Some("jwt" | "id_token") => {
            let (party, claims) = known(state, token).map_err(invalid)?;
            Ok(Caller::of(party, &claims))
        }
        _ => Err(invalid("the type of the token is not known")),
    }
}

/// The error for an exchange whose tokens are not accepted (RFC 8693 §2.2.2).
fn invalid(why: &'static str) -> Refusal {
    Refusal("invalid_request", why)
}
