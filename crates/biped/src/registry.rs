//! The kinds of provider and store, the sections, and the schemes of secrets that a configuration may
//! use, built in or registered by an application.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use biped_config::{
    Field, FieldType, LateHttp, Origin, Problem, ProviderKind, SecretScheme, SecretSchemes,
    Section, StoreKind, nearest,
};
use biped_core::HttpClient;

use self::vault::Vault;
use crate::config::{engine, http};

/// A built-in kind, which needs the feature of its name.
struct BuiltIn<K: 'static> {
    name: &'static str,
    /// `None` if the feature is not enabled.
    kind: Option<fn() -> K>,
    /// The keys that a table may hold even if the feature is not enabled.
    keys: &'static [Field],
}

macro_rules! built_in {
    ($($name:literal: $kind:path $(, $key:literal: $ty:ident)*;)*) => {
        &[$(BuiltIn {
            name: $name,
            #[cfg(feature = $name)]
            kind: Some($kind),
            #[cfg(not(feature = $name))]
            kind: None,
            keys: &[$(Field::new($key, FieldType::$ty).about(concat!(
                "For kind = \"", $name, "\", which needs biped's feature ", $name, "."
            ))),*],
        }),*]
    };
}

const PROVIDERS: &[BuiltIn<ProviderKind>] = built_in! {
    "contentsquare": biped_contentsquare::kind;
    "envelope": biped_envelope::kind;
    "oauth2": biped_oauth2::kind;
    "platform": biped_platform::kind;
    "dialect": biped_dialect::kind;
};

/// The keys are listed here as well, so that a table is valid with and without a feature.
const STORES: &[BuiltIn<StoreKind>] = built_in! {
    "file": biped_file::kind, "path": Text;
    "postgres": biped_postgres::kind, "url": Secret, "table": Text, "create": Bool, "pooler": Bool,
        "ca": Secret;
    "redis": biped_redis::kind, "url": Secret, "prefix": Text, "ca": Secret,
        "sentinel": Text, "sentinel_user": Text, "sentinel_password": Secret;
};

/// What `[store]` is for.
pub(crate) const STORE_ABOUT: &str = "Where tokens are kept beyond the process.";

/// The keys of `[store]` beside those of the kinds.
const STORE_FIELDS: &[Field] = &[
    Field::new("kind", FieldType::Text)
        .about("The kind of store. Default: memory, which keeps tokens in the process only."),
    Field::new("seal", FieldType::Secret).about(
        "Encrypts what is stored: a key of 32 bytes, in base64 or as 64 hexadecimal digits, or a \
         reference to it; or a list, of which the first key writes and all read. Without it, \
         redis and postgres keep no tokens of inline secrets.",
    ),
];

/// The kind for no store: tokens stay in the process.
pub(crate) const MEMORY: &str = "memory";

/// Names that a scheme of secrets can't have.
const RESERVED: [&str; 7] = ["env", "file", "cmd", "inline", "http", "https", "urn"];

/// What a configuration may use.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    providers: BTreeMap<String, ProviderKind>,
    stores: BTreeMap<String, StoreKind>,
    sections: Vec<Section>,
    schemes: Vec<SecretScheme>,
    /// The server of the built-in scheme.
    vault: Vault,
    /// What sends requests for the schemes.
    scheme_http: LateHttp,
    problems: Vec<Problem>,
}

impl Registry {
    /// The built-in kinds whose features are enabled, and the built-in sections.
    pub(crate) fn built_in() -> Self {
        let providers = PROVIDERS.iter().filter_map(|row| Some((row.kind?)()));
        let stores = STORES.iter().filter_map(|row| Some((row.kind?)()));
        Self {
            providers: providers.map(|kind| (kind.name().into(), kind)).collect(),
            stores: stores.map(|kind| (kind.name().into(), kind)).collect(),
            sections: [http::section(), engine::section()]
                .into_iter()
                .chain(vault::section())
                .collect(),
            schemes: Vec::new(),
            vault: Vault::new(),
            scheme_http: LateHttp::default(),
            problems: Vec::new(),
        }
    }

