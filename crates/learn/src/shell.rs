//! Finds the one curl command of a text that people print: with prompts, comments, variables,
//! here-documents and pipes.

use std::collections::BTreeMap;

use crate::{
    learned::Refusal,
    scan::{marker, scan},
};

/// A curl command.
pub(crate) struct Command {
    /// The words after `curl`.
    pub(crate) words: Vec<String>,
    /// The path that jq reads from the response.
    pub(crate) jq: Option<String>,
    /// What it reads from stdin.
    pub(crate) input: Option<String>,
}

/// Returns the only curl command.
pub(crate) fn only_curl(text: &str) -> Result<Command, Refusal> {
    let mut all = curls(text, None)?;
    match (all.pop(), all.is_empty()) {
        (Some(command), true) => Ok(command),
        (None, _) => Err(Refusal::new(
            "the text contains no curl command",
            "pass the curl example of the documentation",
        )),
        (Some(_), false) => Err(Refusal::new(
            "the text contains more than one curl command",
            "pass the token request only; if it takes several requests, write [[then]] as the guide shows",
        )),
    }
}

/// The curl commands of a text. `outer` is the here-document around it.
fn curls(text: &str, outer: Option<&str>) -> Result<Vec<Command>, Refusal> {
    let text = text.replace("\r\n", "\n").replace('\u{a0}', " ");
    let (text, input) = without_here_document(&text);
    let input = input.or_else(|| outer.map(str::to_owned));
    let scanned = scan(&joined(&text));
    let mut variables = BTreeMap::new();
    let mut found: Vec<Command> = Vec::new();
    let mut is_behind_curl = false;
    for (piped, command) in &scanned.commands {
        let words = shlex::split(command).ok_or_else(|| {
            Refusal::new(
                "a quote is not closed",
                "copy the whole command from the documentation",
            )
        })?;
        let words = expanded(words, &scanned.substitutions);
        if *piped && is_behind_curl {
            if let (Some(path), Some(curl)) = (jq_path(&words), found.last_mut()) {
                curl.jq = Some(path);
            }
            continue;
        }
        is_behind_curl = false;
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next_if(|word| word == "export" || is_assignment(word)) {
            if let Some((name, value)) = word.split_once('=') {
                match substituted(value, &scanned.substitutions) {
                    Some(inside) if inside.contains("curl") => {
                        found.extend(curls(inside, input.as_deref())?);
                    }
                    _ => {
                        variables.insert(name.to_owned(), value.to_owned());
                    }
                }
            }
        }
        let program = words.next().unwrap_or_default();
        let program = program.rsplit(['/', '\\']).next().unwrap_or_default();
        if program != "curl" && program != "curl.exe" {
            continue;
        }
        is_behind_curl = true;
        found.push(Command {
            words: words.map(|word| with_variables(word, &variables)).collect(),
            jq: None,
            input: input.clone(),
        });
    }
    Ok(found)
}

/// Takes out prompts and comments, and joins continued lines.
fn joined(text: &str) -> String {
    let mut out = String::new();
    let mut is_continued = false;
    for line in text.lines() {
        let mut line = line.trim_end();
        let start = line.trim_start();
        if start.starts_with("```") || start.starts_with('#') || start.starts_with("//") {
            continue;
        }
        for prompt in ["$ ", "% ", "PS> "] {
            line = start.strip_prefix(prompt).unwrap_or(line);
        }
        if is_continued {
            line = line.strip_prefix("> ").unwrap_or(line);
        }
        let cut = line.strip_suffix('\\').or_else(|| line.strip_suffix(" ^"));
        let cut = cut.or_else(|| line.strip_suffix(" `"));
        is_continued = cut.is_some();
        out.push_str(cut.unwrap_or(line));
        out.push(if is_continued { ' ' } else { '\n' });
    }
    out
}

/// Takes out a here-document, and returns what it contains.
fn without_here_document(text: &str) -> (String, Option<String>) {
    let lines: Vec<_> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once("<<") else {
            continue;
        };
        let word: &str = after.trim_start_matches(['-', ' ']);
        let word = word.trim_start_matches(['\'', '"']);
        let name: String = word.chars().take_while(|c| c.is_alphanumeric()).collect();
        let end = lines.iter().skip(at + 1).position(|it| it.trim() == name);
        let Some(count) = end.filter(|_| !name.is_empty()) else {
            continue;
        };
        let rest = word[name.len()..].trim_start_matches(['\'', '"']);
        let mut kept = lines[..at].to_vec();
        let line = format!("{before}{rest}");
        kept.push(&line);
        kept.extend(&lines[at + 2 + count..]);
        let inside = lines[at + 1..=at + count].join("\n");
        return (kept.join("\n"), Some(inside));
    }
    (text.to_owned(), None)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn substituted<'s>(value: &str, all: &'s [String]) -> Option<&'s str> {
    let mut all = all.iter().enumerate();
    let found = all.find(|(at, _)| value == placeholder(*at));
    found.map(|(_, inside)| inside.as_str())
}

/// A word that stands for a substitution whose meaning is not known.
fn placeholder(at: usize) -> String {
    format!("<substitution_{at}>")
}

/// Replaces the marks of substitutions by placeholders.
fn expanded(words: Vec<String>, substitutions: &[String]) -> Vec<String> {
    let replace = |mut word: String| {
        for (at, inside) in substitutions.iter().enumerate() {
            let meant = if inside.contains("curl") {
                placeholder(at)
            } else if inside.contains("base64") {
                let pair = inside.split_whitespace().find(|word| word.contains(':'));
                let pair = pair.unwrap_or_default().trim_matches(['"', '\'', '\\']);
                format!("base64({pair})")
            } else if inside.contains("uuid") {
                "<uuid>".into()
            } else if inside.trim_start().starts_with("date") {
                "<timestamp>".into()
            } else {
                placeholder(at)
            };
            word = word.replace(&marker(at), &meant);
        }
        word
    };
    let mut kept = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match &*word {
            ">" | ">>" | "2>" | "<" => drop(words.next()),
            "2>&1" | "&" => {}
            text if text.starts_with("2>") => {}
            _ => kept.push(replace(word)),
        }
    }
    kept
}

/// Fills in variables that hold a part of the request or encode others, not those that hold a credential.
fn with_variables(word: String, variables: &BTreeMap<String, String>) -> String {
    let mut word = word;
    for (name, value) in variables {
        let is_part = ["http", "{", "base64("]
            .iter()
            .any(|start| value.starts_with(start));
        let forms = [format!("${{{name}}}"), format!("${name}")];
        // `$ID` is not a part of `$ID_TOKEN`.
        let ends = |text: &str| !text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        for form in forms.iter().filter(|_| is_part) {
            if let Some(at) = word.find(form.as_str())
                && ends(&word[at + form.len()..])
            {
                word.replace_range(at..at + form.len(), value);
            }
        }
    }
    word
}

/// The path of `jq -r .data.token`, as it is written.
fn jq_path(words: &[String]) -> Option<String> {
    let (program, rest) = words.split_first()?;
    if program != "jq" {
        return None;
    }
    let path = rest.iter().find(|word| word.starts_with('.'))?;
    (path.len() > 1).then(|| path.clone())
}
