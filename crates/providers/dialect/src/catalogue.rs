//! [`Catalogue`]: the vendor files that come with this crate.

use std::{
    fmt::Write as _,
    sync::{Arc, OnceLock},
};

use crate::{
    About, Backing, Dialect, Scopes,
    vendors::{FILES, Indexed},
};

/// How many vendors a message suggests.
const SUGGESTED: usize = 8;

/// The vendor files that come with this crate.
///
/// ```
/// use biped_dialect::Catalogue;
///
/// let catalogue = Catalogue::built_in();
/// let keycloak = catalogue.get("keycloak").expect("it is in there");
/// assert_eq!(keycloak.title(), "Keycloak");
/// assert!(catalogue.search("identity").any(|entry| entry.name() == "keycloak"));
/// ```
#[derive(Debug)]
pub struct Catalogue {
    entries: Vec<VendorFile>,
}

/// The vendors to suggest for a name that is not in the [`Catalogue`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suggested {
    /// The name of one vendor.
    One(&'static str),
    /// The names of several, separated by commas: at most eight, then `…`.
    Several(String),
}

/// One vendor of the [`Catalogue`]: its name, its file and its [`Dialect`].
#[derive(Debug)]
pub struct VendorFile {
    indexed: &'static Indexed,
    dialect: OnceLock<Option<Arc<Dialect>>>,
}

impl Catalogue {
    /// Returns the catalogue that comes with this crate.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static BUILT_IN: OnceLock<Catalogue> = OnceLock::new();
        BUILT_IN.get_or_init(|| Self {
            entries: FILES
                .iter()
                .map(|indexed| VendorFile {
                    indexed,
                    dialect: OnceLock::new(),
                })
                .collect(),
        })
    }

    /// Returns all vendors, sorted by name.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &VendorFile> {
        self.entries.iter()
    }

    /// Returns the vendor of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&VendorFile> {
        self.entries.iter().find(|entry| entry.name() == name)
    }

    /// Returns the dialect of the vendor of this name.
    #[must_use]
    pub fn dialect(&self, name: &str) -> Option<Arc<Dialect>> {
        self.get(name)?.dialect()
    }

    /// Returns the vendors to suggest for a name that is not in the catalogue: the one with the nearest
    /// name, or else all that a [`search`](Self::search) finds. There may be none.
    #[must_use]
    pub fn candidates(&self, typed: &str) -> Vec<&'static str> {
        let names = self.entries.iter().map(VendorFile::name);
        match biped_config::nearest(typed, names) {
            Some(near) => vec![near],
            None if letters(typed).is_empty() => Vec::new(),
            None => self.search(typed).map(VendorFile::name).collect(),
        }
    }

    /// Returns the question that a message ends with: whether one of the
    /// [`candidates`](Self::candidates) was meant. At most eight are named. `None` if there is none.
    #[must_use]
    pub fn suggestion(&self, typed: &str) -> Option<String> {
        Some(match self.suggested(typed)? {
            Suggested::One(name) => format!("did you mean {name}?"),
            Suggested::Several(names) => format!("did you mean one of {names}?"),
        })
    }

    /// Returns the [`candidates`](Self::candidates) as part of a message. `None` if there is none.
    #[must_use]
    pub fn suggested(&self, typed: &str) -> Option<Suggested> {
        match &self.candidates(typed)[..] {
            [] => None,
            [only] => Some(Suggested::One(only)),
            several => {
                let shown = several.iter().take(SUGGESTED).copied();
                let mut names = shown.collect::<Vec<_>>().join(", ");
                if several.len() > SUGGESTED {
                    names.push_str(", …");
                }
                Some(Suggested::Several(names))
            }
        }
    }

    /// Returns the vendors that have all these words in their name, title, aliases, tags or the
    /// host of their token endpoint.
    ///
    /// A word matches at the start of a word (`entra` does not match `central`). If no vendor matches
    /// in this way, a word matches anywhere, with spaces and punctuation ignored (`checkpoint` matches
    /// `check point`).
    pub fn search<'s>(&'s self, words: &str) -> impl Iterator<Item = &'s VendorFile> {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        let found = |is_in: &dyn Fn(&str, &str) -> bool| -> Vec<&'s VendorFile> {
            let has_all = |entry: &&VendorFile| {
                let text = entry.indexed.words;
                words.iter().all(|word| is_in(text, word))
            };
            self.entries.iter().filter(has_all).collect()
        };
        let mut entries = found(&starts_a_word);
        if entries.is_empty() {
            entries = found(&|text, word| letters(text).contains(&letters(word)));
        }
        entries.into_iter()
    }
}

