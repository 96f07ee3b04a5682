//! `biped completions`, `biped man`, help, and colour.

use crate::world::{Ran, World};

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
fn a_page_of_the_manual_tells_variables_files_and_examples() {
    let world = World::empty();
    for (line, example) in [("man", "biped check"), ("man token", "biped token shop")] {
        let page = world.run(line).ok();
        let sections = page.lines().filter_map(|line| line.strip_prefix(".SH "));
        let sections: Vec<_> = sections.map(|name| name.trim_matches('"')).collect();
        for name in [
            "NAME",
            "SYNOPSIS",
            "EXIT STATUS",
            "ENVIRONMENT",
            "FILES",
            "EXAMPLES",
        ] {
            assert_eq!(
                sections.iter().filter(|known| **known == name).count(),
                1,
                "{sections:?}"
            );
        }
        assert!(!sections.contains(&"EXTRA"), "{sections:?}");
        for text in [
            "BIPED_CONFIG",
            "NO_COLOR",
            "XDG_STATE_HOME",
            "biped.toml",
            example,
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
    }
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

/// The examples at the end of a command's help.
fn examples(world: &World, path: &[&str]) -> Vec<String> {
    let help = world.run_words(path.iter().copied().chain(["--help"])).ok();
    let (_, examples) = help
        .rsplit_once("Examples:\n")
        .unwrap_or_else(|| panic!("{help}"));
    let lines: Vec<_> = examples.lines().collect();
    assert_eq!(lines.len(), 4, "{examples}");
    let lines = lines.chunks(2).map(|example| example[1].trim().to_owned());
    lines.collect()
}

/// Every path to a command, by the help.
fn commands(world: &World, path: &[&str]) -> Vec<Vec<String>> {
    let help = world.run_words(path.iter().copied().chain(["-h"])).ok();
    let Some((_, listed)) = help.split_once("Commands:\n") else {
        return Vec::new();
    };
    let listed = listed.lines().take_while(|line| line.starts_with("  "));
    // A description may go on below.
    let listed = listed.filter(|line| !line.starts_with("   "));
    let names = listed.filter_map(|line| line.split_whitespace().next());
    let mut found = Vec::new();
    for name in names.filter(|name| *name != "help") {
        let path: Vec<_> = path.iter().copied().chain([name]).collect();
        found.extend(commands(world, &path));
        found.push(path.into_iter().map(str::to_owned).collect());
    }
    found
}

/// Where a shell finds `biped`, and all that this process finds.
#[cfg(unix)]
fn path() -> std::ffi::OsString {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_biped"));
    let mut directories = vec![binary.parent().unwrap().to_owned()];
    directories.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    std::env::join_paths(directories).unwrap()
}

#[cfg(unix)]
#[test]
fn the_help_of_every_command_ends_with_two_examples_that_work() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let all = commands(&world, &[]);
    assert!(all.len() > 15, "{all:?}");
    let paths = all
        .iter()
        .map(|path| path.iter().map(String::as_str).collect());
    let path = path();
    let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    std::os::unix::fs::symlink(checkout, world.path("biped")).unwrap();
    for command in paths.chain([Vec::new()]) {
        for line in examples(&world, &command) {
            if command == ["sandbox"] || command == ["serve"] {
                // They run until they are stopped; that the line is right is a test of its own.
                continue;
            }
            if command == ["vendors", "test"] || command == ["seed"] {
                // They ask a vendor, and the second reads stdin.
                continue;
            }
            let mut config = world.sandbox().config_toml();
            if line.contains("--tenant") {
                config.push_str(&crate::tenants::provider(&world));
            }
            world.write("biped.toml", &config);
            world.write_untrusted("order.json", "{\"item\": 1}");
            world.write_untrusted("mine.toml", "url = \"https://v.example/t\"");
            let curl = "curl -X POST https://api.acme.example/auth -d id=YOUR_ID -d key=YOUR_KEY\n";
            world.write_untrusted("token.sh", curl);
            world.write_untrusted("ok.json", "{\"token\": \"abc\", \"expires_in\": 3600}");
            world.write_untrusted("no.json", "{\"code\": \"E1\", \"message\": \"no\"}");
            world.write_untrusted("report", "#!/bin/sh\ntest -n \"$SHOP_ACCESS_TOKEN\"\n");
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(world.path("report"), executable).unwrap();
            if command == ["init"] {
                std::fs::remove_file(world.path("biped.toml")).unwrap();
            }
            let mut shell = std::process::Command::new("bash");
            shell.args(["-c", &line]).current_dir(world.path("."));
            shell
                .env_clear()
                .env("HOME", world.path("."))
                .env("PATH", &path);
            let ran = Ran::of(shell.output().unwrap());
            // The sandbox's API takes no POST, and says so. No sidecar runs.
            let status = match command[..] {
                _ if line.contains("POST") => 5,
                ["ready"] => 4,
                _ => 0,
            };
            assert_eq!(ran.status, status, "{line}: {ran:?}");
        }
    }
}

/// What bash completes a line to.
#[cfg(unix)]
fn completed(world: &World, line: &str) -> Vec<String> {
    const SCRIPT: &str = r#"
        eval "$(biped completions bash)"
        IFS=' ' read -ra COMP_WORDS <<< "$0"
        [[ $0 == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        complete -p biped | grep -q -- '-F _biped_names' || exit 3
        _biped_names biped "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", SCRIPT, line]);
    shell.current_dir(world.path(".")).env_clear();
    shell.env("HOME", world.path(".")).env("PATH", path());
    let ran = Ran::of(shell.output().unwrap());
    assert_eq!((ran.status, &*ran.stderr), (0, ""), "{line}: {ran:?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn completions_offer_the_names_of_the_configuration_and_read_nothing_else() {
    let world = World::empty();
    let command = "{ cmd = ['touch', 'ran'] }";
    let config = |name: &str| {
        format!(
            "[providers.{name}]\nkind = 'envelope'\nbase_url = 'https://a.example'\n\
             client_id = {command}\nclient_secret = {command}\n"
        )
    };
    let mut text = config("shop") + &config("exports") + &config("'$(touch ran)'");
    text += &config("'-x'");
    world.write_untrusted("biped.toml", &text);
    world.write_untrusted("other.toml", &config("crm"));
    for (line, names) in [
        ("biped token ", &["exports", "shop"][..]),
        ("biped token s", &["shop"]),
        ("biped exec shop e", &["exports"]),
        ("biped -v check ", &["exports", "shop"]),
        ("biped --config other.toml inspect ", &["crm"]),
        ("biped vendors show payp", &["paypal"]),
        ("biped tok", &["token"]),
    ] {
        assert_eq!(completed(&world, line), names, "{line}");
    }
    assert!(completed(&world, "biped token --f").contains(&"--format".to_owned()));
    assert!(!completed(&world, "biped token shop ").contains(&"shop".to_owned()));
    assert!(!world.path("ran").exists());

    // Without a configuration there is nothing to offer, and nothing to complain of.
    let world = World::empty();
    assert!(!completed(&world, "biped token ").contains(&"shop".to_owned()));
}
