//! `biped completions`: a script for a shell, and the names that such a script asks for.
//!
//! `clap_complete` generates the scripts. Its own way to complete names that only the program knows is
//! marked unstable: it may change in any release, and with it what a script asks a program. So a few
//! lines are added here to each script, which ask for the words at the cursor.

use std::{ffi::OsString, path::Path};

use biped::dialect::{Catalogue, VendorFile};
use clap::Command;
use clap_complete::Shell;

use crate::{args, failure::Outcome, output, session::Session};

/// Prints a script, or the names that can be at the end of a line.
pub(crate) fn run(session: &Session, args: &args::Completions) -> Outcome {
    if let Some((last, before)) = args.words.split_last() {
        let names = names(session, before, last);
        return output::data(names.collect::<String>().as_bytes());
    }
    let program = std::env::args_os().next();
    let program = program.as_deref().map(Path::new);
    let program = program.and_then(|path| path.file_stem()?.to_str().map(str::to_owned));
    let program = program.unwrap_or_else(|| "biped".into());
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut session.command_line(),
        &program,
        &mut script,
    );
    let script = String::from_utf8_lossy(&script);
    output::data(with_names(args.shell, &script, &program).as_bytes())
}

/// Adds the request for names to a script.
fn with_names(shell: Shell, script: &str, program: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let function = format!("_{}_names", program.chars().map(word).collect::<String>());
    match shell {
        Shell::Bash => {
            // What the script completes with.
            let own = script.split("complete -F ").nth(1);
            let own = own
                .and_then(|rest| rest.split_whitespace().next())
                .unwrap_or_default();
            let script = script.replace(
                &format!("complete -F {own} "),
                &format!("complete -F {function} "),
            );
            let names = format!(
                "{function}() {{\n    \
                     local names=() word\n    \
                     while IFS= read -r word; do\n        \
                         [[ $word == \"$2\"* ]] && names+=(\"$word\")\n    \
                     done < <(\"$1\" completions bash -- \"${{COMP_WORDS[@]:1:COMP_CWORD}}\" 2>/dev/null)\n    \
                     {own} \"$@\"\n    \
                     if [[ ${{#names[@]}} -gt 0 ]]; then COMPREPLY=(\"${{names[@]}}\"); fi\n\
                 }}\n\n"
            );
            names + &script
        }
        Shell::Zsh => {
            let lines = script.lines().map(|line| {
                let is_name = ["':name -- ", "'*::names -- "]
                    .iter()
                    .any(|it| line.starts_with(it));
                let line = match is_name {
                    true => line.replace(":_default'", &format!(":{function}'")),
                    false => line.to_owned(),
                };
                line + "\n"
            });
            let script: String = lines.collect();
            // The words of the line as it is: `words` holds fewer in a command of a command.
            let names = format!(
                "(( $+functions[{function}] )) ||\n\
                 {function}() {{\n    \
                     local -a line names\n    \
                     line=(${{(z)LBUFFER}})\n    \
                     [[ $LBUFFER == *[[:space:]] ]] && line+=('')\n    \
                     names=(${{(f)\"$({program} completions zsh -- \"${{(@)line[2,-1]}}\" 2>/dev/null)\"}})\n    \
                     if (( $#names )); then compadd -a names; else _default; fi\n\
                 }}\n\n"
            );
            // Before the script completes.
            let end = "if [ \"$funcstack[1]\"";
            match script.rsplit_once(end) {
                Some((before, after)) => format!("{before}{names}{end}{after}"),
                None => script,
            }
        }
        Shell::Fish => format!(
            "{script}complete -c {program} -a \"({program} completions fish -- \
             (commandline -opc)[2..] (commandline -ct) 2>/dev/null)\"\n"
        ),
        _ => script.to_owned(),
    }
}

/// What a name at the cursor is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Provider,
    Vendor,
}

