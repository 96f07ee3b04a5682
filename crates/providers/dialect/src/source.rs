//! TOML with the line of every key, in the order of the file.

use std::{cell::RefCell, path::Path, sync::Arc};

use biped_config::{Origin, Problem, nearest};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value, and the line where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// Keys and their values, as they follow each other in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) line: usize,
    pub(crate) entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) node: Node,
}

/// What is wrong with a file, as it is found.
#[derive(Debug)]
pub(crate) struct Faults {
    file: Arc<Path>,
    found: RefCell<Vec<Problem>>,
}

impl Faults {
    pub(crate) fn of(file: &str) -> Self {
        Self {
            file: Path::new(file).into(),
            found: RefCell::default(),
        }
    }

    /// Notes a fault. The message never quotes a value: it may be a secret.
    pub(crate) fn note(&self, line: usize, key: impl Into<String>, message: impl Into<String>) {
        self.push(Problem {
            origin: self.at(line),
            key: key.into(),
            message: message.into(),
        });
    }

    pub(crate) fn unknown(&self, line: usize, path: String, key: &str, known: &[&str]) {
        match nearest(key, known.iter().copied()) {
            Some(meant) => self.note(line, path, format!("unknown key; is {meant} meant?")),
            None => self.note(
                line,
                path,
                format!("unknown key; known are {}", known.join(", ")),
            ),
        }
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| match problem.origin {
            Origin::File { line, .. } => line,
            _ => 0,
        });
        found
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    fn at(&self, line: usize) -> Origin {
        Origin::File {
            path: self.file.clone(),
            line,
        }
    }

    fn push(&self, problem: Problem) {
        self.found.borrow_mut().push(problem);
    }
}

/// Reads a file's text as far as it can be.
pub(crate) fn parse(text: &str, faults: &Faults) -> Table {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(text);
    for error in &errors {
        // The error's own Display quotes the line, with whatever secret is in it.
        let start = error.span().map_or(0, |span| span.start);
        faults.note(lines.at(start), "", error.message());
    }
    let reader = Reader { lines, faults };
    reader.table(table.get_ref(), 1, "")
}

struct Reader<'a> {
    lines: Lines,
    faults: &'a Faults,
}

impl Reader<'_> {
    fn table(&self, table: &DeTable<'_>, line: usize, path: &str) -> Table {
        let mut found: Vec<_> = table.iter().collect();
        found.sort_by_key(|(key, _)| key.span().start);
        let entries = found
            .into_iter()
            .map(|(key, value)| {
                let name = key.get_ref().to_string();
                let path = joined(path, &name);
                Entry {
                    line: self.lines.at(key.span().start),
                    node: self.node(value, &path),
                    key: name,
                }
            })
            .collect();
        Table { line, entries }
    }

    fn node(&self, value: &Spanned<DeValue<'_>>, path: &str) -> Node {
        let line = self.lines.at(value.span().start);
        let out_of_range = || {
            self.faults.note(line, path, "a number this large can't be");
            Value::Integer(0)
        };
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(yes) => Value::Bool(*yes),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| out_of_range(), Value::Integer),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or_else(|_| out_of_range(), Value::Float),
            DeValue::Array(all) => {
                Value::List(all.iter().map(|value| self.node(value, path)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table, line, path)),
        };
        Node { line, value }
    }
}

/// `a.b`, or `b` at the top.
pub(crate) fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Where the lines of a text start.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(
            std::iter::once(0)
                .chain(ends.map(|(at, _)| at + 1))
                .collect(),
        )
    }

    /// The line of an offset, from 1.
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset).max(1)
    }
}

impl Node {
    /// The value as JSON, with its type; a date is its text.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Text(text) | Value::Date(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Bool(yes) => (*yes).into(),
            Value::List(all) => all.iter().map(Self::to_json).collect(),
            Value::Table(table) => table
                .entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}
