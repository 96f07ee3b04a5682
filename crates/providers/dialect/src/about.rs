//! [`About`]: what a person needs to know before trusting and using a vendor file.

use biped_config::{ConfigTable, ConfigValue, Value};

use crate::reading::{VendorTable as _, line};

/// The vendor that a file describes, the sources of its facts, and its parameters.
#[derive(Clone, Debug)]
pub struct About {
    pub(crate) title: Box<str>,
    pub(crate) docs: Box<str>,
    pub(crate) checked: Option<Box<str>>,
    pub(crate) live: bool,
    pub(crate) api: Option<Box<str>>,
    pub(crate) tags: Box<[Box<str>]>,
    pub(crate) notes: Option<Box<str>>,
    pub(crate) params: Vec<Declared>,
}

/// A parameter as `[about]` declares it.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) name: Box<str>,
    pub(crate) says: Box<str>,
    pub(crate) secret: bool,
    pub(crate) optional: bool,
    pub(crate) line: usize,
}

impl About {
    /// Returns the vendor's name.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns the source of the facts: the vendor's documentation, or else code that uses its API.
    #[must_use]
    pub fn docs(&self) -> &str {
        &self.docs
    }

    /// Returns the day on which the file was last compared with its source (`2026-11-22`).
    #[must_use]
    pub fn checked(&self) -> Option<&str> {
        self.checked.as_deref()
    }

    /// Returns whether the file has been used to fetch a token from the vendor itself.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Returns the URL of the vendor's API, with its parameters: an `api_base_url` to start from.
    #[must_use]
    pub fn api(&self) -> Option<&str> {
        self.api.as_deref()
    }

    /// Returns what the vendor is for, such as `identity` or `shipping`.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tags.iter().map(|tag| &**tag)
    }

    /// Returns further notes.
    #[must_use]
    pub fn notes(&self) -> Option<&str> {
        self.notes.as_deref()
    }

    /// Returns what this vendor calls `client_id`, `client_secret` or `scope`.
    #[must_use]
    pub fn says_of(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|param| &*param.name == name)
            .map(|param| &*param.says)
    }
}

pub(crate) fn read(section: &ConfigTable) -> Option<About> {
    let text = |key| section.text(key).map(|(text, _)| text.into());
    let title = text("title");
    let docs = text("docs");
    for (key, value) in [("title", &title), ("docs", &docs)] {
        if value.is_none() && section.value(key).is_none() {
            section.wrong(section.line(), key, "missing; expected a string");
        }
    }
    let params = section.table("params");
    let about = About {
        title: title.unwrap_or_default(),
        docs: docs.unwrap_or_default(),
        checked: section
            .value("checked")
            .and_then(|node| date(section, node)),
        live: section.boolean("live").unwrap_or(false),
        api: text("api"),
        tags: section
            .list("tags")
            .unwrap_or_default()
            .into_iter()
            .map(|(tag, _)| tag.into())
            .collect(),
        notes: text("notes"),
        params: params.map(|params| declared(&params)).unwrap_or_default(),
    };
    section.report_unread();
    Some(about)
}

fn date(section: &ConfigTable, node: &ConfigValue) -> Option<Box<str>> {
    match &node.raw {
        Value::Date(date) => Some(date.as_str().into()),
        _ => {
            section.wrong(line(node), "checked", "expected a date such as 2026-11-22");
            None
        }
    }
}

fn declared(section: &ConfigTable) -> Vec<Declared> {
    let mut all = Vec::new();
    for (key, value) in section.entries() {
        let mut param = Declared {
            name: key.into(),
            says: Box::default(),
            secret: false,
            optional: false,
            line: line(value),
        };
        match &value.raw {
            Value::Text(says) => param.says = says.as_str().into(),
            Value::Table(table) => {
                let inside = section.inner(key, value.origin.clone(), table.clone());
                param.says = inside.text("says").unwrap_or_default().0.into();
                param.secret = inside.boolean("secret").unwrap_or(false);
                param.optional = inside.boolean("optional").unwrap_or(false);
                inside.report_unread();
            }
            _ => section.wrong(
                line(value),
                key,
                "expected a sentence, or a table { says, secret, optional }",
            ),
        }
        all.push(param);
    }
    all
}
