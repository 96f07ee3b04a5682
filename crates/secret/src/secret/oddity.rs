//! [`Oddity`]: what is odd about a secret's value. It never holds the value.

use std::fmt;

use biped_redact::escaped;

/// Something about a value that a person rarely means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Oddity {
    /// It looks like a reference, but is not one.
    Reference,
    /// It looks like the variable of a shell or of a template.
    Variable,
    /// It looks like a command of a shell.
    Command,
    /// It looks like the path of a file.
    Path,
    /// It looks like a line of a file with variables: the name, and then the value.
    Assignment,
    /// It looks like what documentation writes in place of a secret.
    Placeholder,
    Quotes,
    Starts(Invisible),
    Ends(Invisible),
    /// In the middle. Blanks are usual there.
    Contains(Invisible),
}

/// What can't be seen where a secret is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invisible {
    Newline,
    Blank,
    Character,
}

/// The names before the colon of a reference; `vault` is the usual one of an application.
const SCHEMES: [&str; 5] = ["env", "file", "cmd", "inline", "vault"];

/// How paths begin where secrets are kept. A slash alone may begin a secret in base64.
const PATHS: [&str; 13] = [
    "/dev/",
    "/etc/",
    "/home/",
    "/mnt/",
    "/opt/",
    "/root/",
    "/run/",
    "/secrets/",
    "/tmp/",
    "/var/",
    "./",
    "../",
    "~/",
];

/// What is odd about a value.
pub(super) fn of(value: &str) -> Vec<Oddity> {
    // Documents may end with a newline, and hold any number of them.
    if value.contains("-----BEGIN ") || serde_json::from_str::<Json>(value).is_ok() {
        return Vec::new();
    }
    let mut all = Vec::new();
    all.extend(look(value.trim()));
    let (first, last) = (value.chars().next(), value.chars().next_back());
    all.extend(first.and_then(invisible).map(Oddity::Starts));
    let middle = value.get(first.map_or(0, char::len_utf8)..);
    let middle = middle.and_then(|rest| rest.strip_suffix(last?));
    let inside = middle.unwrap_or_default().chars().filter_map(invisible);
    let ends = value.chars().count() > 1;
    let last = last.filter(|_| ends).and_then(invisible);
    let at_an_end = all.len() + usize::from(last.is_some()) > 0;
    let mut inside = inside.filter(|it| *it != Invisible::Blank && !at_an_end);
    all.extend(inside.next().map(Oddity::Contains));
    all.extend(last.map(Oddity::Ends));
    all
}

/// An object. Its content does not matter.
#[derive(serde::Deserialize)]
struct Json {}

/// What the whole value looks like.
fn look(value: &str) -> Option<Oddity> {
    let within = |start: &str, end: &str| {
        let inner = value.strip_prefix(start)?.strip_suffix(end)?;
        (!inner.is_empty()).then_some(inner)
    };
    let is_name = |text: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        text.bytes().all(is_part) && !text.starts_with(|first: char| first.is_ascii_digit())
    };
    if within("`", "`").is_some() || within("$(", ")").is_some() {
        return Some(Oddity::Command);
    }
    let is_variable = within("$", "").or(within("%", "%")).is_some_and(is_name)
        || within("${", "}").or(within("{{", "}}")).is_some();
    if is_variable {
        return Some(Oddity::Variable);
    }
    if ["\"", "'"]
        .iter()
        .any(|quote| within(quote, quote).is_some())
    {
        return Some(Oddity::Quotes);
    }
    // As variables are usually written: SHOP_SECRET.
    let is_constant = |name: &str| {
        is_name(name) && name.contains('_') && !name.contains(|c: char| c.is_ascii_lowercase())
    };
    let assigned = value
        .strip_prefix("export ")
        .unwrap_or(value)
        .split_once('=');
    if assigned
        .is_some_and(|(name, value)| is_constant(name) && !value.trim_matches('=').is_empty())
    {
        return Some(Oddity::Assignment);
    }
    if value.contains('…') || value == "..." || within("<", ">").is_some() {
        return Some(Oddity::Placeholder);
    }
    if PATHS.iter().any(|start| value.starts_with(start)) {
        return Some(Oddity::Path);
    }
    let scheme = value.split_once(':').map(|(scheme, _)| scheme.trim());
    let is_scheme = |known: &str| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(known));
    SCHEMES
        .iter()
        .any(|known| is_scheme(known))
        .then_some(Oddity::Reference)
}

fn invisible(character: char) -> Option<Invisible> {
    match character {
        '\n' | '\r' => Some(Invisible::Newline),
        _ if character.is_whitespace() => Some(Invisible::Blank),
        _ => {
            let mut buffer = [0; 4];
            let text = &*character.encode_utf8(&mut buffer);
            (escaped(text) != text).then_some(Invisible::Character)
        }
    }
}

impl Oddity {
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Reference => {
                "write the secret itself there, or in biped.toml a reference in lower case: \
                 env:NAME, file:PATH or { cmd = [\"PROGRAM\"] }"
            }
            Self::Variable => {
                "Biped replaces no variable in it; write env:NAME in biped.toml to read a variable"
            }
            Self::Command => {
                "Biped runs no shell; write { cmd = [\"PROGRAM\", \"ARGUMENT\"] } in biped.toml to \
                 run a command"
            }
            Self::Path => "write file:PATH in biped.toml to read a file",
            Self::Assignment => "write the value alone, without the name of a variable",
            Self::Placeholder => "write the secret itself there",
            Self::Quotes => "remove the quotation marks",
            Self::Starts(what) | Self::Ends(what) | Self::Contains(what) => match what {
                Invisible::Newline => "remove the newline from the credential",
                Invisible::Blank => "remove the blank from the credential",
                Invisible::Character => "remove the invisible character from the credential",
            },
        }
    }
}

/// As what follows after the place of the value.
impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference => f.write_str("looks like a reference, but is not one"),
            Self::Variable => f.write_str("looks like the name of a variable"),
            Self::Command => f.write_str("looks like a command of a shell"),
            Self::Path => f.write_str("looks like the path of a file"),
            Self::Assignment => f.write_str("begins with the name of a variable"),
            Self::Placeholder => f.write_str("looks like a placeholder"),
            Self::Quotes => f.write_str("is in quotation marks"),
            Self::Starts(what) => write!(f, "starts with {what}"),
            Self::Ends(what) => write!(f, "ends with {what}"),
            Self::Contains(what) => write!(f, "contains {what}"),
        }
    }
}

impl fmt::Display for Invisible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newline => "a newline",
            Self::Blank => "a blank",
            Self::Character => "an invisible character",
        })
    }
}

#[cfg(test)]
mod tests;
