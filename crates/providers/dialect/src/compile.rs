//! From TOML to a [`Dialect`]: defaults filled in, templates and pointers taken apart, and
//! everything refused that is not in the schema.

use std::time::Duration;

use biped_core::Lifetime;
use http::{HeaderName, Method};
use jsonwebtoken::Algorithm;

use crate::{
    about,
    dialect::{
        Attach, Auth, DEFAULT_JWT_LIFETIME, Dialect, Encoding, Expired, Field, FieldName,
        FieldValue, Jwt, Reads, Step, Success, Words,
    },
    example,
    expiry::{Expiry, Written},
    names,
    place::{Place, Pointer},
    section::Section,
    source::{Entry, Faults, Node, Table, Value},
    template::Template,
};

/// `None` where what is wrong leaves nothing to go on with; the faults say what.
pub(crate) fn dialect(
    table: &Table,
    name: &str,
    digest: Box<str>,
    faults: &Faults,
) -> Option<Dialect> {
    let top = Section::new(table, "", faults);
    let about = top.table("about").and_then(about::read);
    let first = step(&top, &Usual::TOKEN_REQUEST);
    let mut steps = vec![first?];
    for then in top.tables("then", false).unwrap_or_default() {
        let step = step(&then, &Usual::FURTHER);
        then.finish();
        steps.push(step?);
    }
    // Where a later request reads a token, the first needn't bring one, unless the file says where.
    if steps.iter().skip(1).any(|step| step.reads.token.is_some())
        && let Some(first) = steps.first_mut()
    {
        first.reads.needs_token = top
            .table("response")
            .is_some_and(|it| it.node("token").is_some());
    }
    let mut dialect = Dialect {
        name: name.into(),
        digest,
        about,
        steps,
        attach: top.table("attach").map(|section| attach(&section)),
        expired: top
            .tables("expired", true)
            .map(|all| all.iter().map(expired).collect()),
        client_certificate: top.boolean("client_certificate").unwrap_or(false),
        uses_client_id: false,
        uses_client_secret: false,
        params: Vec::new(),
        examples: top
            .tables("example", false)
            .unwrap_or_default()
            .into_iter()
            .map(example::read)
            .collect(),
    };
    top.finish();
    names::settle(&mut dialect, faults);
    Some(dialect)
}

/// What a request is like where the file doesn't say.
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

/// Where the JWT goes.
enum JwtUse {
    ClientAssertion,
    Grant,
    Secret,
    Bearer,
    Field(Field),
}

fn step(section: &Section<'_>, usual: &Usual) -> Option<Step> {
    let url = section.template("url");
    if section.node("url").is_none() {
        let what = "missing; the address of the request is expected";
        section.wrong(section.line(), "url", what);
    }
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
        .unwrap_or(usual.encoding);
    let methods = ["GET", "POST", "PUT"];
    let method = section.choice("method", &methods.map(|name| (name, name)));
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
    let (jwt, jwt_use) = match jwt(section, auth_name) {
        Some((jwt, jwt_use)) => (Some(jwt), Some(jwt_use)),
        None => (None, None),
    };
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
        .texts("scopes")
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
        if let Some(grant_type) = &grant_type {
            fields.push(named(
                "grant_type",
                FieldValue::Fixed((&**grant_type).into()),
            ));
        }
        fields.extend(credentials(auth_name, jwt_use.as_ref()));
        if has_scope {
            fields.push(named(
                "scope",
                FieldValue::Text(Template::of("scope", false)),
            ));
        }
        // What the file names itself replaces what is sent of its own accord.
        fields.retain(|automatic| {
            let given = |field: &Field| field.at.is(&automatic.at);
            let in_query = encoding == Encoding::Query && query.iter().any(given);
            !own.iter().any(given) && !in_query
        });
    } else {
        refuse_fields(section, encoding, jwt_use.as_ref());
    }
    fields.extend(own);
    if encoding == Encoding::Query {
        for field in &fields {
            if query.iter().any(|other| other.at.is(&field.at)) {
                section.wrong(
                    section.line(),
                    "query",
                    "holds a name that fields hold, too",
                );
            }
        }
    }
    let body = section.template("body");
    if body.is_some() != (encoding == Encoding::Text) {
        let line = section
            .entry("body")
            .map_or(section.line(), |entry| entry.line);
        section.wrong(
            line,
            "body",
            "belongs to encoding = \"text\", and to no other",
        );
    }
    let auth = authentication(section, auth_name, encoding, jwt_use.as_ref());
    let headers = section
        .table("headers")
        .map(|headers| read_headers(&headers))
        .unwrap_or_default();
    let reads = reads(section, usual);
    Some(Step {
        url: url?,
        method: match method {
            Some("GET") => Method::GET,
            Some("PUT") => Method::PUT,
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
        reads,
    })
}

