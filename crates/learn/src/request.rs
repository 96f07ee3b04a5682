//! From a request to what a vendor file says about it.

use crate::{
    address::address as address_of,
    body::{self, Encoding, Field, Fields},
    curl::{Data, Sent},
    header::{self, Headed},
    learned::Refusal,
    naming::Params,
    placeholder::{self, Part},
    template::Template,
    value::{assertion, value as value_of},
};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Auth {
    Body,
    Basic(Template, Template),
    None,
}

/// A token request, as a vendor file describes it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) url: Template,
    pub(crate) method: String,
    pub(crate) encoding: Encoding,
    pub(crate) auth: Auth,
    pub(crate) grant_type: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) separator: &'static str,
    pub(crate) fields: Fields,
    pub(crate) query: Fields,
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) body: Option<Template>,
    pub(crate) certificate: bool,
    pub(crate) params: Params,
}

pub(crate) fn describe(sent: &Sent, notes: &mut Vec<String>) -> Result<Request, Refusal> {
    let kind = content_type(sent);
    let data: Vec<&Data> = sent.data.iter().collect();
    let method = match (&sent.method, sent.get, data.is_empty()) {
        (Some(method), ..) => method.clone(),
        (None, true, _) | (None, _, true) => "GET".into(),
        _ => "POST".into(),
    };
    if !["GET", "POST", "PUT", "DELETE"].contains(&&*method) {
        return Err(Refusal::beyond(format!(
            "a vendor file can't express the method {method}; it has GET, POST, PUT and DELETE"
        )));
    }
    let (address, query) = match sent.url.split_once('?') {
        Some((address, query)) => (address, query),
        None => (sent.url.as_str(), ""),
    };
    let query = query.split('#').next().unwrap_or_default();
    let mut pairs = body::pairs(query);
    pairs.extend(sent.query.iter().flat_map(body::data_pairs));
    let mut request = Request {
        url: Template::default(),
        method,
        encoding: Encoding::None,
        auth: Auth::None,
        grant_type: None,
        scopes: Vec::new(),
        separator: " ",
        fields: Vec::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: None,
        certificate: sent.certificate,
        params: Params::default(),
    };
    request.url = address_of(&mut request.params, address, notes)?;
    let in_query = |pairs: Vec<(String, String)>| -> Vec<_> {
        let value = |text: String| serde_json::Value::String(text);
        pairs
            .into_iter()
            .map(|(name, text)| (name, value(text)))
            .collect()
    };
    let (encoding, fields, query) = if sent.get {
        pairs.extend(data.iter().flat_map(|data| body::data_pairs(data)));
        (Encoding::Query, in_query(pairs), Vec::new())
    } else {
        match body::read(&sent.data, &kind, sent.json, notes)? {
            body::Body::Empty if pairs.is_empty() => (Encoding::None, Vec::new(), Vec::new()),
            body::Body::Empty => (Encoding::Query, in_query(pairs), Vec::new()),
            body::Body::Fields(encoding, fields) => (encoding, fields, in_query(pairs)),
            body::Body::Text(text) => {
                let value = value_of(&mut request.params, "body", &text, notes)?;
                request.body = Some(value);
                (Encoding::Text, Vec::new(), in_query(pairs))
            }
        }
    };
    request.encoding = encoding;
    for (name, value) in fields {
        request.field(&name, &value, notes)?;
    }
    for (name, value) in query {
        let field = body::field(&mut request.params, &name, &value, notes)?;
        request.query.push((name, field));
    }
    let is_grant = request.grant_type.as_deref() == Some("client_credentials");
    let mut heads = Vec::new();
    if let Some(user) = &sent.user {
        heads.push(("", header::basic(&mut request.params, is_grant, user)));
    }
    for (name, value) in &sent.headers {
        let by = (encoding, is_grant);
        let read = header::header(&mut request.params, by, (name, value), notes)?;
        heads.push((name, read));
    }
    for (name, head) in heads {
        match head {
            Headed::Nothing => {}
            Headed::Header(value) => request.headers.push((name.to_owned(), value)),
            Headed::Basic(user, password) => request.auth = Auth::Basic(user, password),
        }
    }
    request.settle_credentials();
    if sent.certificate {
        notes.push("--cert: the vendor wants a client certificate; set certificate and certificate_key in biped.toml".into());
    }
    if sent.insecure {
        notes.push(
            "-k switches the check of the server's certificate off; Biped always checks it".into(),
        );
    }
    Ok(request)
}

fn content_type(sent: &Sent) -> String {
    let mut headers = sent.headers.iter();
    let found = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    found.map_or_else(String::new, |(_, value)| value.to_ascii_lowercase())
}

impl Request {
    fn field(
        &mut self,
        name: &str,
        value: &serde_json::Value,
        notes: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let text = value.as_str();
        if name == "grant_type"
            && let Some(text) = text
        {
            self.grant_type = Some(grant_type(text)?);
            return Ok(());
        }
        if name == "scope"
            && let Some(text) = text
        {
            let parts = placeholder::parts(text);
            let is_one_hole = matches!(&*parts, [Part::Hole(_)]);
            if is_one_hole || placeholder::is_word_for_value(text) {
                return Ok(());
            }
            if matches!(&*parts, [Part::Text(_)]) {
                let is_listed = text.contains(',') && !text.contains(' ');
                self.separator = if is_listed { "," } else { " " };
                let scopes = text.split([' ', ',']).filter(|scope| !scope.is_empty());
                self.scopes = match is_listed {
                    true => scopes.map(str::to_owned).collect(),
                    false => text.split_whitespace().map(str::to_owned).collect(),
                };
                return Ok(());
            }
        }
        let field = body::field(&mut self.params, name, value, notes)?;
        self.fields.push((name.to_owned(), field));
        Ok(())
    }

    /// `client_id` and `client_secret` as RFC 6749 names them.
    fn settle_credentials(&mut self) {
        let is = |(field, value): &(String, Field), name: &str| {
            field == name && matches!(value, Field::Text(text) if *text == Template::hole(name))
        };
        let (id, secret) = ("client_id", "client_secret");
        let has = |name| self.fields.iter().any(|field| is(field, name));
        if self.auth == Auth::None && has(id) && has(secret) {
            self.auth = Auth::Body;
            self.fields
                .retain(|field| !is(field, id) && !is(field, secret));
        }
    }
}

fn grant_type(text: &str) -> Result<String, Refusal> {
    let ends = ["authorization_code", "implicit", "device_code"];
    if ends.iter().any(|end| text.ends_with(end)) {
        return Err(Refusal::new(
            "this grant needs a person who signs in",
            "Biped gets tokens without a person; look for the vendor's client credentials",
        ));
    }
    if text == "refresh_token" {
        return Err(Refusal::beyond(
            "a refresh token that changes with each use is a secret that a vendor file can't keep",
        ));
    }
    if text.ends_with("jwt-bearer") {
        return Err(assertion());
    }
    match &*placeholder::parts(text) {
        [Part::Text(text)] => Ok(text.clone()),
        _ => Err(Refusal::new(
            "grant_type is a placeholder",
            "write the vendor's grant_type in its place",
        )),
    }
}
