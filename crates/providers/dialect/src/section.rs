//! [`Section`]: typed reads of a table that note what is wrong, and what nobody read.

use std::cell::RefCell;

use crate::{
    answer_path::AnswerPath,
    source::{Entry, Faults, Node, Table, Value, joined},
    template::Template,
};

/// A table of a dialect while it is read.
pub(crate) struct Section<'a> {
    table: &'a Table,
    path: String,
    faults: &'a Faults,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(crate) fn new(table: &'a Table, path: impl Into<String>, faults: &'a Faults) -> Self {
        Self {
            table,
            path: path.into(),
            faults,
            known: RefCell::default(),
        }
    }

    pub(crate) fn faults(&self) -> &'a Faults {
        self.faults
    }

    pub(crate) fn line(&self) -> usize {
        self.table.line
    }

    pub(crate) fn path(&self, key: &str) -> String {
        joined(&self.path, key)
    }

    pub(crate) fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn node(&self, key: &'static str) -> Option<&'a Node> {
        Some(&self.entry(key)?.node)
    }

    pub(crate) fn wrong(&self, line: usize, key: &str, message: impl Into<String>) {
        self.faults.note(line, self.path(key), message);
    }

    fn expected<T>(&self, node: &Node, key: &str, what: &str) -> Option<T> {
        self.wrong(node.line, key, format!("{what} is expected"));
        None
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<(&'a str, usize)> {
        let node = self.node(key)?;
        match &node.value {
            Value::Text(text) => Some((text, node.line)),
            _ => self.expected(node, key, "a string"),
        }
    }

    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        match node.value {
            Value::Bool(yes) => Some(yes),
            _ => self.expected(node, key, "true or false"),
        }
    }

    /// A number of seconds above zero, a year at most.
    pub(crate) fn seconds(&self, key: &'static str) -> Option<u64> {
        let node = self.node(key)?;
        match node.value {
            Value::Integer(number @ 1..=31_536_000) => u64::try_from(number).ok(),
            _ => self.expected(node, key, "a number of seconds (a year at most)"),
        }
    }

    pub(crate) fn texts(&self, key: &'static str) -> Option<Vec<(&'a str, usize)>> {
        let node = self.node(key)?;
        let all = match &node.value {
            Value::List(all) => all.iter().map(text_of).collect(),
            _ => None,
        };
        all.map_or_else(|| self.expected(node, key, "a list of strings"), Some)
    }

    pub(crate) fn table(&self, key: &'static str) -> Option<Section<'a>> {
        let node = self.node(key)?;
        match &node.value {
            Value::Table(table) => Some(Section::new(table, self.path(key), self.faults)),
            _ => self.expected(node, key, "a table"),
        }
    }

    /// Every `[[key]]`; where `or_one`, `[key]` is a list of one.
    pub(crate) fn tables(&self, key: &'static str, or_one: bool) -> Option<Vec<Section<'a>>> {
        let node = self.node(key)?;
        let section = |node: &'a Node| match &node.value {
            Value::Table(table) => Some(Section::new(table, self.path(key), self.faults)),
            _ => None,
        };
        let all = match &node.value {
            Value::List(all) => all.iter().map(section).collect(),
            Value::Table(_) if or_one => section(node).map(|one| vec![one]),
            _ => None,
        };
        let what = if or_one {
            "a table, or a list of them,"
        } else {
            "a list of tables"
        };
        all.map_or_else(|| self.expected(node, key, what), Some)
    }

    /// One of these words.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let (text, line) = self.text(key)?;
        let chosen = choices.iter().find(|(name, _)| *name == text);
        if chosen.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            self.wrong(
                line,
                key,
                format!("one of {} is expected", names.join(", ")),
            );
        }
        chosen.map(|(_, value)| *value)
    }

    pub(crate) fn template(&self, key: &'static str) -> Option<Template> {
        let (text, line) = self.text(key)?;
        self.parsed(key, text, line)
    }

    /// A template from a text of this section.
    pub(crate) fn parsed(&self, key: &str, text: &str, line: usize) -> Option<Template> {
        match Template::parse(text, line) {
            Ok(template) => Some(template),
            Err(why) => {
                self.wrong(line, key, why);
                None
            }
        }
    }

    pub(crate) fn place(&self, key: &'static str) -> Option<AnswerPath> {
        let (text, line) = self.text(key)?;
        match AnswerPath::parse(text) {
            Ok(place) => Some(place),
            Err(why) => {
                self.wrong(line, key, why);
                None
            }
        }
    }

    /// All entries, for tables whose keys are the file's own.
    pub(crate) fn entries(&self) -> &'a [Entry] {
        &self.table.entries
    }

    /// Notes the keys that nobody asked for.
    pub(crate) fn finish(self) {
        let known = self.known.borrow();
        for entry in &self.table.entries {
            if !known.contains(&entry.key.as_str()) {
                self.faults
                    .unknown(entry.line, self.path(&entry.key), &entry.key, &known);
            }
        }
    }
}

fn text_of(node: &Node) -> Option<(&str, usize)> {
    match &node.value {
        Value::Text(text) => Some((text, node.line)),
        _ => None,
    }
}
