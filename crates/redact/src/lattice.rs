//! [`Lattice`]: every reading of a text whose characters may be encoded.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

/// How many encodings may be nested, such as a form in JSON.
const DEPTH: usize = 2;

/// The limit of steps to search one text, many times what an ordinary secret needs. It bounds the work
/// even if a vendor chooses both the secret and the text.
const MOST_STEPS: usize = 2_000_000;

/// The characters that an encoded character starts with.
const INTRODUCERS: [char; 4] = ['%', '+', '\\', '&'];

/// The length of the longest known name of an entity.
const LONGEST_NAME: usize = 8;

/// For each place in a text, the characters that may start there, and where each ends: `%2F` is a `%`
/// and also a `/`. It reads percent-encoding, forms, backslashes of JSON and of programs, and entities
/// of HTML, also one inside another.
pub(crate) struct Lattice<'t> {
    text: &'t str,
    /// What may start at each of the [`INTRODUCERS`].
    decoded: BTreeMap<usize, Vec<(char, usize)>>,
    /// Places from which the text ends within an encoded character.
    open: BTreeSet<usize>,
    /// How many more steps a search may take.
    steps: Cell<usize>,
}

impl<'t> Lattice<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let mut lattice = Self {
            text,
            decoded: BTreeMap::new(),
            open: BTreeSet::new(),
            steps: Cell::new(MOST_STEPS),
        };
        for _ in 0..DEPTH {
            lattice.decode();
        }
        lattice
    }

    /// The places where one of these characters may start.
    pub(crate) fn starts(&self, first: [char; 2]) -> impl Iterator<Item = usize> {
        let [one, other] = first;
        let [percent, plus, backslash, ampersand] = INTRODUCERS;
        let candidates = [one, other, percent, plus, backslash, ampersand];
        let candidates = self.text.match_indices(candidates).map(|(at, _)| at);
        candidates.filter(move |at| {
            self.at(*at)
                .any(|(character, _)| first.contains(&character))
        })
    }

    /// The characters that may start at `at`, each with its end.
    pub(crate) fn at(&self, at: usize) -> impl Iterator<Item = (char, usize)> + use<'_, 't> {
        let plain = self.text.get(at..).and_then(|rest| rest.chars().next());
        let plain = plain.map(|character| (character, at + character.len_utf8()));
        let introduces = plain.is_some_and(|(character, _)| INTRODUCERS.contains(&character));
        let decoded = self.decoded.get(&at).filter(|_| introduces);
        plain
            .into_iter()
            .chain(decoded.into_iter().flatten().copied())
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// Counts steps of a search. Returns `false` after too many.
    pub(crate) fn take_steps(&self, steps: usize) -> bool {
        let left = self.steps.get().saturating_sub(steps);
        self.steps.set(left);
        left > 0
    }

    /// Whether the text ends at `at`, or within a character that starts there.
    pub(crate) fn ends_at(&self, at: usize) -> bool {
        at >= self.text.len() || self.open.contains(&at)
    }

    /// Decodes one more level of encoding.
    fn decode(&mut self) {
        let mut all = BTreeMap::new();
        let mut open = BTreeSet::new();
        for (at, _) in self.text.match_indices(INTRODUCERS) {
            let mut decoder = Decoder::new(self);
            for (character, end) in self.at(at) {
                match character {
                    '+' => decoder.found.push((' ', end)),
                    '%' => decoder.percent(end),
                    '\\' => decoder.backslash(end),
                    '&' => decoder.entity(end),
                    _ => {}
                }
            }
            if decoder.ran_out {
                open.insert(at);
            }
            let mut found = decoder.found;
            found.extend(self.decoded.get(&at).into_iter().flatten());
            found.sort_unstable();
            found.dedup();
            all.insert(at, found);
        }
        self.decoded = all;
        self.open.append(&mut open);
    }
}

/// Decodes one character in all possible ways.
struct Decoder<'l> {
    text: &'l Lattice<'l>,
    found: Vec<(char, usize)>,
    ran_out: bool,
}

impl<'l> Decoder<'l> {
    fn new(text: &'l Lattice<'l>) -> Self {
        Self {
            text,
            found: Vec::new(),
            ran_out: false,
        }
    }

