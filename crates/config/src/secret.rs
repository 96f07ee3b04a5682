//! [`SecretScheme`]: references such as `acme:…`, which an application resolves.

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc};

use biped_core::{Error, HttpClient, SecretRef, SecretSource};

use crate::late::{Connected, LateHttp};

/// A scheme of references to secrets. The scheme `acme` makes every secret that begins with `acme:`
/// in a configuration a reference, which the application resolves. `inline:acme:…` still stands for
/// the text `acme:…`. A reference in `[store]` or `[http]` is an error, because these are read before
/// anything may be sent.
///
/// The page of [`SecretSource`] has an example of a source that sends requests.
///
/// ```
/// # use std::sync::Arc;
/// # use biped_core::{async_trait, Error, SecretSource, SecretString, SourceContext};
/// use biped_config::SecretScheme;
/// # #[derive(Debug)] struct Acme(String);
/// # #[async_trait] impl SecretSource for Acme {
/// #     fn reference(&self) -> String { format!("acme:{}", self.0) }
/// #     async fn read(&self, _: &SourceContext<'_>) -> Result<SecretString, Error> {
/// #         Err(Error::internal("an example")) }
/// # }
///
/// // The function gets "kv/shop" for "acme:kv/shop".
/// let scheme = SecretScheme::new("acme", |reference: &str| {
///     Ok(Arc::new(Acme(reference.to_owned())) as Arc<dyn SecretSource>)
/// });
/// ```
#[derive(Clone)]
pub struct SecretScheme {
    name: Box<str>,
    open: Arc<Open>,
    open_table: Option<Arc<OpenTable>>,
    extension: Option<Arc<dyn Any + Send + Sync>>,
}

type OpenTable =
    dyn Fn(&BTreeMap<String, String>) -> Result<Arc<dyn SecretSource>, Error> + Send + Sync;

type Open = dyn Fn(&str) -> Result<Arc<dyn SecretSource>, Error> + Send + Sync;

impl SecretScheme {
    /// Creates a scheme of this name. `open` gets the text after the colon. It must not read the secret
    /// yet, and fails if the text is not a valid reference.
    pub fn new(
        name: impl Into<Box<str>>,
        open: impl Fn(&str) -> Result<Arc<dyn SecretSource>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            open: Arc::new(open),
            open_table: None,
            extension: None,
        }
    }

    /// Takes a table of texts under the scheme's name as well: `{ acme = { … } }`. `open` must not read
    /// the secret yet, and fails if the table is not a valid reference.
    #[must_use]
    pub fn with_table(
        mut self,
        open: impl Fn(&BTreeMap<String, String>) -> Result<Arc<dyn SecretSource>, Error>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.open_table = Some(Arc::new(open));
        self
    }

    /// Attaches what is behind the scheme, such as a vault. Keys that are not secrets use it: a key that
    /// signs in the vault, for example. [`Origin::extension`](crate::Origin::extension) finds it.
    #[must_use]
    pub fn with_extension(mut self, extension: impl Any + Send + Sync) -> Self {
        self.extension = Some(Arc::new(extension));
        self
    }

    /// Returns the name: the text before the colon.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the source if the text begins with the scheme's name.
    fn source(&self, text: &str) -> Option<Result<Arc<dyn SecretSource>, Error>> {
        let rest = text.strip_prefix(&*self.name)?.strip_prefix(':')?;
        Some((self.open)(rest))
    }
}

impl fmt::Debug for SecretScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretScheme").field(&self.name).finish()
    }
}

/// The schemes that an application registers, and what sends requests for them.
#[derive(Clone, Debug, Default)]
pub struct SecretSchemes {
    all: Arc<[SecretScheme]>,
    http: LateHttp,
    /// Why no reference may be used.
    refusal: Option<&'static str>,
}

impl SecretSchemes {
    /// Returns whether no scheme is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Sets what sends requests. Only the first call counts.
    pub fn connect(&self, http: Arc<dyn HttpClient>) {
        self.http.connect(http);
    }

    /// Uses this client, which is connected elsewhere.
    #[must_use]
    pub fn with_http(mut self, http: LateHttp) -> Self {
        self.http = http;
        self
    }

    /// Returns the same schemes, each reference to which is an error that says `why`.
    #[must_use]
    pub fn refused(&self, why: &'static str) -> Self {
        Self {
            refusal: Some(why),
            ..self.clone()
        }
    }

    /// Returns the reference if the scheme of this name takes tables.
    pub(crate) fn table(
        &self,
        name: &str,
        parts: &BTreeMap<String, String>,
    ) -> Option<Result<SecretRef, Error>> {
        let scheme = self.all.iter().find(|scheme| scheme.name() == name)?;
        let open = scheme.open_table.as_ref()?;
        Some(self.opened(scheme, open(parts)))
    }

    /// Returns what is attached to the scheme of this name.
    pub(crate) fn extension<T: Any>(&self, name: &str) -> Option<&T> {
        let scheme = self.all.iter().find(|scheme| scheme.name() == name)?;
        scheme.extension.as_deref()?.downcast_ref()
    }

    /// Returns what sends requests for the scheme of this name.
    pub(crate) fn http(&self, name: &str) -> Option<&LateHttp> {
        let mut all = self.all.iter();
        all.any(|scheme| scheme.name() == name)
            .then_some(&self.http)
    }

    /// Returns the reference if the text begins with the name of a scheme.
    pub(crate) fn reference(&self, text: &str) -> Option<Result<SecretRef, Error>> {
        let mut all = self.all.iter();
        all.find_map(|scheme| Some(self.opened(scheme, scheme.source(text)?)))
    }

    fn opened(
        &self,
        scheme: &SecretScheme,
        source: Result<Arc<dyn SecretSource>, Error>,
    ) -> Result<SecretRef, Error> {
        if let Some(why) = self.refusal {
            let name = scheme.name();
            return Err(Error::configuration(format!("{name}: {why}")));
        }
        let http = self.http.clone();
        let connect = |source| Arc::new(Connected { source, http });
        Ok(SecretRef::from_source(connect(source?)))
    }
}

impl FromIterator<SecretScheme> for SecretSchemes {
    fn from_iter<I: IntoIterator<Item = SecretScheme>>(schemes: I) -> Self {
        Self {
            all: schemes.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// Two lists are equal if they are the same list; functions can't be compared.
impl PartialEq for SecretSchemes {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.all, &other.all) || (self.is_empty() && other.is_empty())
    }
}

impl Eq for SecretSchemes {}
