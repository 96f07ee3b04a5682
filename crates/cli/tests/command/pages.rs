//! `biped completions`, `biped man`, help, and colour.

use crate::world::World;

#[test]
fn completions_are_for_each_shell() {
    let world = World::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(
            world
                .run(&format!("completions {shell}"))
                .ok()
                .contains("exec"),
            "{shell}"
        );
    }
    world.run("completions tcsh").failed(2);
}

#[test]
fn there_is_a_page_for_biped_and_for_each_command() {
    let world = World::empty();
    assert!(world.run("man").ok().contains(".TH biped 1"));
    assert!(world.run("man call").ok().contains("PATH_OR_URL"));
    world.run("man cal").failed(2);
}

#[test]
fn help_and_version_are_data() {
    let world = World::empty();
    assert!(world.run("--help").ok().contains("Exit status"));
    assert!(world.run("call --help").ok().contains("PATH_OR_URL"));
    assert!(world.run("--version").ok().starts_with("biped "));
}

#[test]
fn colour_is_for_terminals_or_on_demand() {
    let world = World::with("k&1=4+%2Bq", "wrong");
    let colorful = |text: &str| text.contains('\u{1b}');
    let plain = world.run("check");
    assert!(!colorful(&plain.stdout) && !colorful(&plain.stderr));
    assert!(colorful(&world.run("check --color always").stdout));
    assert!(colorful(&world.run("token shop --color=always").stderr));
    assert!(colorful(
        &world.run("token nope nope --color=always").stderr
    ));
    assert!(colorful(&world.run("list --color always").stdout));
    let data = world.run("token exports --color always").ok();
    assert!(!colorful(&data));
    world.run("list --color sometimes").failed(2);
}