    /// Adds a kind of provider. It replaces one with the same name.
    pub(crate) fn add_provider(&mut self, kind: ProviderKind) {
        self.providers.insert(kind.name().to_owned(), kind);
    }

    /// Adds a kind of store. It replaces one with the same name.
    pub(crate) fn add_store(&mut self, kind: StoreKind) {
        if kind.name() == MEMORY {
            let why = "memory is not a store; register this one under another name";
            return self.refuse("store.kind".into(), why.into());
        }
        self.stores.remove(kind.name());
        for field in kind.fields() {
            let known = self
                .store_fields()
                .find(|known| known.name() == field.name());
            if known.is_some_and(|known| known.ty() != field.ty()) {
                let name = kind.name();
                let why = format!("the kind of store {name} declares another type than others do");
                self.refuse(format!("store.{}", field.name()), why);
            }
        }
        self.stores.insert(kind.name().to_owned(), kind);
    }

    pub(crate) fn add_section(&mut self, section: Section) {
        let is_taken = self.section_names().any(|name| name == section.name());
        if is_taken || section.name().contains("__") {
            let why = "there is already a section of this name; register it under another name";
            return self.refuse(section.name().to_owned(), why.into());
        }
        self.sections.push(section);
    }

    pub(crate) fn add_scheme(&mut self, scheme: SecretScheme) {
        let name = scheme.name();
        let is_taken = self.schemes.iter().any(|known| known.name() == name);
        // As RFC 3986 §3.1 has it.
        let is_word =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte);
        let is_scheme = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(is_word)
            && !RESERVED.contains(&name);
        if !is_scheme || is_taken {
            let why = match is_taken {
                true => "there is already a scheme of this name; register it under another name"
                    .to_owned(),
                false => format!(
                    "expected the name of a scheme of secrets: a lower-case letter, then lower-case \
                     letters, digits, +, - and ., and none of {}",
                    RESERVED.join(", ")
                ),
            };
            return self.refuse(format!("{name}:"), why);
        }
        self.schemes.push(scheme);
    }

    fn refuse(&mut self, key: String, message: String) {
        let origin = Origin::Builder;
        self.problems.push(Problem {
            origin,
            key,
            message,
        });
    }

    /// The problems of what an application registered.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub(crate) fn provider(&self, name: &str) -> Option<&ProviderKind> {
        self.providers.get(name)
    }

    pub(crate) fn providers(&self) -> impl Iterator<Item = &ProviderKind> {
        self.providers.values()
    }

    pub(crate) fn store(&self, name: &str) -> Option<&StoreKind> {
        self.stores.get(name)
    }

    pub(crate) fn stores(&self) -> impl Iterator<Item = &StoreKind> {
        self.stores.values()
    }

    /// The names of the kinds of store that a configuration can choose.
    pub(crate) fn store_names(&self) -> impl Iterator<Item = &str> {
        [MEMORY]
            .into_iter()
            .chain(self.stores.keys().map(|name| &**name))
    }

    pub(crate) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter()
    }

    /// The names of the tables beside `[providers]`.
    pub(crate) fn section_names(&self) -> impl Iterator<Item = &str> {
        let own = self.sections.iter().map(Section::name);
        ["providers", "store"].into_iter().chain(own)
    }

    /// The schemes, of which an application's replace the built-in one.
    pub(crate) fn schemes(&self) -> SecretSchemes {
        let built_in = [self.vault.scheme()];
        let all: SecretSchemes = self.schemes.iter().cloned().chain(built_in).collect();
        all.with_http(self.scheme_http.clone())
    }

    /// The server of the built-in scheme.
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Sets what sends requests for the schemes.
    pub(crate) fn connect_schemes(&self, http: Arc<dyn HttpClient>) {
        self.scheme_http.connect(http);
    }

    /// Forgets the server of the built-in scheme, and what sends requests: each configuration that is
    /// built has its own.
    pub(crate) fn renew_schemes(&mut self) {
        self.vault = Vault::new();
        self.scheme_http = LateHttp::default();
    }

    /// The keys that `[store]` may hold, which are those of every kind.
    pub(crate) fn store_fields(&self) -> impl Iterator<Item = &Field> {
        let kinds = self.stores.values().flat_map(StoreKind::fields);
        let lacking = STORES
            .iter()
            .filter(|row| !self.stores.contains_key(row.name));
        let lacking = lacking.flat_map(|row| row.keys);
        STORE_FIELDS.iter().chain(kinds).chain(lacking)
    }

    /// The field of a key in a table beside `[providers]`.
    pub(crate) fn field(&self, section: &str, key: &str) -> Option<&Field> {
        let is_key = |field: &&Field| field.name() == key;
        if section == "store" {
            return self.store_fields().find(is_key);
        }
        let section = self.sections().find(|known| known.name() == section)?;
        section.fields().find(is_key)
    }

    /// The message for an unknown kind of provider. It does not show the name.
    pub(crate) fn unknown_provider(&self, name: &str) -> String {
        if let Some(lacking) = lacking(PROVIDERS, name) {
            return lacking;
        }
        if let Some(known) = vendor_named(name) {
            return format!("unknown kind of provider; use {known}");
        }
        let near = nearest(name, self.providers.keys().map(String::as_str));
        let near = near.map(str::to_owned);
        let meant = near
            .or_else(|| vendors_like(name))
            .map_or(String::new(), |meant| format!("; did you mean {meant}?"));
        let meant = match &*meant {
            "" => "; an application registers a kind of its own with Builder::provider_kind",
            meant => meant,
        };
        format!(
            "unknown kind of provider; {}{meant}",
            self.known_providers()
        )
    }

    /// The known kinds of provider, as part of a message.
    pub(crate) fn known_providers(&self) -> String {
        if self.providers.is_empty() {
            return "no kind of provider is available".into();
        }
        let names: Vec<_> = self.providers.keys().map(String::as_str).collect();
        format!("expected one of {}", names.join(", "))
    }

    /// The message for an unknown kind of store. It does not show the name.
    pub(crate) fn unknown_store(&self, name: &str) -> String {
        if let Some(lacking) = lacking(STORES, name) {
            return lacking;
        }
        let own = self.stores.keys().map(|name| &**name);
        let names: BTreeSet<_> = own.chain(STORES.iter().map(|row| row.name)).collect();
        let names: Vec<_> = [MEMORY].into_iter().chain(names).collect();
        let meant = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => "an application registers a kind of its own with Builder::store_kind".into(),
        };
        format!(
            "unknown kind of store; expected one of {}; {meant}",
            names.join(", ")
        )
    }
}

