//! `[serve] tls`.

use biped::config::{ConfigTable, Field, FieldType, SecretRef};

/// How callers' connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// The certificate chain, the listeners' own first.
    pub(crate) certificate: SecretRef,
    pub(crate) key: SecretRef,
    /// Who signs the certificates of callers.
    pub(crate) client_ca: Option<SecretRef>,
}

pub(super) const FIELDS: &[Field] = &[
    Field::new("certificate", FieldType::Secret).required(),
    Field::new("key", FieldType::Secret).required(),
    Field::new("client_ca", FieldType::Secret),
];

pub(super) fn read(table: &ConfigTable) -> Option<TlsSettings> {
    let table = table.table("tls")?;
    table.check(FIELDS);
    let needed = |key: &str| {
        table.secret(key).or_else(|| {
            drop(table.missing(key));
            None
        })
    };
    let (certificate, key) = (needed("certificate"), needed("key"));
    Some(TlsSettings {
        certificate: certificate?,
        key: key?,
        client_ca: table.secret("client_ca"),
    })
}