fn starts_a_word(text: &str, word: &str) -> bool {
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

impl VendorFile {
    /// Returns the name that `vendor = "…"` takes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.indexed.name
    }

    /// Returns the vendor's title.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.indexed.title
    }

    /// Returns which of the vendor's sets of credentials the file is for.
    #[must_use]
    pub fn variant(&self) -> Option<&'static str> {
        self.indexed.variant
    }

    /// Returns the token endpoint as the file writes it, with its parameters.
    #[must_use]
    pub fn token_endpoint(&self) -> &'static str {
        self.indexed.token_endpoint
    }

    /// Returns what backs the vendor's request and its answer.
    #[must_use]
    pub fn backing(&self) -> Backing {
        self.indexed.backing
    }

    /// Returns the text of the vendor file.
    #[must_use]
    pub fn text(&self) -> &'static str {
        self.indexed.text
    }

    /// Returns the dialect. A test checks that every file loads.
    #[must_use]
    pub fn dialect(&self) -> Option<Arc<Dialect>> {
        let load = || {
            Dialect::from_toml(self.text(), &format!("{}.toml", self.name()))
                .ok()
                .map(Arc::new)
        };
        self.dialect.get_or_init(load).clone()
    }

    /// Returns a `[providers.…]` table to start from.
    #[must_use]
    pub fn configuration(&self) -> String {
        let dialect = self.dialect();
        dialect.map_or_else(String::new, |dialect| configuration(self.name(), &dialect))
    }
}

/// The vendor's scopes, and what they are for.
fn scope_to_start_from(about: &About) -> Option<(String, String)> {
    let says = about.says_of("scope");
    match about.scopes() {
        Some(Scopes::Listed(all)) if !all.is_empty() => {
            let names = all.iter().map(|(name, _)| name.as_str());
            // A request names a single resource, by such a scope.
            let resource = names.clone().find(|name| name.ends_with("/.default"));
            let names: Vec<_> = match resource {
                Some(first) => vec![first],
                None => names.collect(),
            };
            let each = || {
                let each = all.iter().map(|(name, says)| format!("{name}: {says}"));
                each.collect::<Vec<_>>().join("; ")
            };
            Some((names.join(" "), says.map_or_else(each, str::to_owned)))
        }
        _ => Some(("…".into(), says?.to_owned())),
    }
}

/// A table `[providers.NAME]` with all that the dialect needs; secrets refer to variables.
fn configuration(name: &str, dialect: &Dialect) -> String {
    let variable = |what: &str| {
        // A variable's name can't start with a digit.
        let start = if name.starts_with(|c: char| c.is_ascii_digit()) {
            "_"
        } else {
            ""
        };
        let text = format!("{start}{name}_{what}").to_uppercase();
        text.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
    };
    let says = |what: &str| {
        let about = dialect.about().and_then(|about| about.says_of(what));
        about.map_or_else(String::new, |says| format!("   # {says}"))
    };
    let mut out = format!("[providers.{name}]\nkind = \"dialect\"\nvendor = \"{name}\"\n");
    if dialect.uses_client_id() {
        let _ = writeln!(out, "client_id = \"…\"{}", says("client_id"));
    }
    if dialect.uses_client_secret() {
        let reference = variable("client_secret");
        let _ = writeln!(
            out,
            "client_secret = \"env:{reference}\"{}",
            says("client_secret")
        );
    }
    if dialect.uses_client_certificate() {
        out.push_str("certificate = \"file:client.pem\"\ncertificate_key = \"file:client.key\"\n");
    }
    if let Some((scope, says)) = dialect.about().and_then(scope_to_start_from) {
        let _ = writeln!(out, "# scope = \"{scope}\"   # {says}");
    }
    match dialect.about().and_then(About::api) {
        Some(api) if api.contains('{') => {
            let _ = writeln!(out, "# api_base_url = \"{api}\"   # fill in the parameters");
        }
        Some(api) => {
            let _ = writeln!(out, "api_base_url = \"{api}\"");
        }
        None => {}
    }
    if dialect.params().len() > 0 {
        let _ = writeln!(out, "\n[providers.{name}.params]");
    }
    for param in dialect.params() {
        let value = match param.is_secret() {
            true => format!("env:{}", variable(param.name())),
            false => "…".into(),
        };
        let mark = if param.is_optional() { "# " } else { "" };
        let says = match param.says() {
            "" => String::new(),
            says => format!("   # {says}"),
        };
        let _ = writeln!(out, "{mark}{} = \"{value}\"{says}", param.name());
    }
    out
}
