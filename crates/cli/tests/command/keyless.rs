//! The guide to clients without a secret: its configurations are read, and its commands are run.

use crate::{sandbox::Running, world::World};

const GUIDE: &str = include_str!("../../../../docs/keyless.md");

/// The blocks of the guide in this language.
fn blocks(language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let blocks = GUIDE.split(&*start).skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

#[test]
fn each_configuration_of_the_guide_is_one() {
    let all = blocks("toml");
    assert_eq!(all.len(), 15);
    for toml in all {
        let builder = biped::Biped::builder().without_environment();
        let built = builder.toml(toml.clone()).build();
        let biped = built.unwrap_or_else(|error| panic!("{error}\n{toml}"));
        assert_ne!(biped.names().count(), 0, "{toml}");
    }
}

#[test]
fn the_guides_commands_work_as_they_stand() {
    let world = World::empty();
    let commands = blocks("sh").concat();
    let mut commands = commands.lines();
    let first = commands
        .next()
        .and_then(|it| it.strip_prefix("biped sandbox "));
    let arguments: Vec<_> = first.unwrap().split_whitespace().collect();
    let (_running, _) = Running::telling(&world, &arguments, 4);
    let commands: Vec<_> = commands.collect();
    assert_eq!(commands.len(), 4, "{commands:?}");
    for command in commands {
        let line = command.strip_prefix("biped ").unwrap();
        assert_ne!(world.run(line).ok(), "", "{command}");
    }
}

#[test]
fn each_section_of_the_guide_is_reached_from_its_top() {
    let sections = GUIDE.lines().filter_map(|line| line.strip_prefix("## "));
    for section in sections {
        let anchor = section.to_lowercase().replace(' ', "-").replace('\'', "");
        let link = format!("- [{section}](#{anchor})\n");
        assert!(GUIDE.contains(&link), "{link}");
    }
}
