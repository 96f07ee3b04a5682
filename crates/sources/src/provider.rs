//! Another provider's token, which the token manager gets through that provider's own cache, store and
//! flight.

use biped_config::{ConfigTable, ConfigValue, Field, FieldType, ProviderConfig, Value};
use biped_core::{Error, Input, ParamValue, ProviderId, TokenRequest, async_trait};

use crate::{
    platform,
    source::{Asking, Found, Source},
};

pub(crate) const KEY: &str = "provider";

pub(crate) struct OfProvider(Input);

impl OfProvider {
    /// Reads the table that names the provider, and notes what is wrong with it.
    pub(crate) fn from_config(config: &ProviderConfig, table: &ConfigTable) -> Option<Self> {
        platform::check(
            table,
            &[
                Field::new(KEY, FieldType::Text),
                Field::new("scope", FieldType::Scopes),
                Field::new("params", FieldType::Table),
                Field::new("field", FieldType::Text),
            ],
        );
        let name = table.string(KEY)?;
        let (id, mut request) = match config.other_provider(&name) {
            Ok(Some(known)) => known,
            // What is wrong with it is reported there.
            Ok(None) => (ProviderId::new("", "", ""), TokenRequest::new()),
            Err(message) => {
                drop(table.invalid(KEY, message));
                return None;
            }
        };
        if let Some(scopes) = table.texts("scope") {
            request = request.without_scopes().scopes(scopes);
        }
        let params = table.table("params").map(ConfigTable::into_values);
        for (param, value) in params.unwrap_or_default() {
            match parameter(&value) {
                Some(value) => request = request.param(param, value),
                None => {
                    let message = format!(
                        "{param}: expected a string, a whole number, true, false or a list of strings"
                    );
                    drop(table.invalid("params", message));
                }
            }
        }
        let input = Input::new(name, id, request);
        Some(Self(match table.string("field") {
            Some(field) => input.with_field(field),
            None => input,
        }))
    }
}

fn parameter(value: &ConfigValue) -> Option<ParamValue> {
    Some(match &value.raw {
        Value::Text(text) => text.clone().into(),
        Value::Integer(number) => (*number).into(),
        Value::Bool(yes) => (*yes).into(),
        Value::List(_) => value.to_texts()?.into(),
        _ => return None,
    })
}

#[async_trait]
impl Source for OfProvider {
    fn name(&self, _: usize) -> String {
        format!("provider:{}", self.0.provider())
    }

    fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        id.input(key, &self.0)
    }

    fn input(&self) -> Option<&Input> {
        Some(&self.0)
    }

    fn token_type(&self) -> &'static str {
        match self.0.field() {
            Some("id_token") => "id_token",
            Some(_) => "jwt",
            None => "access_token",
        }
    }

    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error> {
        cx.fetch.keep_refusal();
        cx.fetch.input(&self.0).map(Found::from)
    }
}
