//! Which names are those of credentials, and what parameters are called.

/// A parameter of the vendor file.
#[derive(Clone, Debug)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) secret: bool,
    pub(crate) says: String,
    /// Whether the request sends it as a number.
    pub(crate) number: bool,
}

/// The parameters, in the order in which they appear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params {
    pub(crate) all: Vec<Param>,
    /// A customer's name in hosts, which the parameter `account` replaces.
    pub(crate) tenant: Option<String>,
}

impl Params {
    /// Adds a parameter unless it is there, and returns its name.
    pub(crate) fn add(&mut self, name: &str, secret: bool, says: &str) -> String {
        match self.all.iter_mut().find(|param| param.name == name) {
            Some(known) => known.secret |= secret,
            None => self.all.push(Param {
                name: name.to_owned(),
                secret,
                says: says.to_owned(),
                number: false,
            }),
        }
        name.to_owned()
    }

    pub(crate) fn mark_number(&mut self, name: &str) {
        if let Some(param) = self.all.iter_mut().find(|param| param.name == name) {
            param.number = true;
        }
    }

    /// The value that examples give to a parameter.
    pub(crate) fn sample(&self, name: &str) -> String {
        let param = self.all.iter().find(|param| param.name == name);
        if param.is_some_and(|param| param.number) {
            return "7".into();
        }
        match name {
            "token" => "t-1".into(),
            "uuid" => "00000000-0000-4000-8000-000000000000".into(),
            "host" => "host.example".into(),
            name => format!("a-{}", name.replace('_', "-")),
        }
    }
}

/// The words of a name in any spelling: `clientId`, `client-id`, `CLIENT_ID`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let is_cut = !c.is_alphanumeric() || (c.is_uppercase() && was_lower);
        if is_cut && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A name without its spelling: `clientid`.
pub(crate) fn letters(name: &str) -> String {
    words(name).concat()
}

/// Whether a name is that of a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let all = words(name);
    let letters = all.concat();
    let last = all.last().map(String::as_str).unwrap_or_default();
    let lasts = [
        "secret",
        "password",
        "passwd",
        "pwd",
        "pass",
        "passphrase",
        "token",
        "key",
        "pin",
        "credential",
        "credentials",
        "apikey",
        "secretkey",
        "accesskey",
        "authkey",
        "jwt",
    ];
    let inside = ["secret", "password", "apikey", "privatekey", "passphrase"];
    let is_id = ["id", "name", "type"].contains(&last);
    lasts.contains(&last) || !is_id && inside.iter().any(|word| letters.contains(word))
}

/// Whether a name is that of a value that each customer has their own of.
pub(crate) fn is_identity(name: &str) -> bool {
    let all = words(name);
    let last = all.last().map(String::as_str).unwrap_or_default();
    let lasts = [
        "id",
        "user",
        "username",
        "login",
        "email",
        "account",
        "identifier",
        "tenant",
        "company",
        "org",
        "organization",
        "organisation",
        "subdomain",
        "site",
        "guid",
        "uuid",
        "customer",
        "merchant",
        "clientid",
        "userid",
        "accountid",
        "tenantid",
        "appid",
        "keyid",
        "workspace",
        "username",
    ];
    let is_name = last == "name"
        && all
            .iter()
            .any(|word| ["user", "account", "login", "client"].contains(&word.as_str()));
    lasts.contains(&last) || is_name
}

/// The name of a parameter, from the name of a field or the text of a placeholder.
pub(crate) fn param(name: &str) -> String {
    let mut all = words(name);
    let noise = [
        "your", "my", "the", "insert", "enter", "replace", "here", "with", "a", "x",
    ];
    if all.iter().any(|word| !noise.contains(&word.as_str())) {
        all.retain(|word| !noise.contains(&word.as_str()));
    }
    let joined = match &*all.concat() {
        "clientid" => "client_id".into(),
        "clientsecret" => "client_secret".into(),
        "userid" => "user_id".into(),
        "apikey" => "api_key".into(),
        _ => all.join("_"),
    };
    let reserved = ["scope", "url", "token", "uuid", "now"];
    let is_name = joined.starts_with(|c: char| c.is_ascii_alphabetic());
    let ascii: String = joined
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    match is_name && !ascii.is_empty() && ascii.len() <= 60 {
        false => "value".into(),
        true if reserved.contains(&&*ascii) => format!("api_{ascii}"),
        true => ascii,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_spelling() {
        for name in [
            "clientId",
            "client_id",
            "Client-ID",
            "CLIENT_ID",
            "YOUR_CLIENT_ID",
        ] {
            assert_eq!(param(name), "client_id", "{name}");
        }
        assert!(is_secret("secretKey") && is_secret("X-API-Key") && is_secret("clientSecret"));
        assert!(!is_secret("keyId") && !is_secret("token_type") && is_identity("keyId"));
    }
}
