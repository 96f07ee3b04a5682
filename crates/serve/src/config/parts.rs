//! Callers, files, and the keys whose values have several forms.

use std::{collections::BTreeSet, path::PathBuf};

use biped::config::{ConfigTable, Field, FieldType, SecretRef};

use super::mention::Mention;

/// Whether tokens are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenUse {
    Off,
    /// On Unix sockets, and to callers that may have them.
    On,
    /// To whoever may call.
    Any,
}

impl TokenUse {
    pub(super) fn read(table: &ConfigTable) -> Option<Self> {
        let value = table.value("tokens")?;
        let read = match (value.to_bool(), value.to_text().as_deref()) {
            (Some(false), _) => Some(Self::Off),
            (Some(true), _) => Some(Self::On),
            (_, Some("any")) => Some(Self::Any),
            _ => None,
        };
        table.checked("tokens", read, "true, false or \"any\"", |_| true)
    }
}

/// Whose tokens are fetched at the start.
#[derive(Clone, Debug)]
pub(crate) enum Warm {
    All,
    These(Vec<Mention>),
}

impl Warm {
    pub(super) fn read(table: &ConfigTable) -> Option<Self> {
        let value = table.value("warm")?;
        if value.to_text().as_deref() == Some("all") {
            return Some(Self::All);
        }
        let expected = "\"all\" or a list of providers";
        table.checked("warm", value.to_texts(), expected, |_| true)?;
        Mention::list(table, "warm").map(Self::These)
    }
}

/// Who may call.
#[derive(Clone, Debug)]
pub(crate) struct CallerSettings {
    pub(crate) name: String,
    pub(crate) token: Option<SecretRef>,
    pub(crate) uid: Option<u32>,
    /// A name in the caller's certificate.
    pub(crate) certificate: Option<Mention>,
    pub(crate) providers: Option<Vec<Mention>>,
    pub(crate) tokens: bool,
    /// The tenants that it may name; `*` for all.
    pub(crate) tenants: Vec<Mention>,
}

impl CallerSettings {
    /// Whether the caller may use this provider: one of its list, or any if it has none.
    pub(crate) fn may_use(&self, provider: &str) -> bool {
        let mine = self.providers.as_ref();
        mine.is_none_or(|mine| mine.iter().any(|name| **name == *provider))
    }
}

pub(super) const CALLER: &[Field] = &[
    Field::new("name", FieldType::Text).required(),
    Field::new("token", FieldType::Secret),
    Field::new("uid", FieldType::Integer),
    Field::new("certificate", FieldType::Text),
    Field::new("providers", FieldType::Texts),
    Field::new("tokens", FieldType::Bool),
    Field::new("tenants", FieldType::Texts),
];

pub(super) fn callers(table: &ConfigTable) -> Vec<CallerSettings> {
    let mut names = BTreeSet::new();
    let mut proofs_of_all = Vec::new();
    let all = table.tables("callers", false).unwrap_or_default();
    all.iter()
        .filter_map(|caller| {
            caller.check(CALLER);
            let name = caller.string("name");
            let name = caller.checked("name", name, "a name", |name| !name.is_empty())?;
            if !names.insert(name.clone()) {
                drop(caller.invalid("name", "another caller has this name"));
            }
            let token = caller.secret("token");
            let uid = caller.integer("uid").and_then(|uid| {
                caller.checked("uid", u32::try_from(uid).ok(), "a user's number", |_| true)
            });
            let certificate = Mention::one(caller, "certificate");
            let expected = "a DNS name, a URI or an IP address of the caller's certificate";
            let certificate = certificate.and_then(|name| {
                caller.checked("certificate", Some(name), expected, |name: &Mention| {
                    !name.is_empty()
                })
            });
            let proofs = [token.is_some(), uid.is_some(), certificate.is_some()];
            if proofs.into_iter().filter(|is_given| *is_given).count() != 1 {
                drop(caller.invalid("", "expected one of token, certificate and uid"));
            }
            let proof = (
                token.clone(),
                uid,
                certificate.as_deref().map(str::to_owned),
            );
            if proofs_of_all.contains(&proof) {
                drop(caller.invalid("", "another caller has the same token, certificate or uid"));
            }
            proofs_of_all.push(proof);
            Some(CallerSettings {
                name,
                token,
                uid,
                certificate,
                providers: Mention::list(caller, "providers"),
                tokens: caller.boolean("tokens").unwrap_or(false),
                tenants: Mention::list(caller, "tenants").unwrap_or_default(),
            })
        })
        .collect()
}

/// A file that a token is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileSettings {
    pub(crate) provider: Mention,
    pub(crate) path: PathBuf,
    pub(crate) format: FileFormat,
    pub(crate) mode: u32,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) scope: Option<String>,
    pub(crate) remove: bool,
}

/// What such a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFormat {
    Token,
    Header,
    Json,
    Env,
}

pub(super) const FILE: &[Field] = &[
    Field::new("provider", FieldType::Text).required(),
    Field::new("path", FieldType::Text).required(),
    Field::new(
        "format",
        FieldType::Choice(&["token", "header", "json", "env"]),
    ),
    Field::new("mode", FieldType::Text),
    Field::new("params", FieldType::Table),
    Field::new("scope", FieldType::Text),
    Field::new("remove", FieldType::Bool),
];

pub(super) fn files(table: &ConfigTable) -> Vec<FileSettings> {
    let all = table.tables("files", false).unwrap_or_default();
    let formats = [
        ("token", FileFormat::Token),
        ("header", FileFormat::Header),
        ("json", FileFormat::Json),
        ("env", FileFormat::Env),
    ];
    all.iter()
        .filter_map(|file| {
            file.check(FILE);
            let provider = Mention::one(file, "provider").or_else(|| {
                drop(file.missing("provider"));
                None
            })?;
            let path = file.path("path").or_else(|| {
                drop(file.missing("path"));
                None
            })?;
            let mode = file.string("mode").and_then(|mode| {
                let read = u32::from_str_radix(&mode, 8).ok();
                file.checked("mode", read, "an octal number such as \"0640\"", |mode| {
                    *mode <= 0o777
                })
            });
            let params = file.table("params").map_or_else(Vec::new, |params| {
                let text = |key: &str, value: &biped::config::ConfigValue| {
                    let number = value.to_integer().map(|number| number.to_string());
                    number.or_else(|| value.to_text()).or_else(|| {
                        drop(params.invalid(key, "expected a string or a whole number"));
                        None
                    })
                };
                let entries = params.entries();
                let read = entries.into_iter();
                read.filter_map(|(key, value)| Some((key.to_owned(), text(key, value)?)))
                    .collect()
            });
            Some(FileSettings {
                provider,
                path,
                format: file.choice("format", &formats).unwrap_or(FileFormat::Token),
                mode: mode.unwrap_or(0o600),
                params,
                scope: file.string("scope"),
                remove: file.boolean("remove").unwrap_or(false),
            })
        })
        .collect()
}
