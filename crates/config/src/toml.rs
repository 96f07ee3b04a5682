//! Reads TOML into a [`ConfigTable`], with the line of every value.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    origin::Origin,
    problem::Problem,
    table::ConfigTable,
    value::{ConfigValue, Value},
};

/// The parser's message for a duplicate key. The first value counts, so that the rest of the file can
/// be checked.
const DUPLICATE: &str = "duplicate key";

impl ConfigTable {
    /// Reads the text of a file; `path` is what errors call the file.
    ///
    /// Duplicate keys and numbers that are too large are noted in the table.
    ///
    /// # Errors
    /// Returns the syntax errors of a text that is not TOML. No other problems are returned with them,
    /// since a syntax error makes the text around it look wrong.
    pub fn from_toml(path: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let (table, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let is_broken = errors.iter().any(|error| error.message() != DUPLICATE);
        let mut reader = Reader {
            path: path.into(),
            lines: Lines::new(text),
            problems: Vec::new(),
        };
        for error in &errors {
            // The error's own Display quotes the line, with whatever secret is in it.
            let span = error.span().unwrap_or_default();
            let message = match text.get(span.clone()).filter(|_| !is_broken) {
                Some(key) => format!("{} {key}", error.message()),
                None => syntax(text, span.start, error.message()),
            };
            reader.note(reader.origin(span.start), String::new(), message);
        }
        if is_broken {
            // One mistake may cause several errors in its line.
            let line = |problem: &mut Problem| problem.origin.line();
            reader.problems.dedup_by_key(line);
            return Err(reader.problems);
        }
        let values = reader.table(table.get_ref(), &mut Vec::new());
        let read = Self::new("", reader.origin(0), values);
        reader
            .problems
            .into_iter()
            .for_each(|problem| read.note(problem));
        Ok(read)
    }
}

struct Reader {
    path: Arc<Path>,
    lines: Lines,
    problems: Vec<Problem>,
}

impl Reader {
    fn origin(&self, offset: usize) -> Origin {
        let (line, column) = self.lines.at(offset);
        Origin::File {
            path: self.path.clone(),
            line,
            column,
        }
    }

    fn note(&mut self, origin: Origin, key: String, message: impl Into<String>) {
        let message = message.into();
        self.problems.push(Problem {
            origin,
            key,
            message,
        });
    }

    fn table(
        &mut self,
        table: &DeTable<'_>,
        at: &mut Vec<String>,
    ) -> BTreeMap<String, ConfigValue> {
        let mut read = BTreeMap::new();
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
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Boolean(yes) => Value::Bool(*yes),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Value::Integer(number),
                    Err(_) => self.out_of_range(&origin, at),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => Value::Float(number),
                Err(_) => self.out_of_range(&origin, at),
            },
            DeValue::Array(values) => {
                Value::List(values.iter().map(|value| self.value(value, at)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table, at)),
        };
        ConfigValue { raw, origin }
    }

    fn out_of_range(&mut self, origin: &Origin, at: &[String]) -> Value {
        self.note(
            origin.clone(),
            at.join("."),
            "this number is too large; put it in quotes if it is a text",
        );
        Value::Integer(0)
    }
}

/// Says what is wrong at an offset, and in which column of its line.
fn syntax(text: &str, offset: usize, message: &str) -> String {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
    let line = before.rsplit('\n').next().unwrap_or_default();
    let column = line.chars().count() + 1;
    let is_last = after
        .lines()
        .next()
        .is_none_or(|rest| rest.trim().is_empty());
    match line.trim_end().strip_suffix('=') {
        Some(_) if is_last => format!("column {column}: expected a value after ="),
        _ => format!("column {column}: {message}"),
    }
}

/// Where the lines of a text start.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// The line and the column of an offset, from 1.
    fn at(&self, offset: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= offset);
        let start = self.0.get(line.saturating_sub(1)).copied();
        (line, offset - start.unwrap_or_default() + 1)
    }
}
