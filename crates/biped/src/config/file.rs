//! TOML with the line of every value.

use std::{path::Path, sync::Arc};

use biped_config::{ConfigValue, Origin, Problem, RawValue};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::Table;

/// What the parser says of a key that is there twice. The first of them stands, so that the rest of
/// the file can be judged all the same.
const DUPLICATE: &str = "duplicate key";

/// A file's text, read as far as it can be.
pub(crate) struct File {
    pub(crate) root: Table,
    pub(crate) problems: Vec<Problem>,
    /// Whether the text is no TOML, so that `root` may hold anything.
    pub(crate) broken: bool,
}

/// Reads the text of a file; `path` is what errors call it.
pub(crate) fn parse(path: &Path, text: &str) -> File {
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let broken = errors.iter().any(|error| error.message() != DUPLICATE);
    let mut reader = Reader {
        path: path.into(),
        lines: Lines::new(text),
        problems: Vec::new(),
    };
    for error in &errors {
        // The error's own Display quotes the line, with whatever secret is in it.
        let span = error.span().unwrap_or_default();
        let mut message = error.message().to_owned();
        if let Some(key) = text.get(span.clone()).filter(|_| !broken) {
            message = format!("{message} {key}");
        }
        let problem = Problem {
            origin: reader.origin(span.start),
            key: String::new(),
            message,
        };
        if reader
            .problems
            .last()
            .is_none_or(|last| last.origin != problem.origin)
        {
            reader.problems.push(problem);
        }
    }
    let syntax = reader.problems.len();
    let root = reader.table(table.get_ref(), &mut Vec::new());
    if broken {
        // What can't be read makes other values look wrong.
        reader.problems.truncate(syntax);
    }
    File {
        root,
        problems: reader.problems,
        broken,
    }
}

struct Reader {
    path: Arc<Path>,
    lines: Lines,
    problems: Vec<Problem>,
}

impl Reader {
    fn origin(&self, offset: usize) -> Origin {
        Origin::File {
            path: self.path.clone(),
            line: self.lines.at(offset),
        }
    }

    fn table(&mut self, table: &DeTable<'_>, at: &mut Vec<String>) -> Table {
        let mut read = Table::new();
        for (key, value) in table {
            at.push(key.get_ref().to_string());
            read.insert(key.get_ref().to_string(), self.value(value, at));
            at.pop();
        }
        read
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, at: &mut Vec<String>) -> ConfigValue {
        let origin = self.origin(value.span().start);
        let raw = match value.get_ref() {
            DeValue::String(text) => RawValue::Text(text.to_string()),
            DeValue::Boolean(yes) => RawValue::Bool(*yes),
            DeValue::Datetime(date) => RawValue::Date(date.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => RawValue::Integer(number),
                    Err(_) => self.out_of_range(&origin, at),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => RawValue::Float(number),
                Err(_) => self.out_of_range(&origin, at),
            },
            DeValue::Array(values) => {
                RawValue::List(values.iter().map(|value| self.value(value, at)).collect())
            }
            DeValue::Table(table) => RawValue::Table(self.table(table, at)),
        };
        ConfigValue { raw, origin }
    }

    fn out_of_range(&mut self, origin: &Origin, at: &[String]) -> RawValue {
        self.problems.push(Problem {
            origin: origin.clone(),
            key: at.join("."),
            message: "a number this large can't be".into(),
        });
        RawValue::Integer(0)
    }
}

/// Where the lines of a text start.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(
            std::iter::once(0)
                .chain(ends.map(|(at, _)| at + 1))
                .collect(),
        )
    }

    /// The line of an offset, from 1.
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}
