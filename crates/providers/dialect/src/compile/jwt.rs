//! Reading `[jwt]`: what is signed, and where the JWT is sent.

use biped_config::ConfigTable;
use jsonwebtoken::Algorithm;

use super::fields::{field_name, field_value};
use crate::{
    reading::VendorTable as _,
    step::{DEFAULT_JWT_LIFETIME, Field, FieldValue, Jwt},
};

/// Where the JWT is sent.
pub(crate) enum JwtUse {
    ClientAssertion,
    Grant,
    Secret,
    Bearer,
    Field(Field),
    /// It is the access token.
    Token,
}

/// Reads `[jwt]`, which `auth = "jwt"` needs and other methods refuse.
pub(crate) fn jwt(section: &ConfigTable, is_needed: bool) -> Option<(Jwt, JwtUse)> {
    let Some(inside) = section.table("jwt") else {
        if is_needed && section.value("jwt").is_none() {
            section.wrong(
                section.line(),
                "jwt",
                "missing; add the table [jwt], which auth = \"jwt\" needs",
            );
        }
        return None;
    };
    if !is_needed {
        inside.wrong(inside.line(), "alg", "[jwt] needs auth = \"jwt\"");
    }
    let alg = inside.choice(
        "alg",
        &[
            ("HS256", Algorithm::HS256),
            ("HS384", Algorithm::HS384),
            ("HS512", Algorithm::HS512),
            ("RS256", Algorithm::RS256),
            ("RS384", Algorithm::RS384),
            ("RS512", Algorithm::RS512),
            ("PS256", Algorithm::PS256),
            ("PS384", Algorithm::PS384),
            ("PS512", Algorithm::PS512),
            ("ES256", Algorithm::ES256),
            ("ES384", Algorithm::ES384),
            ("EdDSA", Algorithm::EdDSA),
        ],
    );
    let key = inside.template("key");
    if inside.value("key").is_none() {
        inside.wrong(inside.line(), "key", "missing; expected a template");
    }
    let claims = members(&inside, "claims");
    let header = members(&inside, "header");
    for (name, _) in &header {
        if ["alg", "kid"].contains(&&**name) {
            let why = format!("set {name} in [jwt] instead");
            inside.wrong(inside.line_of("header"), &format!("header.{name}"), why);
        }
    }
    let x5t = inside.boolean("x5t").unwrap_or(false);
    let certificate = inside.template("certificate");
    if certificate.is_some() && !x5t {
        let why = "only x5t = true uses the certificate; add it, or remove certificate";
        inside.wrong(inside.line_of("certificate"), "certificate", why);
    }
    let prefix = inside.text("prefix").map(|(prefix, _)| prefix.into());
    let kid = inside.template("kid");
    let lifetime = inside
        .seconds("lifetime")
        .unwrap_or(DEFAULT_JWT_LIFETIME.as_secs());
    let jwt_use = jwt_use(&inside);
    inside.report_unread();
    let jwt = Jwt {
        alg: alg.unwrap_or(Algorithm::RS256),
        key: key?,
        kid,
        prefix,
        x5t,
        certificate,
        header,
        claims,
        lifetime,
    };
    Some((jwt, jwt_use))
}

fn members(section: &ConfigTable, key: &str) -> Vec<(Box<str>, FieldValue)> {
    section.table(key).map_or_else(Vec::new, |inside| {
        let member = |(key, value)| Some((Box::from(key), field_value(&inside, key, value)?));
        inside.entries().into_iter().filter_map(member).collect()
    })
}

fn jwt_use(section: &ConfigTable) -> JwtUse {
    let Some((text, line)) = section.text("use") else {
        return JwtUse::ClientAssertion;
    };
    match &*text {
        "client_assertion" => JwtUse::ClientAssertion,
        "grant" => JwtUse::Grant,
        "secret" => JwtUse::Secret,
        "bearer" => JwtUse::Bearer,
        "token" => JwtUse::Token,
        text => match text.strip_prefix("field:").map(field_name) {
            Some(Ok(at)) => JwtUse::Field(Field {
                at,
                value: FieldValue::Assertion,
            }),
            _ => {
                let what =
                    "expected one of client_assertion, grant, secret, bearer, token, field:NAME";
                section.wrong(line, "use", what);
                JwtUse::ClientAssertion
            }
        },
    }
}