    fn next(&mut self, at: usize) -> impl Iterator<Item = (char, usize)> + use<'l> {
        self.ran_out |= self.text.ends_at(at);
        self.text.at(at)
    }

    /// The ends of the character `wanted`, if it starts at `at`.
    fn skip(&mut self, at: usize, wanted: char) -> Vec<usize> {
        let next = self.next(at);
        next.filter(|(character, _)| *character == wanted)
            .map(|(_, end)| end)
            .collect()
    }

    /// A number with exactly this many digits.
    fn number(&mut self, at: usize, radix: u32, digits: usize) -> Vec<(u32, usize)> {
        let mut read = vec![(0, at)];
        for _ in 0..digits {
            let mut longer = Vec::new();
            for (number, at) in read {
                for (character, end) in self.next(at) {
                    if let Some(digit) = character.to_digit(radix) {
                        longer.push((number * radix + digit, end));
                    }
                }
            }
            read = longer;
        }
        read
    }

    /// `%2F`, `%c3%a9`, `%E9` as it is in Latin-1, and JavaScript's `%u00e9`.
    fn percent(&mut self, at: usize) {
        for at in self.skip(at, 'u') {
            self.utf16(at, "%u");
        }
        let mut read: Vec<(Vec<u8>, usize)> = Vec::new();
        for (byte, end) in self.number(at, 16, 2) {
            let byte = byte.to_le_bytes()[0];
            if byte >= 0x80 {
                self.found.push((char::from(byte), end));
            }
            read.push((vec![byte], end));
        }
        while let Some((bytes, end)) = read.pop() {
            match std::str::from_utf8(&bytes) {
                Ok(text) => self.found.extend(text.chars().map(|it| (it, end))),
                // The rest of the character follows.
                Err(error) if error.error_len().is_none() => {
                    for at in self.skip(end, '%') {
                        for (byte, end) in self.number(at, 16, 2) {
                            let byte = byte.to_le_bytes()[0];
                            read.push(([&bytes[..], &[byte]].concat(), end));
                        }
                    }
                }
                Err(_) => {}
            }
        }
    }

    /// `\"`, `\/`, `\n`, `\u00e9`, `\ud83d\ude00`, `\xe9` and `\u{e9}`.
    fn backslash(&mut self, at: usize) {
        for (character, end) in self.next(at) {
            match character {
                '0' => self.found.push(('\0', end)),
                'b' => self.found.push(('\u{8}', end)),
                'f' => self.found.push(('\u{c}', end)),
                'n' => self.found.push(('\n', end)),
                'r' => self.found.push(('\r', end)),
                't' => self.found.push(('\t', end)),
                'x' => {
                    let numbers = self.number(end, 16, 2);
                    self.take(numbers);
                }
                'u' => {
                    self.utf16(end, "\\u");
                    for at in self.skip(end, '{') {
                        self.closed(at, 16, 6, '}');
                    }
                }
                // JSON escapes some punctuation, programs and HTTP's quoted strings any.
                other if other.is_ascii_punctuation() => self.found.push((other, end)),
                _ => {}
            }
        }
    }

    /// Four digits, or two groups of four with `introducer` between them.
    fn utf16(&mut self, at: usize, introducer: &str) {
        for (unit, end) in self.number(at, 16, 4) {
            if let Some(character) = char::from_u32(unit) {
                self.found.push((character, end));
                continue;
            }
            let mut ends = vec![end];
            for wanted in introducer.chars() {
                ends = ends.iter().flat_map(|at| self.skip(*at, wanted)).collect();
            }
            for at in ends {
                for (second, end) in self.number(at, 16, 4) {
                    let units = [unit, second].map(|unit| u16::try_from(unit).unwrap_or_default());
                    let pair = char::decode_utf16(units).next().and_then(Result::ok);
                    self.found.extend(pair.map(|character| (character, end)));
                }
            }
        }
    }

    /// `&amp;`, `&#47;`, `&#x2f;`.
    fn entity(&mut self, at: usize) {
        for at in self.skip(at, '#') {
            self.closed(at, 10, 7, ';');
            for x in ['x', 'X'] {
                for at in self.skip(at, x) {
                    self.closed(at, 16, 6, ';');
                }
            }
        }
        let mut names = vec![(String::new(), at)];
        for _ in 0..=LONGEST_NAME {
            let mut longer = Vec::new();
            for (name, at) in names {
                for (character, end) in self.next(at) {
                    if character == ';' {
                        self.found.extend(named(&name).map(|it| (it, end)));
                    } else if character.is_ascii_alphanumeric() {
                        longer.push((format!("{name}{character}"), end));
                    }
                }
            }
            names = longer;
        }
    }

    /// A number of at most this many digits, and its closing character.
    fn closed(&mut self, at: usize, radix: u32, most: usize, close: char) {
        for digits in 1..=most {
            for (number, end) in self.number(at, radix, digits) {
                let ends = self.skip(end, close);
                self.take(ends.into_iter().map(|end| (number, end)));
            }
        }
    }

    fn take(&mut self, numbers: impl IntoIterator<Item = (u32, usize)>) {
        let characters = numbers
            .into_iter()
            .filter_map(|(number, end)| Some((char::from_u32(number)?, end)));
        self.found.extend(characters);
    }
}

