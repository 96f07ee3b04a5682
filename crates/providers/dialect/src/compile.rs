//! From TOML to a [`Dialect`]: fills in the defaults, parses templates and pointers, and refuses
//! everything that is not in the schema.

use biped_config::{ConfigTable, Value};
use biped_core::check_secure;
use http::Method;
use url::Url;

use crate::{
    about,
    dialect::Dialect,
    example, names,
    reading::{VendorTable as _, line},
    step::{Auth, Encoding, Field, FieldName, FieldValue, Step},
    template::Template,
};

mod api;
mod fields;
mod jwt;
mod response;

use self::{
    api::attach,
    fields::{read_fields, read_headers, user_and_password},
    jwt::{JwtUse, jwt},
    response::reads,
};

/// Returns `None` if a request has no valid `url`; the problems of the table say why.
pub(crate) fn dialect(top: &ConfigTable, name: &str, digest: Box<str>) -> Option<Dialect> {
    let about = top.table("about").map(|about| about::read::about(&about));
    let first = step(top, &Usual::TOKEN_REQUEST);
    let mut steps = vec![first?];
    for then in top.tables("then", false).unwrap_or_default() {
        let step = step(&then, &Usual::FURTHER);
        then.report_unread();
        steps.push(step?);
    }
    // The first response may lack a token if a later one has it and the file names no path for it.
    if steps.iter().skip(1).any(|step| step.reads.token.is_some())
        && let Some(first) = steps.first_mut()
    {
        first.reads.needs_token = top
            .table("response")
            .is_some_and(|it| it.value("token").is_some());
    }
    let revoke = top.table("revoke").and_then(|section| {
        let step = step(&section, &Usual::REVOCATION);
        section.report_unread();
        step
    });
    let mut dialect = Dialect {
        name: name.into(),
        digest,
        about,
        steps,
        revoke,
        attach: top.table("attach").map(|section| attach(&section)),
        expired: top.rejection_rules("expired"),
        client_certificate: top.boolean("client_certificate").unwrap_or(false),
        uses_client_id: false,
        uses_client_secret: false,
        params: Vec::new(),
        examples: Vec::new(),
    };
    let sends = dialect.steps.iter().any(|step| !step.is_token);
    let examples = top.tables("example", false).unwrap_or_default();
    let examples = examples.iter();
    dialect.examples = examples
        .map(|it| example::read::example(it, sends))
        .collect();
    top.report_unread();
    names::settle(&mut dialect, top);
    Some(dialect)
}

/// The defaults of a request.
struct Usual {
    is_first: bool,
    method: Method,
    encoding: Encoding,
    auth: AuthName,
    grant_type: Option<&'static str>,
}

