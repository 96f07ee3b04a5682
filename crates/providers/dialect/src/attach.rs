//! How an API request carries the token, and which API responses reject it. Pure functions.

use biped_core::{ApiRequest, ApiResponse, Error, PEEK_LIMIT, Verdict};
use http::header;
use serde_json::Value;

use crate::{
    answer_path::{AnswerPath, alike},
    fill::needed,
    request::basic,
    skim::Body,
    step::Header,
    template::{Template, Values},
};

/// How an API request carries the token.
#[derive(Clone, Debug)]
pub(crate) struct Attach {
    pub(crate) headers: Vec<Header>,
    pub(crate) query: Vec<(Box<str>, Template)>,
    pub(crate) basic: Option<(Template, Template)>,
}

/// An API response that rejects the token: all conditions must hold.
#[derive(Clone, Debug)]
pub(crate) struct Expired {
    pub(crate) status: Option<Vec<u16>>,
    pub(crate) body: Option<(AnswerPath, Vec<Value>)>,
}

impl Attach {
    /// Puts the token on a request.
    pub(crate) fn apply(
        &self,
        values: &Values<'_>,
        request: &mut ApiRequest<'_>,
    ) -> Result<(), Error> {
        if let Some((user, password)) = &self.basic {
            let value = basic(&needed(user, values)?, &needed(password, values)?)?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        for header in &self.headers {
            header.put(values, request.headers_mut())?;
        }
        for (name, template) in &self.query {
            if let Some(text) = template.render(values) {
                request.set_query(name, &text)?;
            }
        }
        Ok(())
    }

    /// All templates.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        let headers = self.headers.iter().flat_map(Header::templates);
        let query = self.query.iter().map(|(_, template)| template);
        let basic = self
            .basic
            .iter()
            .flat_map(|(user, password)| [user, password]);
        headers.chain(query).chain(basic)
    }
}

/// Judges an API response by the entries of `[expired]`.
pub(crate) fn judge(entries: &[Expired], response: &ApiResponse<'_>) -> Verdict {
    let mut needs_body = false;
    for entry in entries {
        let status = response.status().as_u16();
        if entry
            .status
            .as_ref()
            .is_some_and(|all| !all.contains(&status))
        {
            continue;
        }
        match (&entry.body, response.body()) {
            (None, _) => return Verdict::Rejected,
            (Some((place, _)), None) if !place.is_header() => needs_body = true,
            (Some((place, any_of)), body) => {
                let body = body.and_then(|body| serde_json::from_slice(body).ok());
                let body = Body::Whole(body.unwrap_or_default());
                let found = place.find(&body, response.headers());
                if found.is_some_and(|found| any_of.iter().any(|value| alike(&found, value))) {
                    return Verdict::Rejected;
                }
            }
        }
    }
    if needs_body {
        Verdict::NeedsBody { limit: PEEK_LIMIT }
    } else {
        Verdict::Accepted
    }
}