/// Returns the names that can be the `last` word after these, a line each. They come from a file that may
/// not be trusted: a shell must find nothing in them but a name.
fn names(
    session: &Session,
    before: &[OsString],
    last: &OsString,
) -> impl Iterator<Item = String> + use<> {
    let line = Line::read(&session.command_line(), before, last);
    let names: Vec<String> = match line.wanted {
        None => Vec::new(),
        Some(Wanted::Vendor) => {
            let all = Catalogue::built_in().entries();
            all.map(VendorFile::name).map(str::to_owned).collect()
        }
        Some(Wanted::Provider) => session.provider_names(line.config.as_deref()),
    };
    let is_plain = |name: &String| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        name.bytes().all(is_plain) && !name.starts_with('-')
    };
    names.into_iter().filter(is_plain).map(|name| name + "\n")
}

/// What a line that is being typed asks for.
struct Line {
    wanted: Option<Wanted>,
    /// The value of `--config`.
    config: Option<OsString>,
}

impl Line {
    fn read(root: &Command, before: &[OsString], last: &OsString) -> Self {
        let mut root = root.clone();
        root.build();
        let mut line = Self {
            wanted: None,
            config: None,
        };
        let mut command = &root;
        let mut positionals = 0;
        let mut words = before.iter();
        while let Some(word) = words.next() {
            let Some(text) = word.to_str() else {
                positionals += 1;
                continue;
            };
            if text == "--" {
                return line;
            }
            if let Some(option) = text.strip_prefix('-').filter(|option| !option.is_empty()) {
                let (name, value) = match option.split_once('=') {
                    Some((name, value)) => (name, Some(OsString::from(value))),
                    None => (option, None),
                };
                if value.is_none() && !takes_value(command, name) {
                    continue;
                }
                let Some(value) = value.or_else(|| words.next().cloned()) else {
                    // The cursor is at the value of an option.
                    return line;
                };
                if name == "-config" {
                    line.config = Some(value);
                }
                continue;
            }
            match command.find_subcommand(text).filter(|_| positionals == 0) {
                Some(found) => command = found,
                None => positionals += 1,
            }
        }
        if last.to_str().is_none_or(|last| !last.starts_with('-')) {
            line.wanted = wanted(command, positionals);
        }
        line
    }
}

/// Whether an option, without its first dash, is followed by a value.
fn takes_value(command: &Command, option: &str) -> bool {
    let mut arguments = command.get_arguments();
    let found = arguments.find(|argument| match option.strip_prefix('-') {
        Some(long) => argument.get_long() == Some(long),
        None => argument
            .get_short()
            .is_some_and(|short| option == short.to_string()),
    });
    found.is_some_and(|argument| argument.get_action().takes_values())
}

/// What the positional argument with this number names, counted from 0.
fn wanted(command: &Command, number: usize) -> Option<Wanted> {
    // What follows `--` is not meant.
    let all: Vec<_> = command
        .get_positionals()
        .filter(|argument| !argument.is_last_set())
        .collect();
    let argument = match all.get(number) {
        Some(argument) => argument,
        None => all
            .last()
            .filter(|last| last.get_num_args().is_some_and(|it| it.max_values() > 1))?,
    };
    match (argument.get_id().as_str(), command.get_name()) {
        ("name", "show") => Some(Wanted::Vendor),
        ("name" | "names", _) => Some(Wanted::Provider),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_wanted_where_the_command_line_takes_one() {
        let command = args::line(&biped::Biped::builder());
        let read = |line: &str| {
            let words: Vec<_> = line.split(' ').map(OsString::from).collect();
            let (last, before) = words.split_last().unwrap();
            Line::read(&command, before, last)
        };
        for line in [
            "token ",
            "token sh",
            "token --format json ",
            "token --fresh ",
            "-v token ",
            "--config a.toml call ",
            "exec ",
            "exec shop ",
            "check shop exports e",
            "inspect ",
            "forget --scope a ",
        ] {
            assert_eq!(read(line).wanted, Some(Wanted::Provider), "{line}");
        }
        assert_eq!(read("vendors show pay").wanted, Some(Wanted::Vendor));
        for line in [
            "",
            "tok",
            "token shop ",
            "token -",
            "token --format ",
            "call shop ",
            "call shop GET ",
            "exec shop -- ",
            "list ",
            "config show ",
            "vendors ",
            "--config ",
        ] {
            assert_eq!(read(line).wanted, None, "{line}");
        }
        assert_eq!(read("--config a.toml token ").config.unwrap(), "a.toml");
        assert_eq!(read("token --config=b.toml ").config.unwrap(), "b.toml");
    }
}
