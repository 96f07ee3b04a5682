//! Placeholders in any style, and values that are samples.

/// A part of a text of the documentation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    Text(String),
    /// A placeholder, with what is written in it.
    Hole(String),
}

/// Cuts a text at its placeholders: `{{x}}`, `${x}`, `$X`, `<x>`, `{x}`, `[YOUR_X]`, `%X%`.
pub(crate) fn parts(text: &str) -> Vec<Part> {
    let mut out = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match hole(rest) {
            Some((name, len)) => {
                if !literal.is_empty() {
                    out.push(Part::Text(std::mem::take(&mut literal)));
                }
                out.push(Part::Hole(name.trim().to_owned()));
                rest = &rest[len..];
            }
            None => {
                literal.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    if !literal.is_empty() || out.is_empty() {
        out.push(Part::Text(literal));
    }
    out
}

/// The placeholder at the start of a text: its name and its length.
fn hole(text: &str) -> Option<(&str, usize)> {
    let forms = [
        ("{{", "}}"),
        ("${", "}"),
        ("<<", ">>"),
        ("<", ">"),
        ("{", "}"),
        ("%", "%"),
        ("[", "]"),
    ];
    for (open, close) in forms {
        let Some(inside) = text.strip_prefix(open) else {
            continue;
        };
        let end = inside.find(close)?;
        let name = &inside[..end];
        let is_name = name
            .trim()
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.len() < 60
            && name
                .chars()
                .all(|c| c.is_alphanumeric() || " _-.'/:()".contains(c));
        let is_shouted = name.len() > 2 && !name.contains(|c: char| c.is_lowercase());
        let fits = match open {
            "%" => is_shouted && !name.contains(['/', ':', '.']),
            "[" => is_shouted || name.to_lowercase().contains("your"),
            _ => true,
        };
        return (is_name && fits).then_some((name, open.len() + end + close.len()));
    }
    let name = text.strip_prefix('$')?;
    let name = name.strip_prefix("env:").unwrap_or(name);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let name = &name[..end.unwrap_or(name.len())];
    let len = text.len() - text.strip_prefix("$env:").or(text.strip_prefix('$'))?.len();
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts.then_some((name, len + name.len()))
}

/// Whether a value without a placeholder's brackets is one all the same: `YOUR_ID`, `string`, `xxxx`.
pub(crate) fn is_word_for_value(value: &str) -> bool {
    let lower = value.trim().to_lowercase();
    let letters: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    let starts = [
        "your", "my-", "my_", "my ", "insert", "replace", "enter", "some-", "some_", "example",
        "sample", "dummy", "changeme", "test-", "test_", "the-", "the_",
    ];
    letters.is_empty()
        || lower == "string"
        || lower.contains("xxx")
        || lower.contains("...")
        || lower.contains('…')
        || lower.contains("your_")
        || lower.contains("your-")
        || lower.contains("***")
        || letters.ends_with("goeshere")
        || lower.ends_with("_here")
        || lower.ends_with("-here")
        || letters == "placeholder"
        || letters == "foo"
        || letters == "bar"
        || starts.iter().any(|start| lower.starts_with(start))
        || lower.starts_with("my") && (lower.contains("user") || lower.contains("secret"))
}

/// Whether a value looks issued or personal: random letters, a UUID, an address of mail.
pub(crate) fn looks_like_a_sample(value: &str) -> bool {
    let has = |test: fn(char) -> bool| value.chars().any(test);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=".contains(c);
    let mail = value
        .split_once('@')
        .is_some_and(|(_, host)| host.contains('.'));
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let is_random = value.len() >= 16
        && value.chars().all(plain)
        && digits >= 2
        && has(|c| c.is_ascii_alphabetic())
        && !value.contains("://");
    mail || is_random || is_uuid(value) || value.starts_with("eyJ")
}

pub(crate) fn is_uuid(value: &str) -> bool {
    let groups: Vec<_> = value.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && value.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_every_style_are_found() {
        for text in [
            "{{name}}",
            "${name}",
            "$name",
            "<name>",
            "{name}",
            "{{ name }}",
            "$env:name",
        ] {
            assert_eq!(parts(text), [Part::Hole("name".into())], "{text}");
        }
        assert_eq!(parts("[YOUR_ID]"), [Part::Hole("YOUR_ID".into())]);
        assert_eq!(parts("%ID_2%"), [Part::Hole("ID_2".into())]);
        for text in ["50%25x%40", "a[0]", "{\"a\": 1}", "$", "<", "[name]"] {
            assert_eq!(parts(text), [Part::Text(text.into())], "{text}");
        }
    }
}
