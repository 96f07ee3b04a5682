//! What a refused client is told about its credentials.

use std::fs;

use crate::world::{Ran, World};

/// A shop whose secret is what is written in TOML, at a line that is known.
fn shop(secret: &str) -> World {
    let world = World::empty();
    let url = world.sandbox().url();
    world.write(
        "biped.toml",
        &format!(
            "[providers.shop]\nkind = 'envelope'\nbase_url = '{url}'\nclient_id = 'shop-backend'\n\
             client_secret = {secret}\n"
        ),
    );
    world
}

/// What `token` and `check` say on their way to status 3, each on its own.
#[track_caller]
fn told(world: &World, variables: &[(&str, &str)]) -> [String; 2] {
    ["token shop", "check shop"].map(|line| {
        let mut command = world.command(line.split(' '));
        let ran = Ran::of(command.envs(variables.iter().copied()).output().unwrap());
        assert_eq!(ran.status, 3, "{ran:?}");
        ran.stdout + &ran.stderr
    })
}

#[test]
fn a_refused_client_names_the_places_of_its_credentials() {
    let world = shop("'wr0ng'");
    fs::write(world.path("secret"), "wr0ng").unwrap();
    for (secret, place) in [
        ("'wr0ng'", "providers.shop.client_secret, biped.toml:5"),
        (
            "'env:S'",
            "env:S in providers.shop.client_secret, biped.toml:5",
        ),
        (
            "'file:secret'",
            "secret in providers.shop.client_secret, biped.toml:5",
        ),
        (
            "{ cmd = ['echo', 'wr0ng'] }",
            "cmd:echo in providers.shop.client_secret, biped.toml:5",
        ),
        (
            "['env:S', 'wr0ng']",
            "member 2 of providers.shop.client_secret, biped.toml:5",
        ),
    ] {
        let world = shop(secret);
        fs::write(world.path("secret"), "wr0ng").unwrap();
        for text in told(&world, &[("S", "wr0ng-as-well")]) {
            assert!(text.contains(place), "{place}: {text}");
            assert!(
                text.contains("providers.shop.client_id, biped.toml:4"),
                "{text}"
            );
            assert!(!text.contains("wr0ng"), "{text}");
        }
    }
    let variable = "BIPED_PROVIDERS__SHOP__CLIENT_SECRET";
    for text in told(&world, &[(variable, "wr0ng")]) {
        assert!(text.contains(variable), "{text}");
    }
}

#[test]
fn what_is_odd_about_a_refused_secret_is_told_before_anything_else_is_suspected() {
    let variable = "BIPED_PROVIDERS__SHOP__CLIENT_SECRET";
    for (secret, variables, odd) in [
        (
            "'$SHOP_S3CRET'",
            &[][..],
            "looks like the name of a variable",
        ),
        ("'${SHOP_S3CRET}'", &[], "looks like the name of a variable"),
        ("'ENV:SHOP_S3CRET'", &[], "looks like a reference"),
        ("'`pass s3cret`'", &[], "looks like a command"),
        (
            "'x'",
            &[(variable, "cmd:pass S3CRET")],
            "looks like a reference",
        ),
        ("\"s3cret\\n\"", &[], "ends with a newline"),
        ("'env:S'", &[("S", "s3cret ")], "ends with a blank"),
        (
            "'env:S'",
            &[("S", "\u{200b}s3cret")],
            "starts with an invisible character",
        ),
        (
            "['x', 'env:S']",
            &[("S", "\ts3cret")],
            "starts with a blank",
        ),
    ] {
        let world = shop(secret);
        let [token, check] = told(&world, variables);
        for text in [&token, &check] {
            assert!(text.contains(odd), "{odd}: {text}");
            assert!(!text.to_lowercase().contains("s3cret"), "{text}");
            assert!(!text.contains("check client_id"), "{text}");
        }
        let place = match variables {
            [(name, _)] if *name == variable => variable,
            _ => "biped.toml:5",
        };
        let found = token.find(odd).unwrap();
        assert!(token[..found].contains(place), "{token}");
        assert!(found < token.find("401021").unwrap(), "{token}");
    }
}

#[test]
fn a_blank_is_sent_as_it_is() {
    // The sandbox's own secret contains one; cutting it off would break what works.
    let world = World::new();
    world.run("token shop").ok();
}
