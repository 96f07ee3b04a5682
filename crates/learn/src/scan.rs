//! Cuts a text into simple commands, and rewrites what a word splitter does not know: `$'…'`, `$(…)`,
//! continued lines and unquoted placeholders.

/// The commands of a text, and how each is joined to the one before.
#[derive(Default)]
pub(crate) struct Scanned {
    /// Whether the command reads the output of the one before, and its text.
    pub(crate) commands: Vec<(bool, String)>,
    /// The insides of `$(…)`; a command contains their [`marker`].
    pub(crate) substitutions: Vec<String>,
}

/// Stands for a substitution in a command.
pub(crate) fn marker(at: usize) -> String {
    format!("__SUBSTITUTION_{at}__")
}

pub(crate) fn scan(text: &str) -> Scanned {
    let mut scan = Scan {
        rest: text,
        out: Scanned::default(),
        command: String::new(),
        piped: false,
    };
    while let Some(c) = scan.next() {
        scan.outside(c);
    }
    scan.cut(false);
    scan.out
}

struct Scan<'t> {
    rest: &'t str,
    out: Scanned,
    command: String,
    piped: bool,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn cut(&mut self, piped: bool) {
        let command = std::mem::take(&mut self.command);
        if !command.trim().is_empty() {
            self.out.commands.push((self.piped, command));
        }
        self.piped = piped;
    }

    fn outside(&mut self, c: char) {
        match c {
            '\'' => self.single_quoted(),
            '"' => self.double_quoted(),
            '\\' => {
                self.command.push('\\');
                let escaped = self.next();
                self.command.extend(escaped);
            }
            '$' if self.rest.starts_with('\'') => self.ansi_quoted(),
            '$' if self.rest.starts_with('(') => self.substitution(),
            '<' => self.angle(),
            '{' if self.rest.starts_with('{') => self.until("}}", c),
            '|' if self.rest.starts_with('|') => {
                self.next();
                self.cut(false);
            }
            '|' => self.cut(true),
            ';' => self.cut(false),
            '&' if self.rest.starts_with('&') => {
                self.next();
                self.cut(false);
            }
            // Documents forget the backslash in front of an option.
            '\n' if self.rest.trim_start().starts_with('-') => self.command.push(' '),
            '\n' if self.rest.trim_start().starts_with('|') => self.command.push(' '),
            '\n' => self.cut(false),
            _ => self.command.push(c),
        }
    }

    fn single_quoted(&mut self) {
        self.command.push('\'');
        while let Some(c) = self.next() {
            self.command.push(c);
            if c == '\'' {
                return;
            }
        }
    }

    fn double_quoted(&mut self) {
        self.command.push('"');
        while let Some(c) = self.next() {
            match c {
                '\\' => {
                    self.command.push('\\');
                    let escaped = self.next();
                    self.command.extend(escaped);
                }
                '$' if self.rest.starts_with('(') => self.substitution(),
                _ => self.command.push(c),
            }
            if c == '"' {
                return;
            }
        }
    }

    /// `$'…'`, as a text in single quotes.
    fn ansi_quoted(&mut self) {
        self.next();
        let mut text = String::new();
        while let Some(c) = self.next() {
            match c {
                '\'' => break,
                '\\' => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('u') => {
                        let digits: String = self.rest.chars().take(4).collect();
                        let code = u32::from_str_radix(&digits, 16).ok();
                        if let Some(c) = code.and_then(char::from_u32) {
                            text.push(c);
                            self.rest = &self.rest[digits.len()..];
                        }
                    }
                    Some(other) => text.push(other),
                    None => {}
                },
                _ => text.push(c),
            }
        }
        self.command.push('\'');
        self.command.push_str(&text.replace('\'', r"'\''"));
        self.command.push('\'');
    }

    /// `$(…)`, to its closing parenthesis.
    fn substitution(&mut self) {
        self.next();
        let mut inside = String::new();
        let mut depth = 1;
        while let Some(c) = self.next() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inside.push(c);
        }
        self.command.push_str(&marker(self.out.substitutions.len()));
        self.out.substitutions.push(inside);
    }

    /// An unquoted `<your id>` is one word.
    fn angle(&mut self) {
        let line = self.rest.lines().next().unwrap_or_default();
        let starts = line.starts_with(|c: char| c.is_alphabetic() || c == '<');
        match line.find('>') {
            Some(end) if starts && end < 60 => {
                self.command.push_str("\\<");
                for c in line[..end].chars() {
                    if c.is_whitespace() || "|&;'\"\\".contains(c) {
                        self.command.push('\\');
                    }
                    self.command.push(c);
                }
                self.command.push_str("\\>");
                self.rest = &self.rest[end + 1..];
            }
            _ => self.command.push('<'),
        }
    }

    fn until(&mut self, end: &str, first: char) {
        self.command.push(first);
        if let Some(at) = self.rest.find(end) {
            let inside = &self.rest[..at + end.len()];
            self.command.extend(inside.chars().filter(|c| *c != ' '));
            self.rest = &self.rest[at + end.len()..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(text: &str) -> Vec<String> {
        let all = scan(text).commands.into_iter();
        all.map(|(_, text)| text.trim().to_owned()).collect()
    }

    #[test]
    fn commands_end_at_pipes_and_lines_outside_quotes() {
        assert_eq!(commands("a '|' b | c; d\ne"), ["a '|' b", "c", "d", "e"]);
        assert_eq!(commands("a\n -d x"), ["a  -d x"]);
    }

    #[test]
    fn what_the_splitter_does_not_know_is_rewritten() {
        assert_eq!(commands(r"a $'x\ty\'z'"), ["a 'x\ty'\\''z'"]);
        assert_eq!(commands("a id=<your id>"), [r"a id=\<your\ id\>"]);
        assert_eq!(scan("a $(b (c))").substitutions, ["b (c)"]);
    }
}