impl Usual {
    /// RFC 6749 §4.4.2, with the credentials in the body.
    const TOKEN_REQUEST: Self = Self {
        is_first: true,
        method: Method::POST,
        encoding: Encoding::Form,
        auth: AuthName::Body,
        grant_type: Some("client_credentials"),
    };
    /// It ends a token; its templates say how the token is sent.
    const REVOCATION: Self = Self {
        method: Method::POST,
        ..Self::FURTHER
    };
    const FURTHER: Self = Self {
        is_first: false,
        method: Method::GET,
        encoding: Encoding::None,
        auth: AuthName::None,
        grant_type: None,
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AuthName {
    Body,
    Basic,
    Jwt,
    None,
}

fn step(section: &ConfigTable, usual: &Usual) -> Option<Step> {
    let auth_name = section
        .choice(
            "auth",
            &[
                ("body", AuthName::Body),
                ("basic", AuthName::Basic),
                ("jwt", AuthName::Jwt),
                ("none", AuthName::None),
            ],
        )
        .unwrap_or(usual.auth);
    let (jwt, jwt_use) = match jwt(section, auth_name == AuthName::Jwt) {
        Some((jwt, jwt_use)) => (Some(jwt), Some(jwt_use)),
        None => (None, None),
    };
    let is_token = matches!(jwt_use, Some(JwtUse::Token));
    if is_token {
        refuse_request(section, usual.is_first);
    }
    let url = address(section, is_token);
    let encoding = section
        .choice(
            "encoding",
            &[
                ("form", Encoding::Form),
                ("json", Encoding::Json),
                ("query", Encoding::Query),
                ("text", Encoding::Text),
                ("none", Encoding::None),
            ],
        )
        .unwrap_or(if is_token {
            Encoding::None
        } else {
            usual.encoding
        });
    let methods = ["GET", "POST", "PUT", "DELETE"];
    let method = section.choice("method", &methods.map(|name| (name, name)));
    let is_grant = matches!(jwt_use, Some(JwtUse::Grant));
    let grant_type = grant_type(
        section,
        if is_grant {
            Some(JWT_BEARER)
        } else {
            usual.grant_type
        },
    );
    let own = section
        .table("fields")
        .map(|fields| read_fields(&fields, encoding))
        .unwrap_or_default();
    let scopes: Box<[Box<str>]> = section
        .list("scopes")
        .unwrap_or_default()
        .into_iter()
        .map(|(scope, _)| scope.into())
        .collect();
    let has_scope = usual.is_first || !scopes.is_empty();
    let query = section
        .table("query")
        .map(|query| read_fields(&query, Encoding::Query))
        .unwrap_or_default();

    let mut fields = Vec::new();
    if encoding.carries_fields() {
        let credentials = credentials(auth_name, jwt_use.as_ref());
        fields = automatic_fields(grant_type.as_deref(), credentials, has_scope);
        // A field of the file replaces the automatic field of the same name.
        fields.retain(|automatic| {
            let given = |field: &Field| field.at.is(&automatic.at);
            let in_query = encoding == Encoding::Query && query.iter().any(given);
            !own.iter().any(given) && !in_query
        });
    } else {
        refuse_fields(section, encoding, jwt_use.as_ref());
    }
    fields.extend(own);
    let body = section.template("body");
    refuse_conflicts(section, encoding, &fields, &query, body.is_some());
    let auth = authentication(section, auth_name, encoding, jwt_use.as_ref());
    let headers = section
        .table("headers")
        .map(|headers| read_headers(&headers))
        .unwrap_or_default();
    let reads = reads(section, usual.is_first);
    Some(Step {
        url: url?,
        method: match method {
            Some("GET") => Method::GET,
            Some("PUT") => Method::PUT,
            Some("DELETE") => Method::DELETE,
            Some(_) => Method::POST,
            None => usual.method.clone(),
        },
        encoding,
        auth,
        fields,
        query,
        headers,
        body,
        scope_separator: section
            .text("scope_separator")
            .map_or_else(|| " ".into(), |(text, _)| text.into()),
        scopes,
        jwt,
        is_token,
        reads,
    })
}

/// Reads where the request goes, if one is sent.
fn address(section: &ConfigTable, is_token: bool) -> Option<Template> {
    let mut url = section.template("url");
    if is_token && section.value("url").is_none() {
        url = Template::parse("", section.line()).ok();
    } else if section.value("url").is_none() {
        let what = "missing; expected the URL of the request";
        section.wrong(section.line(), "url", what);
    }
    let sends = |url: &&Template| !is_token || !url.is_fixed() || !url.lead().is_empty();
    if let Some(url) = url.as_ref().filter(sends).filter(|url| !can_be_secure(url)) {
        let what = "expected an https URL; http is allowed to this machine only";
        section.wrong(url.line, "url", what);
    }
    url
}

/// The fields that a file doesn't have to name.
fn automatic_fields(
    grant_type: Option<&str>,
    credentials: Vec<Field>,
    has_scope: bool,
) -> Vec<Field> {
    let grant_type =
        grant_type.map(|grant_type| named("grant_type", FieldValue::Fixed(grant_type.into())));
    let scope = has_scope.then(|| named("scope", FieldValue::Text(Template::of("scope", false))));
    grant_type
        .into_iter()
        .chain(credentials)
        .chain(scope)
        .collect()
}

/// Refuses what can't be sent together.
fn refuse_conflicts(
    section: &ConfigTable,
    encoding: Encoding,
    fields: &[Field],
    query: &[Field],
    has_body: bool,
) {
    let in_query = |field: &&Field| query.iter().any(|other| other.at.is(&field.at));
    if encoding == Encoding::Query {
        for _ in fields.iter().filter(in_query) {
            let what = "query and fields contain the same name";
            section.wrong(section.line(), "query", what);
        }
    }
    if has_body != (encoding == Encoding::Text) {
        let what = "body needs encoding = \"text\", and encoding = \"text\" needs body";
        section.wrong(section.line_of("body"), "body", what);
    }
}

/// Refuses what describes a request, where a JWT signed here is the token and nothing is sent.
fn refuse_request(section: &ConfigTable, is_first: bool) {
    if !is_first {
        section.wrong(
            section.line(),
            "jwt.use",
            "only the first JWT can be the token",
        );
    }
    let keys = [
        "method",
        "encoding",
        "grant_type",
        "fields",
        "query",
        "headers",
        "body",
        "client_certificate",
        "response",
    ];
    for key in keys {
        if section.value(key).is_some() {
            let why = "use = \"token\" sends no request; remove this";
            section.wrong(section.line_of(key), key, why);
        }
    }
}

/// Whether credentials may be sent to a URL, as far as its template shows.
fn can_be_secure(url: &Template) -> bool {
    let text = url.lead();
    let has_its_host = url.is_fixed() || text.splitn(4, '/').count() == 4;
    if has_its_host {
        return Url::parse(text).is_ok_and(|url| check_secure(&url).is_ok());
    }
    let starts = |scheme: &str| {
        let known = text.len().min(scheme.len());
        text.is_char_boundary(known) && text[..known].eq_ignore_ascii_case(&scheme[..known])
    };
    starts("https://") || starts("http://")
}

/// RFC 7523 §2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// RFC 7523 §2.2.
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn grant_type(section: &ConfigTable, usual: Option<&str>) -> Option<Box<str>> {
    let given = section.value("grant_type");
    match given.map(|node| (&node.raw, line(node))) {
        None => usual.map(Into::into),
        Some((Value::Text(name), _)) => Some(name.as_str().into()),
        Some((Value::Bool(false), _)) => None,
        Some((_, line)) => {
            section.wrong(line, "grant_type", "expected a string or false");
            None
        }
    }
}

fn named(name: &str, value: FieldValue) -> Field {
    Field {
        at: FieldName::Name(name.into()),
        value,
    }
}

/// The fields that authenticate the client.
fn credentials(auth: AuthName, jwt: Option<&JwtUse>) -> Vec<Field> {
    let of = |name| named(name, FieldValue::Text(Template::of(name, false)));
    match (auth, jwt) {
        (AuthName::Body, _) => vec![of("client_id"), of("client_secret")],
        (_, Some(JwtUse::ClientAssertion)) => vec![
            named(
                "client_assertion_type",
                FieldValue::Fixed(CLIENT_ASSERTION.into()),
            ),
            named("client_assertion", FieldValue::Assertion),
        ],
        (_, Some(JwtUse::Grant)) => vec![named("assertion", FieldValue::Assertion)],
        (_, Some(JwtUse::Token)) => Vec::new(),
        (_, Some(JwtUse::Secret)) => {
            vec![
                of("client_id"),
                named("client_secret", FieldValue::Assertion),
            ]
        }
        (_, Some(JwtUse::Field(field))) => vec![field.clone()],
        _ => Vec::new(),
    }
}

/// Notes what needs fields where the encoding has none.
fn refuse_fields(section: &ConfigTable, encoding: Encoding, jwt: Option<&JwtUse>) {
    let what = match encoding {
        Encoding::Text => "text",
        _ => "none",
    };
    if let Some(fields) = section.value("fields") {
        let why = format!("encoding = \"{what}\" does not send fields");
        section.wrong(line(fields), "fields", why);
    }
    if jwt.is_some_and(|jwt| !matches!(jwt, JwtUse::Bearer | JwtUse::Token)) {
        let why = format!(
            "encoding = \"{what}\" does not send the JWT as a field; set use = \"bearer\" to send it in \
             Authorization"
        );
        section.wrong(section.line(), "jwt.use", why);
    }
}

fn authentication(
    section: &ConfigTable,
    auth: AuthName,
    encoding: Encoding,
    jwt: Option<&JwtUse>,
) -> Auth {
    let basic = section.table("basic");
    if basic.is_some() && auth != AuthName::Basic {
        let line = section.line_of("basic");
        section.wrong(line, "basic", "[basic] needs auth = \"basic\"");
    }
    match auth {
        AuthName::Basic => {
            let (user, password) = basic.map_or((None, None), |basic| user_and_password(&basic));
            // RFC 6749 §2.3.1 encodes both, so that either may contain a colon.
            Auth::Basic {
                user: user.unwrap_or_else(|| Template::of("client_id", true)),
                password: password.unwrap_or_else(|| Template::of("client_secret", true)),
            }
        }
        AuthName::Jwt if matches!(jwt, Some(JwtUse::Bearer)) => Auth::Bearer,
        AuthName::Jwt | AuthName::Body if encoding.carries_fields() => Auth::InFields,
        _ => Auth::Nowhere,
    }
}
