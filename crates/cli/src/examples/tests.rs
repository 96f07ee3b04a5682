use super::*;

#[test]
fn every_command_has_examples_and_no_example_is_left_over() {
    fn paths(command: &Command, path: &str, found: &mut Vec<String>) {
        for one in command.get_subcommands() {
            if one.is_hide_set() {
                continue;
            }
            let path = format!("{path} {}", one.get_name()).trim().to_owned();
            paths(one, &path, found);
            found.push(path);
        }
    }
    let mut found = Vec::new();
    paths(&crate::args::line(&biped::Biped::builder()), "", &mut found);
    found.sort();
    let mut known: Vec<_> = OF_COMMANDS.iter().map(|(path, _)| *path).collect();
    known.sort_unstable();
    assert_eq!(found, known);
}

/// The words of a line, as a shell reads them, without what follows a redirection.
fn words(line: &str) -> Vec<String> {
    let line = line
        .strip_prefix("eval \"$(")
        .map_or(line, |rest| rest.trim_end_matches(")\""));
    let line = line.split(" >").next().unwrap();
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in line.chars() {
        match (character, quote) {
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if open == character => quote = None,
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words
}

/// The chapters of the book.
fn chapters() -> String {
    let directory = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
    let files = directory.unwrap().map(|entry| entry.unwrap().path());
    let chapters = files.filter(|file| file.extension().is_some_and(|end| end == "md"));
    chapters
        .map(|file| std::fs::read_to_string(file).unwrap() + "\n")
        .collect()
}

#[test]
fn every_example_is_a_line_that_biped_reads() {
    let builder = biped::Biped::builder();
    let of_commands = OF_COMMANDS.iter().flat_map(|(_, examples)| examples);
    let examples = of_commands.chain(&OF_BIPED).map(|(_, line)| *line);
    let readme = include_str!("../../../../README.md").lines();
    // A line of a manifest is not a command.
    let is_command = |line: &&str| line.starts_with("biped ") && !line.starts_with("biped =");
    let readme = readme.filter(is_command);
    let readme: Vec<_> = readme
        .map(|line| {
            line.split(" #")
                .next()
                .unwrap()
                .trim_end_matches([' ', '&'])
        })
        .map(|line| line.split(" &").next().unwrap())
        .collect();
    assert!(readme.len() >= 7, "{readme:?}");
    let book = chapters();
    let book = book.lines().filter(is_command);
    // What a shell does with the command is not biped's.
    let book = book.map(|line| line.split(" & ").next().unwrap().trim_end_matches(" &"));
    let book: Vec<_> = book.map(|line| line.split(" | ").next().unwrap()).collect();
    assert!(book.len() >= 9, "{book:?}");
    for line in examples.chain(readme).chain(book) {
        let words = words(line).into_iter();
        let words = words.skip_while(|word| *word != "biped");
        let words: Vec<_> = words.map(Into::into).collect();
        let read = crate::args::Args::read(&builder, &words);
        assert!(read.is_ok(), "{line}: {words:?}: {}", read.unwrap_err());
    }
}
