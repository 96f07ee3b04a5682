//! `biped exec`.

use crate::world::World;

#[test]
fn the_command_finds_each_token_in_its_environment() {
    let world = World::new();
    let script = "printf '%s\\n' \"$SHOP_ACCESS_TOKEN\" \"$SHOP_TOKEN_TYPE\" \"$SHOP_BASE_URL\" \
                  \"$SHOP_EXPIRES_AT\" \"${SHOP_SCOPE-none}\" \"$EXPORTS_US_BASE_URL\" \
                  \"$EXPORTS_US_SCOPE\" \"$EXPORTS_US_TOKEN_TYPE\"";
    let printed = world
        .run_words(["exec", "shop", "exports-us", "--", "sh", "-c", script])
        .ok();
    let lines: Vec<_> = printed.lines().collect();
    let [
        token,
        kind,
        url,
        expiry,
        scope,
        other_url,
        other_scope,
        other_kind,
    ] = lines[..]
    else {
        panic!("{printed}");
    };
    assert!(token.starts_with("sk-"));
    assert_eq!((kind, scope), ("Bearer", "none"));
    assert_eq!(url, world.sandbox().url());
    assert!(expiry.parse::<jiff::Timestamp>().is_ok(), "{expiry}");
    assert_eq!(other_url, world.sandbox().clouds()[1]);
    assert_eq!(other_scope, "data-export");
    // The vendor itself calls it bearer, and takes it as Bearer only.
    assert_eq!(other_kind, "Bearer");
}

#[test]
fn an_inherited_variable_of_another_token_is_unset() {
    let world = World::new();
    let mut command = world.command(["exec", "shop", "--", "printenv", "SHOP_SCOPE"]);
    let output = command.env("SHOP_SCOPE", "old").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_token_that_may_end_before_its_command_is_told() {
    let mut world = World::new();
    world.shorten_tokens();
    let ran = world.run("exec shop -- true");
    assert_eq!(ran.status, 0);
    assert!(ran.stderr.contains("--serve"), "{}", ran.stderr);
}

#[test]
fn the_exit_status_is_the_commands_own() {
    let world = World::new();
    for status in [0, 3, 77] {
        let script = format!("exit {status}");
        let ran = world.run_words(["exec", "shop", "--", "sh", "-c", &script]);
        assert_eq!(ran.status, status);
        assert_eq!(ran.stderr, "");
    }
}

#[test]
fn options_after_the_dashes_are_the_commands() {
    let world = World::new();
    let printed = world.run("exec shop -- echo --format json -v -- x").ok();
    assert_eq!(printed, "--format json -v -- x\n");
}

#[test]
fn without_a_token_the_command_is_not_run() {
    let world = World::with("k&1=4+%2Bq", "wrong");
    let words = [
        "exec", "--format", "json", "exports", "shop", "--", "touch", "ran",
    ];
    let error = world.run_words(words).error(3);
    assert_eq!(error["provider"], "shop");
    assert!(!world.path("ran").exists());
}

#[test]
fn a_command_that_is_none_is_a_usage_error() {
    let world = World::new();
    world.run("exec shop --").failed(2);
    world.run("exec shop").failed(2);
    assert_eq!(world.run("exec nope -- true").failed(2).lines().count(), 1);
}

#[test]
fn a_program_that_is_missing_or_can_not_be_run_is_told_as_a_shell_does() {
    let world = World::new();
    world.write_untrusted("data", "not a program");
    for (program, status) in [
        ("/nowhere/nothing", 127),
        ("no-such-program-anywhere", 127),
        ("./data", 126),
        ("/", 126),
    ] {
        let told = world.run(&format!("exec shop -- {program}")).failed(status);
        assert!(told.contains(program), "{told}");
        let error = world
            .run(&format!("exec --format json shop -- {program}"))
            .error(status);
        assert_eq!(error["kind"], "configuration");
    }
}

#[test]
fn names_that_would_share_variables_are_refused() {
    let world = World::new();
    let config = world.sandbox().config_toml();
    world.write(
        "biped.toml",
        &config.replace("[providers.exports]", "[providers.exports_us]"),
    );
    world.run("exec exports_us exports-us -- true").failed(2);
    assert_eq!(world.token_requests(), 0);
    world.run("exec shop shop -- true").ok();
    assert_eq!(world.token_requests(), 1);
}