/// The character that an HTML entity names, if it is in ASCII or Latin-1.
fn named(name: &str) -> Option<char> {
    let ascii = ASCII.iter().find(|(known, _)| *known == name);
    ascii.map(|(_, character)| *character).or_else(|| {
        let at = LATIN_1.split_whitespace().position(|known| known == name)?;
        char::from_u32(0xa0 + u32::try_from(at).ok()?)
    })
}

const ASCII: [(&str, char); 41] = [
    ("amp", '&'),
    ("AMP", '&'),
    ("lt", '<'),
    ("LT", '<'),
    ("gt", '>'),
    ("GT", '>'),
    ("quot", '"'),
    ("QUOT", '"'),
    ("apos", '\''),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("grave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("verbar", '|'),
    ("rcub", '}'),
    ("rbrace", '}'),
];

/// The names from U+00A0 on, in order.
const LATIN_1: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr \
    deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest \
    Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc \
    Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute \
    THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave \
    iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc \
    uuml yacute thorn yuml";

#[cfg(test)]
mod tests {
    use super::*;

    /// The one character that the whole text can be read as, if it can.
    fn read(text: &str) -> Option<char> {
        let lattice = Lattice::new(text);
        let whole = lattice.at(0).find(|(_, end)| *end == text.len());
        whole.map(|(character, _)| character)
    }

    #[test]
    fn a_character_is_read_however_it_is_encoded() {
        for text in [
            "/",
            "%2F",
            "%2f",
            "\\/",
            "\\u002f",
            "\\u002F",
            "\\x2f",
            "\\u{2f}",
            "&#47;",
            "&#047;",
            "&#x2f;",
            "&#X2F;",
            "&sol;",
            "%252f",
            "\\\\u002f",
            "&amp;#47;",
            "%26sol%3B",
            "%5C%2F",
            "%u002f",
        ] {
            assert_eq!(read(text), Some('/'), "{text}");
        }
        for text in [
            "é",
            "%C3%A9",
            "%c3%A9",
            "%E9",
            "\\u00e9",
            "&eacute;",
            "&#233;",
            "%25C3%25A9",
        ] {
            assert_eq!(read(text), Some('é'), "{text}");
        }
        for text in [
            "😀",
            "\\ud83d\\ude00",
            "%F0%9F%98%80",
            "&#128512;",
            "\\u{1f600}",
        ] {
            assert_eq!(read(text), Some('😀'), "{text}");
        }
        assert!(Lattice::new("+").at(0).any(|(read, _)| read == ' '));
        assert_eq!(read("&yuml;"), Some('ÿ'));
        for text in [
            "%2",
            "%zz",
            "&nothing;",
            "\\u00",
            "\\ud83d",
            "&#xd800;",
            "&#99999999;",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_the_end_cuts_off_is_noticed() {
        for text in [
            "%", "%2", "%C3%A", "\\", "\\u00", "&", "&am", "&#4", "%25", "%252", "\\\\u0",
        ] {
            assert!(Lattice::new(text).ends_at(0), "{text}");
        }
        for text in ["%2f ", "a & b", "\\q  ", "100%  "] {
            assert!(!Lattice::new(text).ends_at(0), "{text}");
        }
    }
}
