//! How an API request carries the token. Pure functions.

use biped_core::{ApiRequest, Error};
use http::header;

use crate::{
    fill::needed,
    request::basic,
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
