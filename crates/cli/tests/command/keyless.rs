//! The commands of the book's chapter about clients without a secret.

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