/// RFC 7523 §2.1.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// RFC 7523 §2.2.
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn grant_type(section: &Section<'_>, usual: Option<&str>) -> Option<Box<str>> {
    match section
        .node("grant_type")
        .map(|node| (&node.value, node.line))
    {
        None => usual.map(Into::into),
        Some((Value::Text(name), _)) => Some(name.as_str().into()),
        Some((Value::Bool(false), _)) => None,
        Some((_, line)) => {
            section.wrong(line, "grant_type", "a string, or false, is expected");
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

/// What would have to travel as a field can't where there are none.
fn refuse_fields(section: &Section<'_>, encoding: Encoding, jwt: Option<&JwtUse>) {
    let what = match encoding {
        Encoding::Text => "text",
        _ => "none",
    };
    if let Some(entry) = section.entry("fields") {
        let why = format!("encoding = \"{what}\" carries no fields");
        section.wrong(entry.line, "fields", why);
    }
    if jwt.is_some_and(|jwt| !matches!(jwt, JwtUse::Bearer)) {
        let why = format!("encoding = \"{what}\" carries no field for the JWT; \"bearer\" it can");
        section.wrong(section.line(), "jwt.use", why);
    }
}

fn authentication(
    section: &Section<'_>,
    auth: AuthName,
    encoding: Encoding,
    jwt: Option<&JwtUse>,
) -> Auth {
    let basic = section.table("basic");
    if basic.is_some() && auth != AuthName::Basic {
        let line = section
            .entry("basic")
            .map_or(section.line(), |entry| entry.line);
        section.wrong(
            line,
            "basic",
            "belongs to auth = \"basic\", and to no other",
        );
    }
    match auth {
        AuthName::Basic => {
            let (user, password) = basic.map_or((None, None), |basic| user_and_password(&basic));
            // RFC 6749 §2.3.1 has both encoded, so that a colon in one of them does no harm.
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

fn user_and_password(section: &Section<'_>) -> (Option<Template>, Option<Template>) {
    let both = (section.template("user"), section.template("password"));
    for key in ["user", "password"] {
        if section.node(key).is_none() {
            section.wrong(section.line(), key, "missing; a string is expected");
        }
    }
    for entry in section.entries() {
        if !["user", "password"].contains(&entry.key.as_str()) {
            section.faults().unknown(
                entry.line,
                section.path(&entry.key),
                &entry.key,
                &["user", "password"],
            );
        }
    }
    both
}

fn jwt(section: &Section<'_>, auth: AuthName) -> Option<(Jwt, JwtUse)> {
    let Some(inside) = section.table("jwt") else {
        if auth == AuthName::Jwt && section.node("jwt").is_none() {
            section.wrong(section.line(), "jwt", "missing; auth = \"jwt\" needs [jwt]");
        }
        return None;
    };
    if auth != AuthName::Jwt {
        inside.wrong(
            inside.line(),
            "alg",
            "[jwt] belongs to auth = \"jwt\", and to no other",
        );
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
    if inside.node("key").is_none() {
        inside.wrong(inside.line(), "key", "missing; a template is expected");
    }
    let claims = inside.table("claims").map_or_else(Vec::new, |claims| {
        let value = |entry: &Entry| {
            let value = field_value(&claims, entry)?;
            Some((entry.key.as_str().into(), value))
        };
        claims.entries().iter().filter_map(value).collect()
    });
    let kid = inside.template("kid");
    let lifetime = inside
        .seconds("lifetime")
        .unwrap_or(DEFAULT_JWT_LIFETIME.as_secs());
    let jwt_use = jwt_use(&inside);
    inside.finish();
    let jwt = Jwt {
        alg: alg.unwrap_or(Algorithm::RS256),
        key: key?,
        kid,
        claims,
        lifetime,
    };
    Some((jwt, jwt_use))
}

fn jwt_use(section: &Section<'_>) -> JwtUse {
    let Some((text, line)) = section.text("use") else {
        return JwtUse::ClientAssertion;
    };
    match text {
        "client_assertion" => JwtUse::ClientAssertion,
        "grant" => JwtUse::Grant,
        "secret" => JwtUse::Secret,
        "bearer" => JwtUse::Bearer,
        _ => match text.strip_prefix("field:").map(field_name) {
            Some(Ok(at)) => JwtUse::Field(Field {
                at,
                value: FieldValue::Assertion,
            }),
            _ => {
                let what = "client_assertion, grant, secret, bearer or field:NAME is expected";
                section.wrong(line, "use", what);
                JwtUse::ClientAssertion
            }
        },
    }
}

fn read_fields(section: &Section<'_>, encoding: Encoding) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    for entry in section.entries() {
        let wrong = |why: &str| section.wrong(entry.line, &entry.key, why);
        let at = match field_name(&entry.key) {
            Ok(FieldName::Pointer(_)) if encoding != Encoding::Json => {
                wrong("a JSON pointer leads somewhere in encoding = \"json\" only");
                continue;
            }
            Ok(at) => at,
            Err(why) => {
                wrong(why);
                continue;
            }
        };
        if fields.iter().any(|field| field.at.is(&at)) {
            wrong("is there already");
        }
        if let Some(value) = field_value(section, entry) {
            fields.push(Field { at, value });
        }
    }
    if encoding == Encoding::Json && !fit_together(&fields) {
        let why = "these pointers can't be in one JSON body together";
        section.wrong(section.line(), "", why);
    }
    fields
}

/// Whether every field finds its place in one body.
fn fit_together(fields: &[Field]) -> bool {
    let mut body = serde_json::Value::Object(serde_json::Map::new());
    fields.iter().all(|field| match &field.at {
        FieldName::Name(name) => Pointer::key(name).put(&mut body, true.into()),
        FieldName::Pointer(pointer) => pointer.put(&mut body, true.into()),
    })
}

fn field_name(key: &str) -> Result<FieldName, &'static str> {
    if key.is_empty() {
        return Err("a name is expected");
    }
    if key.starts_with('/') {
        return Pointer::parse(key).map(FieldName::Pointer);
    }
    Ok(FieldName::Name(key.into()))
}

impl FieldName {
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a == b,
            (Self::Pointer(a), Self::Pointer(b)) => a == b,
            (Self::Name(name), Self::Pointer(pointer))
            | (Self::Pointer(pointer), Self::Name(name)) => *pointer == Pointer::key(name),
        }
    }
}

fn field_value(section: &Section<'_>, entry: &Entry) -> Option<FieldValue> {
    value(section, &entry.key, &entry.node, true)
}

fn value(section: &Section<'_>, key: &str, node: &Node, list: bool) -> Option<FieldValue> {
    match &node.value {
        Value::Text(text) => section.parsed(key, text, node.line).map(FieldValue::Text),
        Value::Integer(_) | Value::Float(_) | Value::Bool(_) => {
            Some(FieldValue::Fixed(node.to_json()))
        }
        Value::List(all) if list => all
            .iter()
            .map(|node| value(section, key, node, false))
            .collect::<Option<_>>()
            .map(FieldValue::List),
        Value::Table(table) if table.entries.len() == 1 && table.entries[0].key == "number" => {
            let inside = &table.entries[0].node;
            match &inside.value {
                Value::Text(text) => section.parsed(key, text, node.line).map(FieldValue::Number),
                _ => {
                    section.wrong(node.line, key, "number: a template is expected");
                    None
                }
            }
        }
        Value::Table(_) => {
            let why = "a template, a number, true or false, a list or { number = \"{name}\" } is \
                       expected; inside of an object a field is named by a pointer: \"/auth/user\"";
            section.wrong(node.line, key, why);
            None
        }
        Value::List(_) | Value::Date(_) => {
            section.wrong(
                node.line,
                key,
                "a template, a number, true or false is expected",
            );
            None
        }
    }
}

fn read_headers(section: &Section<'_>) -> Vec<(HeaderName, Template)> {
    let mut headers: Vec<(HeaderName, Template)> = Vec::new();
    for entry in section.entries() {
        let wrong = |why: &str| section.wrong(entry.line, &entry.key, why);
        let Ok(name) = entry.key.parse::<HeaderName>() else {
            wrong("this can't be the name of a header");
            continue;
        };
        if headers.iter().any(|(known, _)| *known == name) {
            wrong("is there already");
        }
        match &entry.node.value {
            Value::Text(text) => {
                if let Some(template) = section.parsed(&entry.key, text, entry.node.line) {
                    headers.push((name, template));
                }
            }
            _ => wrong("a string is expected"),
        }
    }
    headers
}

fn reads(step: &Section<'_>, usual: &Usual) -> Reads {
    let empty = Table {
        line: step.line(),
        entries: Vec::new(),
    };
    let section = match step.table("response") {
        Some(section) => section,
        None => Section::new(&empty, step.path("response"), step.faults()),
    };
    let is_text = section.choice("format", &[("json", false), ("text", true)]) == Some(true);
    let usual_token = match (usual.is_first, is_text) {
        (true, false) => Some(Place::key("access_token")),
        (true, true) => Place::parse("").ok(),
        (false, _) => None,
    };
    let token = section.place("token").or(usual_token);
    if let Some(place) = token.as_ref().filter(|_| is_text)
        && !place.is_whole_body()
        && !place.is_header()
    {
        let line = section
            .entry("token")
            .map_or(section.line(), |entry| entry.line);
        let why = "format = \"text\" has its token in \"\" (the whole body) or in header:NAME";
        section.wrong(line, "token", why);
    }
    let brings_json_token = token.is_some() && !is_text;
    let expires = expiry(&section, brings_json_token);
    let words = section.table("error").map_or_else(Words::usual, |inside| {
        let words = Words {
            code: inside.place("code"),
            reason: inside.place("reason"),
            message: inside.place("message"),
        };
        inside.finish();
        words
    });
    let mut reads = Reads {
        wanted: None,
        is_text,
        needs_token: token.is_some(),
        token,
        expires,
        lifetime: lifetime(&section),
        base_url: section.place("base_url"),
        base_url_hosts: hosts(&section),
        export: exports(&section),
        ok: section.table("ok").and_then(success),
        words,
        token_type: section
            .place("token_type")
            .unwrap_or_else(|| Place::key("token_type")),
        scope: section
            .place("scope")
            .unwrap_or_else(|| Place::key("scope")),
    };
    if reads.base_url.is_some() && reads.base_url_hosts.is_empty() {
        let line = section
            .entry("base_url")
            .map_or(section.line(), |entry| entry.line);
        let why = "base_url needs base_url_hosts beside it: the hosts that a token may go to";
        section.wrong(line, "base_url_hosts", why);
    }
    section.finish();
    reads.wanted = wanted(&reads);
    reads
}

/// The keys at the top of an answer that its reader looks at.
fn wanted(reads: &Reads) -> Option<Box<[Box<str>]>> {
    if reads.is_text {
        return None;
    }
    let export = reads.export.iter().map(|(_, place)| place);
    let expires = reads
        .expires
        .iter()
        .filter_map(|expires| expires.at.as_ref());
    let mut keys: Vec<Box<str>> = Vec::new();
    for place in export
        .chain(expires)
        .chain(&reads.token)
        .chain(&reads.base_url)
        .chain(reads.ok.as_ref().map(|ok| &ok.at))
        .chain([&reads.token_type, &reads.scope])
    {
        if let Place::Body(pointer) = place {
            let key = pointer.top()?.into();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    Some(keys.into())
}

impl Words {
    /// RFC 6749 §5.2.
    pub(crate) fn usual() -> Self {
        Self {
            code: Some(Place::key("error")),
            reason: None,
            message: Some(Place::key("error_description")),
        }
    }
}

fn expiry(section: &Section<'_>, is_usual: bool) -> Option<Expiry> {
    let Some(inside) = section.table("expires") else {
        return is_usual.then(|| Expiry {
            at: Some(Place::key("expires_in")),
            written: Written::Seconds,
        });
    };
    let at = inside.place("at");
    let written = match inside.text("as") {
        None => Written::Seconds,
        Some((text, line)) => Written::parse(text).unwrap_or_else(|why| {
            inside.wrong(line, "as", why);
            Written::Seconds
        }),
    };
    if at.is_none() && inside.node("at").is_none() && !matches!(written, Written::Jwt) {
        inside.wrong(
            inside.line(),
            "at",
            "missing; only as = \"jwt\" needs no place",
        );
    }
    inside.finish();
    Some(Expiry { at, written })
}

fn lifetime(section: &Section<'_>) -> Option<Lifetime> {
    if let Some(Value::Bool(false)) = section.node("lifetime").map(|node| &node.value) {
        return Some(Lifetime::UntilRejected);
    }
    let seconds = section.seconds("lifetime")?;
    Some(Lifetime::For(Duration::from_secs(seconds)))
}

fn hosts(section: &Section<'_>) -> Vec<Template> {
    let mut hosts = Vec::new();
    for (text, line) in section.texts("base_url_hosts").unwrap_or_default() {
        if text.is_empty() || text.contains(['/', ':', '@', '?', '#']) {
            let why =
                "the name of a host is expected, without scheme and port: \"*.vendor.example\"";
            section.wrong(line, "base_url_hosts", why);
        } else {
            hosts.extend(section.parsed("base_url_hosts", text, line));
        }
    }
    hosts
}

fn exports(section: &Section<'_>) -> Vec<(Box<str>, Place)> {
    let Some(inside) = section.table("export") else {
        return Vec::new();
    };
    let mut exports = Vec::new();
    for entry in inside.entries() {
        let place = match &entry.node.value {
            Value::Text(text) => Place::parse(text),
            _ => Err("a JSON pointer or header:NAME is expected"),
        };
        match place {
            Ok(place) => exports.push((entry.key.as_str().into(), place)),
            Err(why) => inside.wrong(entry.line, &entry.key, why),
        }
    }
    exports
}

fn success(section: Section<'_>) -> Option<Success> {
    let at = section.place("at");
    let equals = section.node("equals");
    for (key, is_missing) in [
        ("at", section.node("at").is_none()),
        ("equals", equals.is_none()),
    ] {
        if is_missing {
            section.wrong(section.line(), key, "missing");
        }
    }
    let or_absent = section.boolean("or_absent").unwrap_or(false);
    if let Some(Value::List(_) | Value::Table(_)) = equals.map(|node| &node.value) {
        section.wrong(
            section.line(),
            "equals",
            "a text, a number, true or false is expected",
        );
    }
    section.finish();
    Some(Success {
        at: at?,
        equals: equals?.to_json(),
        or_absent,
    })
}

fn attach(section: &Section<'_>) -> Attach {
    let query = section.table("query").map_or_else(Vec::new, |inside| {
        let read = |entry: &Entry| match &entry.node.value {
            Value::Text(text) => Some((
                entry.key.as_str().into(),
                inside.parsed(&entry.key, text, entry.node.line)?,
            )),
            _ => {
                inside.wrong(entry.line, &entry.key, "a string is expected");
                None
            }
        };
        inside.entries().iter().filter_map(read).collect()
    });
    let basic = section.table("basic").and_then(|basic| {
        let (user, password) = user_and_password(&basic);
        Some((user?, password?))
    });
    let headers = section
        .table("headers")
        .map(|headers| read_headers(&headers))
        .unwrap_or_default();
    for entry in section.entries() {
        let known = ["headers", "query", "basic"];
        if !known.contains(&entry.key.as_str()) {
            section
                .faults()
                .unknown(entry.line, section.path(&entry.key), &entry.key, &known);
        }
    }
    if headers.is_empty() && query.is_empty() && basic.is_none() {
        section.wrong(
            section.line(),
            "headers",
            "[attach] replaces the default; say how instead",
        );
    }
    Attach {
        headers,
        query,
        basic,
    }
}

fn expired(section: &Section<'_>) -> Expired {
    let status = section.node("status").and_then(|node| {
        let code = |node: &Node| match node.value {
            Value::Integer(code @ 100..=599) => u16::try_from(code).ok(),
            _ => None,
        };
        let codes = match &node.value {
            Value::List(all) => all.iter().map(code).collect(),
            _ => code(node).map(|code| vec![code]),
        };
        if codes.is_none() {
            section.wrong(
                node.line,
                "status",
                "a list of HTTP status codes is expected",
            );
        }
        codes
    });
    let at = section.place("at");
    let any_of = section.node("any_of").and_then(|node| match &node.value {
        Value::List(all) => Some(all.iter().map(Node::to_json).collect::<Vec<_>>()),
        _ => {
            section.wrong(node.line, "any_of", "a list is expected");
            None
        }
    });
    for entry in section.entries() {
        let known = ["status", "at", "any_of"];
        if !known.contains(&entry.key.as_str()) {
            section
                .faults()
                .unknown(entry.line, section.path(&entry.key), &entry.key, &known);
        }
    }
    let body = match (at, any_of) {
        (Some(at), Some(any_of)) => Some((at, any_of)),
        (None, None) => None,
        _ => {
            section.wrong(section.line(), "at", "at and any_of belong together");
            None
        }
    };
    if status.is_none() && body.is_none() {
        section.wrong(
            section.line(),
            "status",
            "a status, or at and any_of, are expected",
        );
    }
    Expired { status, body }
}
