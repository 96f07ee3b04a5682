//! [`Kind`]: what `kind = "…"` names, the keys it takes, and what becomes of them.

use std::{fmt, sync::Arc};

use super::{Field, FieldType, Problem, ProviderConfig, field::COMMON};
use crate::{Error, ParamValue, Provider, TokenRequest};

/// A kind of provider: the value of `kind = "…"` in the configuration, the keys it takes, and what
/// makes a [`Provider`] of them.
///
/// Built-in kinds and an application's own go through this same door.
///
/// ```
/// # use std::sync::Arc;
/// # use biped_core::{async_trait, Error, FetchContext, Provider, Token, TokenRequest};
/// use biped_core::{Field, FieldType, Kind, ProviderConfig, ProviderId, SecretRef};
/// # #[derive(Debug)] struct Acme { id: ProviderId, key: SecretRef }
/// # #[async_trait] impl Provider for Acme {
/// #     fn id(&self) -> &ProviderId { &self.id }
/// #     async fn fetch(&self, _: &TokenRequest, _: &FetchContext<'_>) -> Result<Token, Error> {
/// #         Err(Error::internal("an example")) }
/// # }
///
/// fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
///     let key = config.secret("api_key").ok_or_else(|| config.missing("api_key"))?;
///     let region = config.string("region").unwrap_or_else(|| "eu".into());
///     let endpoint = format!("https://{region}.acme.example/token");
///     // Acme has no client identifier: the key tells clients apart.
///     let id = ProviderId::new("acme", endpoint, "").named(config.name()).credential(&key);
///     Ok(Arc::new(Acme { id, key }))
/// }
///
/// let kind = Kind::new("acme", from_config)
///     .about("Acme's token service")
///     .field(Field::new("api_key", FieldType::Secret).required().about("The key Acme gave out."))
///     .field(Field::new("region", FieldType::Text).about("`eu` (default) or `us`."));
/// ```
#[derive(Clone)]
pub struct Kind {
    name: Box<str>,
    about: Box<str>,
    fields: Vec<Field>,
    open_params: bool,
    build: Arc<Build>,
}

type Build = dyn Fn(&ProviderConfig) -> Result<Arc<dyn Provider>, Error> + Send + Sync;

impl Kind {
    /// A kind of this name, made by `build`.
    ///
    /// Without [`field`](Self::field)s, the keys that `build` reads are the keys there are; with
    /// them the configuration is checked before `build` sees it, and a value that is not of its
    /// type reads as if it were not there. `build` runs even then, so that what it finds is told
    /// together with the rest.
    pub fn new(
        name: impl Into<Box<str>>,
        build: impl Fn(&ProviderConfig) -> Result<Arc<dyn Provider>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            about: Box::default(),
            fields: Vec::new(),
            open_params: false,
            build: Arc::new(build),
        }
    }

    /// Says in a few words what vendor or standard it is.
    #[must_use]
    pub fn about(mut self, about: impl Into<Box<str>>) -> Self {
        self.about = about.into();
        self
    }

    /// Whether the kind declares its keys; else the keys that it reads are the keys there are.
    #[must_use]
    pub fn declares_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// Declares a key.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Lets requests carry parameters that no field declares; they are texts.
    #[must_use]
    pub fn with_open_params(mut self) -> Self {
        self.open_params = true;
        self
    }

    /// The value of `kind = "…"`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What vendor or standard it is.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.about
    }

    /// The keys it takes: its own first, then those that every kind takes.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let is_own = |common: &&Field| !self.fields.iter().any(|own| own.name == common.name);
        self.fields.iter().chain(COMMON.iter().filter(is_own))
    }

    /// Makes a provider.
    ///
    /// # Errors
    /// Every problem of this configuration, not only the first.
    pub fn build(&self, config: &ProviderConfig) -> Result<Arc<dyn Provider>, Vec<Problem>> {
        self.check(config);
        let built = (self.build)(config);
        if built.is_ok() && self.fields.is_empty() {
            config.report_unread(self.fields().map(Field::name));
        }
        match built {
            Ok(provider) if !config.has_problems() => Ok(provider),
            Err(error) if !config.has_problems() => Err(vec![Problem {
                message: error.to_string(),
                ..config.problem_at(None)
            }]),
            _ => Err(config.take_problems()),
        }
    }

    /// Checks names and types of all keys by the declared fields.
    fn check(&self, config: &ProviderConfig) {
        for field in self.fields() {
            match config.values.get(field.name) {
                Some(value) => config.check(field, value),
                None if field.required => drop(config.missing(field.name)),
                None => {}
            }
        }
        if !self.fields.is_empty() {
            let known: Vec<_> = self.fields().map(Field::name).collect();
            for key in config
                .values
                .keys()
                .filter(|key| !known.contains(&key.as_str()))
            {
                config.unknown(key, known.iter().copied());
            }
        }
    }

    /// The token request that the configuration describes: its scopes, and the fields that are
    /// [parameters of a request](Field::per_request).
    #[must_use]
    pub fn request(&self, config: &ProviderConfig) -> TokenRequest {
        let mut request = TokenRequest::new().scopes(config.texts("scope").unwrap_or_default());
        for field in self.fields.iter().filter(|field| field.per_request) {
            let value = match field.ty {
                FieldType::Integer => config.integer(field.name).map(ParamValue::from),
                FieldType::Bool => config.boolean(field.name).map(ParamValue::from),
                FieldType::Texts => config.texts(field.name).map(ParamValue::from),
                _ => config.string(field.name).map(ParamValue::from),
            };
            if let Some(value) = value {
                request = request.param(field.name, value);
            }
        }
        request
    }

    /// Gives a parameter that came as text (`--param project_id=42`) its type.
    ///
    /// # Errors
    /// [`Configuration`](crate::ErrorKind::Configuration) for a parameter that this kind doesn't
    /// have, or a value that isn't of its type.
    pub fn param(&self, name: &str, text: &str) -> Result<ParamValue, Error> {
        let declared = || self.fields.iter().filter(|field| field.per_request);
        let Some(field) = declared().find(|field| field.name == name) else {
            if self.open_params {
                return Ok(text.into());
            }
            let known: Vec<_> = declared().map(Field::name).collect();
            let remedy = if known.is_empty() {
                format!("providers of kind {} have none", self.name)
            } else {
                format!("known are {}", known.join(", "))
            };
            return Err(
                Error::configuration(format!("unknown parameter {name}")).with_remedy(remedy)
            );
        };
        let typed = match field.ty {
            FieldType::Integer => text.trim().parse::<i64>().ok().map(ParamValue::from),
            FieldType::Bool => text.trim().parse::<bool>().ok().map(ParamValue::from),
            FieldType::Texts => Some(
                text.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
                    .into(),
            ),
            FieldType::Choice(choices) => choices.contains(&text).then(|| text.into()),
            _ => Some(text.into()),
        };
        typed.ok_or_else(|| {
            Error::configuration(format!(
                "parameter {name}: {} is expected",
                field.ty.expected()
            ))
        })
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind")
            .field("name", &self.name)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
