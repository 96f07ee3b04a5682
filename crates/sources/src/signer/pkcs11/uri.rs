//! [`Uri`]: which key of which token (RFC 7512).

use std::path::PathBuf;

use biped_core::Error;

/// A `pkcs11:` URI.
#[derive(Debug, Default)]
pub(super) struct Uri {
    text: String,
    pub(super) token: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) slot: Option<u64>,
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) module: PathBuf,
}

impl Uri {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |what: &str| Error::configuration(what.to_owned());
        let rest = text.strip_prefix("pkcs11:").ok_or_else(|| {
            wrong("expected a URI of RFC 7512: pkcs11:token=…;object=…?module-path=…")
        })?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        for part in path.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let bytes = decoded(value);
            let value = String::from_utf8(bytes.clone())
                .map_err(|_| wrong("an attribute of the URI is not UTF-8"))
                .map(Some);
            match name {
                "token" => uri.token = value?,
                "serial" => uri.serial = value?,
                "manufacturer" => uri.manufacturer = value?,
                "model" => uri.model = value?,
                "object" => uri.object = value?,
                "id" => uri.id = Some(bytes),
                "slot-id" => {
                    let slot = value?.and_then(|value| value.parse().ok());
                    uri.slot = Some(slot.ok_or_else(|| wrong("slot-id is not a number"))?);
                }
                "type"
                    if value
                        .as_ref()
                        .is_ok_and(|it| it.as_deref() == Some("private")) => {}
                "type" => return Err(wrong("type is not private; remove it")),
                _ => {
                    return Err(wrong(
                        "unknown attribute of the URI; expected some of token, serial, manufacturer, \
                         model, slot-id, object, id",
                    ));
                }
            }
        }
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "module-path" => {
                    let path = String::from_utf8(decoded(value));
                    uri.module = path.map_err(|_| wrong("module-path is not UTF-8"))?.into();
                }
                "pin-value" | "pin-source" => {
                    return Err(wrong("a PIN in the URI would be shown; set pin instead"));
                }
                _ => {
                    return Err(wrong(
                        "unknown part of the URI's query; expected module-path",
                    ));
                }
            }
        }
        if !uri.module.is_absolute() {
            return Err(wrong(
                "expected module-path, with the whole path of the module",
            ));
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(wrong("the URI names no key; expected object or id"));
        }
        Ok(uri)
    }

    /// As it is configured.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Without the module.
    pub(super) fn shown(&self) -> &str {
        self.text.split('?').next().unwrap_or_default()
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_a_key_of_a_token() {
        let text =
            "pkcs11:token=My%20token;object=crm;id=%01%ff;type=private?module-path=/usr/lib/x.so";
        let uri = Uri::parse(text).unwrap();
        assert_eq!(uri.token.as_deref(), Some("My token"));
        assert_eq!(uri.object.as_deref(), Some("crm"));
        assert_eq!(uri.id.as_deref(), Some(&[1, 255][..]));
        assert_eq!(uri.module, std::path::Path::new("/usr/lib/x.so"));
        assert_eq!(
            uri.shown(),
            "pkcs11:token=My%20token;object=crm;id=%01%ff;type=private"
        );
        for wrong in [
            "",
            "object=crm?module-path=/x",
            "pkcs11:object=crm",
            "pkcs11:object=crm?module-path=x.so",
            "pkcs11:token=a?module-path=/x",
            "pkcs11:object=crm;type=public?module-path=/x",
            "pkcs11:object=crm;slot-id=x?module-path=/x",
            "pkcs11:object=crm;what=x?module-path=/x",
            "pkcs11:object=crm?module-path=/x&pin-value=1",
            "pkcs11:object=crm?module-path=/x&pin-source=file:/x",
            "pkcs11:object=crm?module-path=/x&x=y",
        ] {
            assert!(Uri::parse(wrong).is_err(), "{wrong}");
        }
    }
}
