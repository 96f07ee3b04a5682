//! Writes an entry of kind `oauth2`, for vendors that need no file.

use std::fmt::Write as _;

use crate::{
    answer::Place,
    body::Encoding,
    learned::{Learned, Written},
    refused::Refused,
    request::Auth,
    template::Template,
    toml::quoted,
    whole::Whole,
};

/// Whether the exchange is that of RFC 6749, as the kind `oauth2` makes it.
pub(crate) fn is_standard(whole: &Whole<'_>) -> bool {
    let request = whole.request;
    let answer = whole.answer;
    let is_authenticated = match &request.auth {
        Auth::Body => true,
        Auth::Basic(user, password) => {
            *user == Template::hole("client_id") && *password == Template::hole("client_secret")
        }
        Auth::None => false,
    };
    let sends = request.encoding == Encoding::Form
        && request.method == "POST"
        && request.grant_type.as_deref() == Some("client_credentials")
        && request.url.is_fixed()
        && request.separator == " "
        && request.fields.is_empty()
        && request.query.is_empty()
        && request.headers.is_empty()
        && !request.certificate;
    let is_token = matches!(&answer.token, Place::Body(path) if path.pointer() == "/access_token");
    let is_bearer = answer.token_type.as_ref().is_some_and(|(path, kind)| {
        path.pointer() == "/token_type" && kind.eq_ignore_ascii_case("bearer")
    });
    let expires = answer
        .expires
        .as_ref()
        .is_none_or(|expires| expires.path.pointer() == "/expires_in" && expires.form == "seconds");
    is_authenticated
        && sends
        && is_token
        && is_bearer
        && expires
        && answer.base_url.is_none()
        && whole.ok.is_none()
        && whole.refused.is_none_or(Refused::is_usual)
        && whole
            .api
            .is_none_or(|api| api.is_usual() && api.base.as_ref().is_none_or(Template::is_fixed))
}

pub(crate) fn write(whole: &Whole<'_>, mut notes: Vec<String>) -> Learned {
    let name = whole.material.name;
    let request = whole.request;
    let method = match request.auth {
        Auth::Basic(..) => "client_secret_basic",
        _ => "client_secret_post",
    };
    let variable = name
        .to_uppercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let start = if variable.starts_with(|c: char| c.is_ascii_digit()) {
        "_"
    } else {
        ""
    };
    let mut out = format!(
        "# This vendor follows RFC 6749: put this table into biped.toml; no vendor file is needed.\n\
         [providers.{name}]\nkind = \"oauth2\"\ntoken_endpoint = {}\nclient_authentication = \"{method}\"\n\
         client_id = \"…\"\nclient_secret = \"env:{start}{variable}_CLIENT_SECRET\"\n",
        quoted(&request.url.written()),
    );
    if !request.scopes.is_empty() {
        let _ = writeln!(out, "scope = {}", quoted(&request.scopes.join(" ")));
    }
    if let Some(base) = whole.api.and_then(|api| api.base.as_ref()) {
        let _ = writeln!(out, "api_base_url = {}", quoted(&base.written()));
    }
    notes.push(
        "the exchange is that of RFC 6749; this is an entry of kind oauth2 for biped.toml, not a vendor file"
            .into(),
    );
    if method == "client_secret_basic" {
        notes.push(
            "curl sends the credentials in Basic unencoded; this kind encodes them as RFC 6749 says, which \
             differs only for special characters"
                .into(),
        );
    }
    Learned::new(out, Written::Entry, notes)
}
