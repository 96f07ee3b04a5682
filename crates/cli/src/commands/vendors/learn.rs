//! `biped vendors learn`.

use std::{
    io::{self, BufRead, IsTerminal as _, Read as _, Write},
    path::Path,
};

use biped::{
    Error,
    config::{MAX_FILE_SIZE, read_text_file},
    provider::{Clock as _, SystemClock},
};
use biped_learn::{Learned, Material, Written, learn};
use serde::Serialize;

use crate::{
    args::{Learn, PageFormat},
    failure::{Failure, Outcome},
    output, words,
};

/// The texts of the documentation.
#[derive(Debug, Default, PartialEq)]
struct Texts {
    curl: String,
    response: Option<String>,
    error: Option<String>,
    api: Option<String>,
    docs: Option<String>,
}

/// What was learned, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    /// `file` for a vendor file, `oauth2` for an entry of that kind.
    written: &'static str,
    toml: &'a str,
    notes: &'a [String],
}

impl<'a> Shown<'a> {
    fn of(name: &'a str, learned: &'a Learned) -> Self {
        Self {
            name,
            written: match learned.written {
                Written::Entry => "oauth2",
                _ => "file",
            },
            toml: &learned.text,
            notes: &learned.notes,
        }
    }
}

pub(super) fn run(args: &Learn, format: PageFormat) -> Outcome {
    let texts = texts(args)?;
    let today = words::rfc3339(SystemClock.now().wall);
    let mut material = Material::new(&args.name, &texts.curl);
    material.response = texts.response.as_deref();
    material.error = texts.error.as_deref();
    material.api = texts.api.as_deref();
    material.docs = texts.docs.as_deref();
    material.checked = today.as_deref().and_then(|today| today.get(..10));
    let learned = learn(&material).map_err(|refusal| {
        let error = Error::configuration(refusal.reason().to_owned());
        Failure::from(error.with_remedy(refusal.remedy().to_owned()))
    })?;
    for note in &learned.notes {
        output::note(note);
    }
    match format {
        PageFormat::Json => output::json(&Shown::of(&args.name, &learned)),
        PageFormat::Markdown => output::text(&format!("```toml\n{}```\n", learned.text)),
        PageFormat::Text => output::data(learned.text.as_bytes()),
    }
}

fn texts(args: &Learn) -> Outcome<Texts> {
    let files = [&args.curl, &args.response, &args.error, &args.api];
    if files.iter().all(|file| file.is_none()) && io::stdin().is_terminal() {
        let mut texts = pasted(io::stdin().lock(), &mut anstream::stderr().lock())?;
        texts.docs = args.docs.clone().or(texts.docs);
        return Ok(texts);
    }
    let Some(curl) = &args.curl else {
        let error = Error::configuration("--curl is missing");
        let remedy = "pass the curl command of the token request with --curl FILE, or paste it on a terminal";
        return Err(error.with_remedy(remedy).into());
    };
    let from_stdin = files.iter().filter(|file| is_stdin(file.as_deref()));
    if from_stdin.count() > 1 {
        let error = Error::configuration("more than one option reads stdin");
        return Err(error.with_remedy("use - once").into());
    }
    let optional = |file: &Option<_>| file.as_deref().map(read).transpose();
    Ok(Texts {
        curl: read(curl)?,
        response: optional(&args.response)?,
        error: optional(&args.error)?,
        api: optional(&args.api)?,
        docs: args.docs.clone(),
    })
}

fn is_stdin(file: Option<&Path>) -> bool {
    file == Some(Path::new("-"))
}

fn read(file: &Path) -> Outcome<String> {
    let read = match is_stdin(Some(file)) {
        true => {
            let mut text = String::new();
            let limit = MAX_FILE_SIZE as u64;
            let read = io::stdin().lock().take(limit).read_to_string(&mut text);
            read.map(|_| text)
        }
        false => read_text_file(file, MAX_FILE_SIZE),
    };
    read.map_err(|error| {
        let shown = file.display();
        Error::configuration(format!("{shown} can't be read: {error}")).into()
    })
}

/// Asks for the texts. An empty line ends each of them; one that is empty is not known.
fn pasted(mut input: impl BufRead, out: &mut impl Write) -> io::Result<Texts> {
    let mut ask = |what: &str| -> io::Result<Option<String>> {
        writeln!(out, "Paste {what}, then an empty line:")?;
        out.flush()?;
        let mut text = String::new();
        loop {
            let mut line = String::new();
            let is_end = input.read_line(&mut line)? == 0;
            if is_end || line.trim().is_empty() || text.len() > MAX_FILE_SIZE {
                break;
            }
            text.push_str(&line);
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    };
    Ok(Texts {
        curl: ask("the curl command of the token request")?.unwrap_or_default(),
        response: ask("the response to it")?,
        error: ask("a refusal, if the documentation shows one")?,
        api: ask("the curl command of an API call, if there is one")?,
        docs: ask("the address of the documentation")?.map(|text| text.trim().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_ends_what_is_pasted() {
        let input = "curl a \\\n -d b\n\n{\n}\n\n\n\nhttps://docs.example\n\n";
        let mut shown = Vec::new();
        let texts = pasted(input.as_bytes(), &mut shown).unwrap();
        assert_eq!(texts.curl, "curl a \\\n -d b\n");
        assert_eq!(texts.response.as_deref(), Some("{\n}\n"));
        assert_eq!((texts.error, texts.api), (None, None));
        assert_eq!(texts.docs.as_deref(), Some("https://docs.example"));
        assert_eq!(shown.iter().filter(|byte| **byte == b'\n').count(), 5);
    }
}
