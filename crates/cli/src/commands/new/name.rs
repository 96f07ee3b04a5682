//! [`Name`]: the name of a new crate, in the forms that its files need.

/// The name of a crate.
#[derive(Debug)]
pub(super) struct Name<'a>(&'a str);

/// Words that can't be the name of a library: keywords, and the crates that the new one uses.
const RESERVED: [&str; 67] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "biped",
    "biped-config",
    "biped-core",
    "biped-testing",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde-json",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "tokio",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "con",
    "nul",
    "aux",
    "prn",
];

/// A name that a registry accepts.
const LONGEST: usize = 64;

impl<'a> Name<'a> {
    /// Checks a name.
    ///
    /// # Errors
    /// Returns why it can't be the name of a crate.
    pub(super) fn new(name: &'a str) -> Result<Self, &'static str> {
        let is_valid = |one: char| {
            one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-' || one == '_'
        };
        if !name.starts_with(|one: char| one.is_ascii_lowercase()) {
            return Err("expected a lower-case letter at its start");
        }
        if !name.chars().all(is_valid) {
            return Err("expected lower-case letters, digits, - and _");
        }
        if name.ends_with(['-', '_']) {
            return Err("expected a letter or a digit at its end");
        }
        if name.len() > LONGEST {
            return Err("expected at most 64 characters");
        }
        if RESERVED.contains(&&*name.replace('_', "-")) {
            return Err("it is reserved, or the name of a crate that the new one uses");
        }
        Ok(Self(name))
    }

    /// Sets the name in a template.
    pub(super) fn fill(&self, template: &str) -> String {
        template
            .replace("@CRATE@", self.0)
            .replace("@LIB@", &self.0.replace('-', "_"))
            .replace("@TYPE@", &self.type_name())
    }

    /// The name of the crate's type: `my-vendor` becomes `MyVendor`.
    fn type_name(&self) -> String {
        let name = self.0.strip_prefix("biped-").unwrap_or(self.0);
        let words = name.split(['-', '_']).filter(|word| !word.is_empty());
        let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        words.map(word).collect()
    }
}
