//! [`About`]: what a person needs to trust and to use a vendor file.

use crate::section::Section;
use crate::source::{Node, Value};

/// Who a vendor file is about, where its facts are from, and what has to be given.
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
    /// The vendor's name.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where the facts are from: the vendor's own documents, or else what uses its API.
    #[must_use]
    pub fn docs(&self) -> &str {
        &self.docs
    }

    /// The day on which the file was last compared with that (`2026-11-22`).
    #[must_use]
    pub fn checked(&self) -> Option<&str> {
        self.checked.as_deref()
    }

    /// Whether somebody got a token of the vendor with it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Where the vendor's API is, with the parameters in it: an `api_base_url` to start from.
    #[must_use]
    pub fn api(&self) -> Option<&str> {
        self.api.as_deref()
    }

    /// What the vendor is for: `identity`, `shipping`.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tags.iter().map(|tag| &**tag)
    }

    /// What else is worth knowing.
    #[must_use]
    pub fn notes(&self) -> Option<&str> {
        self.notes.as_deref()
    }

    /// What `client_id`, `client_secret` or `scope` is called at this vendor.
    #[must_use]
    pub fn says_of(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|param| &*param.name == name)
            .map(|param| &*param.says)
    }
}

pub(crate) fn read(section: Section<'_>) -> Option<About> {
    let text = |key| section.text(key).map(|(text, _)| text.into());
    let title = text("title");
    let docs = text("docs");
    for (key, value) in [("title", &title), ("docs", &docs)] {
        if value.is_none() && section.node(key).is_none() {
            section.wrong(section.line(), key, "missing; a string is expected");
        }
    }
    let params = section.table("params");
    let about = About {
        title: title.unwrap_or_default(),
        docs: docs.unwrap_or_default(),
        checked: section
            .node("checked")
            .and_then(|node| date(&section, node)),
        live: section.boolean("live").unwrap_or(false),
        api: text("api"),
        tags: section
            .texts("tags")
            .unwrap_or_default()
            .into_iter()
            .map(|(tag, _)| tag.into())
            .collect(),
        notes: text("notes"),
        params: params.map(|params| declared(&params)).unwrap_or_default(),
    };
    section.finish();
    Some(about)
}

fn date(section: &Section<'_>, node: &Node) -> Option<Box<str>> {
    match &node.value {
        Value::Date(date) => Some(date.as_str().into()),
        _ => {
            section.wrong(node.line, "checked", "a date like 2026-11-22 is expected");
            None
        }
    }
}

fn declared(section: &Section<'_>) -> Vec<Declared> {
    let mut all = Vec::new();
    for entry in section.entries() {
        let mut param = Declared {
            name: entry.key.as_str().into(),
            says: Box::default(),
            secret: false,
            optional: false,
            line: entry.line,
        };
        match &entry.node.value {
            Value::Text(says) => param.says = says.as_str().into(),
            Value::Table(table) => {
                let inside = Section::new(table, section.path(&entry.key), section.faults());
                param.says = inside.text("says").unwrap_or_default().0.into();
                param.secret = inside.boolean("secret").unwrap_or(false);
                param.optional = inside.boolean("optional").unwrap_or(false);
                inside.finish();
            }
            _ => section.wrong(
                entry.line,
                &entry.key,
                "a sentence, or { says, secret, optional }, is expected",
            ),
        }
        all.push(param);
    }
    all
}
