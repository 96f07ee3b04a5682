//! Places in JSON: paths to values, with the names on the way.

use serde_json::Value;

use crate::naming::letters;

/// The most steps to a value, and the last entry of a list, that an example of a response is made for.
const DEEPEST: usize = 64;
const LAST_INDEX: usize = 999;

/// A value and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) path: Path,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// The JSON pointer of RFC 6901.
    pub(crate) fn pointer(&self) -> String {
        let steps = self.steps.iter().map(|step| match step {
            Step::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Step::Index(at) => format!("/{at}"),
        });
        steps.collect()
    }

    /// The last name in it, without its spelling.
    pub(crate) fn name(&self) -> String {
        match self.steps.last() {
            Some(Step::Key(key)) => letters(key),
            _ => String::new(),
        }
    }

    /// The name of what it is in, without its spelling.
    pub(crate) fn parent_name(&self) -> String {
        match self.steps.iter().rev().nth(1) {
            Some(Step::Key(key)) => letters(key),
            _ => String::new(),
        }
    }

    /// The last name, as it is written.
    pub(crate) fn written(&self) -> &str {
        match self.steps.last() {
            Some(Step::Key(key)) => key,
            _ => "",
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.steps.len()
    }

    /// How many steps two paths share from the root.
    pub(crate) fn shared(&self, other: &Self) -> usize {
        let both = self.steps.iter().zip(&other.steps);
        both.take_while(|(a, b)| a == b).count()
    }

    fn of_key(key: &str) -> Self {
        Self {
            steps: vec![Step::Key(key.to_owned())],
        }
    }

    /// A field's name in a vendor file: a key, or a pointer through objects.
    pub(crate) fn of_field(name: &str) -> Self {
        let Some(pointer) = name.strip_prefix('/') else {
            return Self::of_key(name);
        };
        let keys = pointer.split('/');
        let key = |key: &str| Step::Key(key.replace("~1", "/").replace("~0", "~"));
        Self {
            steps: keys.map(key).collect(),
        }
    }

    /// Reads what jq reads: `.data.token`, `.[0].token`, `.data["token"]`.
    pub(crate) fn from_jq(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let inside = rest.strip_prefix('[');
            let step = inside.unwrap_or(rest);
            let (step, after) = quoted(step).or_else(|| word(step))?;
            steps.push(step);
            rest = match inside {
                Some(_) => after.strip_prefix(']')?,
                None => after,
            };
        }
        (steps.len() <= DEEPEST).then_some(Self { steps })
    }

    /// The path as jq reads it: `.data.token`, `.[0].token`, `.["access-token"]`.
    pub(crate) fn jq(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let step = match step {
                Step::Key(key) if is_identifier(key) => format!(".{key}"),
                Step::Key(key) => format!("[{}]", Value::from(key.as_str())),
                Step::Index(at) => format!("[{at}]"),
            };
            if text.is_empty() && !step.starts_with('.') {
                text.push('.');
            }
            text.push_str(&step);
        }
        text
    }

    /// Puts a value at this place.
    pub(crate) fn put(&self, root: &mut Value, value: Value) {
        let mut at = root;
        for step in &self.steps {
            match step {
                Step::Key(key) => {
                    if !at.is_object() {
                        *at = Value::Object(serde_json::Map::new());
                    }
                    at = &mut at[key.as_str()];
                }
                Step::Index(index) => {
                    if !at.is_array() {
                        *at = Value::Array(Vec::new());
                    }
                    let Some(list) = at.as_array_mut() else {
                        return;
                    };
                    while list.len() <= *index {
                        list.push(Value::Null);
                    }
                    at = &mut list[*index];
                }
            }
        }
        *at = value;
    }
}

/// A key in quotes at the beginning of a text, and what follows it.
fn quoted(text: &str) -> Option<(Step, &str)> {
    if !text.starts_with('"') {
        return None;
    }
    let mut keys = serde_json::Deserializer::from_str(text).into_iter();
    let key = keys.next()?.ok()?;
    Some((Step::Key(key), &text[keys.byte_offset()..]))
}

/// A name or an index at the beginning of a text, and what follows it.
fn word(text: &str) -> Option<(Step, &str)> {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let end = text.find(|c| !is_inside(c)).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let step = match word.parse() {
        Ok(at) if at <= LAST_INDEX => Step::Index(at),
        Ok(_) => return None,
        Err(_) if word.is_empty() => return None,
        Err(_) => Step::Key(word.to_owned()),
    };
    Some((step, after))
}

fn is_identifier(key: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    key.chars().all(is_inside) && key.starts_with(|c: char| !c.is_ascii_digit())
}

/// All scalar values, from the outside in: of a list only the first entry.
pub(crate) fn leaves(value: &Value) -> Vec<Leaf> {
    let mut all = Vec::new();
    visit(value, &mut Path::default(), &mut all);
    all.sort_by_key(|leaf| leaf.path.depth());
    all
}

fn visit(value: &Value, path: &mut Path, all: &mut Vec<Leaf>) {
    match value {
        Value::Object(inside) => {
            for (key, value) in inside {
                path.steps.push(Step::Key(key.clone()));
                visit(value, path, all);
                path.steps.pop();
            }
        }
        Value::Array(inside) => {
            if let Some(first) = inside.first() {
                path.steps.push(Step::Index(0));
                visit(first, path, all);
                path.steps.pop();
            }
        }
        Value::Null => {}
        scalar => all.push(Leaf {
            path: path.clone(),
            value: scalar.clone(),
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_it_is_written_for_jq() {
        let answer = serde_json::json!({
            "token": "a",
            "data": [{ "access-token": "b", "access token": "c", "it\"s": "d" }],
            "0": { "": "e" },
        });
        let written: Vec<_> = leaves(&answer).iter().map(|leaf| leaf.path.jq()).collect();
        for (leaf, jq) in leaves(&answer).iter().zip(&written) {
            assert_eq!(Path::from_jq(jq).as_ref(), Some(&leaf.path), "{jq}");
        }
        assert!(
            written.contains(&r#".data[0]["access-token"]"#.to_owned()),
            "{written:?}"
        );
        assert!(written.contains(&".token".to_owned()), "{written:?}");
    }

    #[test]
    fn what_is_not_a_plain_path_of_jq_is_not_read() {
        for jq in [
            ".a[]", ".a | .b", ".a // 1", ".a[\"b]", ".a[0", ".a]", "..a", ".a[1000]", ".a?",
        ] {
            assert_eq!(Path::from_jq(jq), None, "{jq}");
        }
        for (jq, same) in [
            (".a[\"b\"].c", ".a.b.c"),
            ("a.b", ".a.b"),
            (".a.\"b\"", ".a.b"),
            (".[0].a", ".0.a"),
        ] {
            assert_eq!(Path::from_jq(jq), Path::from_jq(same), "{jq}");
        }
    }
}