/// What to write for the vendor of the catalogue with this name.
#[cfg(feature = "catalogue")]
fn vendor_named(name: &str) -> Option<String> {
    let catalogue = biped_dialect::Catalogue::built_in();
    let found = catalogue.get(&name.trim().to_lowercase())?;
    Some(written(found.name()))
}

/// What to write for the vendors of the catalogue with a name like this.
#[cfg(feature = "catalogue")]
fn vendors_like(name: &str) -> Option<String> {
    use biped_dialect::{Catalogue, Suggested};
    match Catalogue::built_in().suggested(name)? {
        Suggested::One(only) => Some(written(only)),
        Suggested::Several(names) => Some(format!(
            "kind = \"dialect\" with one of the vendors {names}"
        )),
        _ => None,
    }
}

#[cfg(feature = "catalogue")]
fn written(vendor: &str) -> String {
    format!("kind = \"dialect\", vendor = {vendor:?}")
}

#[cfg(not(feature = "catalogue"))]
fn vendor_named(_: &str) -> Option<String> {
    None
}

#[cfg(not(feature = "catalogue"))]
fn vendors_like(_: &str) -> Option<String> {
    None
}

/// The message for a built-in kind whose feature is not enabled.
fn lacking<K>(built_in: &[BuiltIn<K>], name: &str) -> Option<String> {
    let row = built_in.iter().find(|row| row.name == name)?;
    let name = row.name;
    Some(format!(
        "{name} needs biped's feature {name}, which is not enabled"
    ))
}

#[cfg(test)]
mod tests;
pub(crate) mod vault;
