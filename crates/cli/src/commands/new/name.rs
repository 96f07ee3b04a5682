//! [`Name`]: the name of a new crate, in the forms that its files need.

/// The name of a crate.
#[derive(Debug)]
pub(super) struct Name<'a>(&'a str);

/// Names that can't be those of a new crate, without `_`, and why.
const TAKEN: [(&str, &str); 5] = [
    (
        "abstract as async await become box break const continue crate do dyn else enum \
         extern false final fn for gen if impl in let loop macro match mod move mut override \
         priv pub ref return self static struct super trait true try type typeof union unsafe \
         unsized use virtual where while yield",
        "Rust reserves this word",
    ),
    (
        "alloc core proc-macro std test",
        "a crate of Rust itself has this name",
    ),
    (
        "serde-json tokio",
        "the new crate depends on a crate of this name",
    ),
    (
        "async-trait base64 bytes futures http hyper reqwest secrecy serde sha2 thiserror \
         tracing url",
        "the new crate could not depend on the well-known crate of this name",
    ),
    ("aux con nul prn", "Windows reserves this name for a device"),
];

/// The crates of Biped beside `biped`, without `biped-`.
const OWN: &str = "bench cli config contentsquare core dialect engine envelope error file io learn \
                   memory oauth2 platform postgres redact redis reqwest sandbox sealed secret serve \
                   sources testing tower wire";

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
        match taken(&name.replace('_', "-")) {
            Some(why) => Err(why),
            None => Ok(Self(name)),
        }
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

/// Why a name is taken, with `-` for `_`.
fn taken(name: &str) -> Option<&'static str> {
    let is_among = |names: &str, name| names.split(' ').any(|one| one == name);
    let own = name.strip_prefix("biped-");
    if name == "biped" || own.is_some_and(|own| is_among(OWN, own)) {
        return Some("a crate of Biped has this name");
    }
    let found = TAKEN.iter().find(|(names, _)| is_among(names, name));
    found.map(|(_, why)| *why)
}
