//! `--tenant`.

use biped_sandbox::SHOP;
use serde_json::Value;

use crate::world::World;

/// The shop as the provider `crm`, with a secret for each tenant.
pub(crate) fn provider(world: &World) -> String {
    world.write("of-acme", SHOP.client_secret);
    world.write("of-umbrella", SHOP.client_secret);
    world.write("of-wrong", "not this one");
    format!(
        "\n[providers.crm]\nkind = 'envelope'\ntenant = '[a-z]+'\nbase_url = '{}'\n\
         client_id = '{}'\nclient_secret = 'file:of-{{tenant}}'\n",
        world.sandbox().url(),
        SHOP.client_id
    )
}

fn world() -> World {
    let world = World::empty();
    let config = world.sandbox().config_toml() + &provider(&world);
    world.write("biped.toml", &config);
    world
}

fn states(world: &World, line: &str) -> Vec<(String, String)> {
    let rows = world.run(line).json();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let rows = rows.as_array().unwrap().iter();
    let crm = rows.filter(|row| row["provider"] == "crm");
    crm.map(|row| (text(row, "tenant"), text(row, "state")))
        .collect()
}

#[test]
fn each_tenant_has_a_token_of_its_own() {
    let world = world();
    let acme = world.run("token crm --tenant acme").ok();
    assert_eq!(world.run("token crm --tenant acme").ok(), acme);
    let umbrella = world.run("token crm --tenant umbrella").ok();
    assert_ne!(acme, umbrella);
    assert_eq!(world.token_requests(), 2);
    world.run("call crm GET /v1/orders --tenant acme").ok();
    let checked = world
        .run("check crm shop --tenant acme --format json")
        .json();
    assert_eq!(checked[0]["tenant"], "acme");
    assert!(checked[1].get("tenant").is_none(), "{checked}");

    let error = world.run("token crm --tenant wrong --format json").error(3);
    assert_eq!(error["kind"], "refused");
    assert_eq!(world.run("token crm --tenant umbrella").ok(), umbrella);
}

#[test]
fn list_shows_one_tenant_and_forget_forgets_one() {
    let world = world();
    world.run("token crm --tenant acme").ok();
    world.run("token crm --tenant umbrella").ok();
    let acme = "list --format json --tenant acme";
    let rows = world.run(acme).json();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    let of = |tenant: &str, state: &str| vec![(tenant.to_owned(), state.to_owned())];
    assert_eq!(states(&world, acme), of("acme", "fresh"));
    // The tokens of tenants that are not named can't be looked up.
    assert_eq!(states(&world, "list --format json"), of("", "unknown"));
    let list = world.run("list");
    assert!(list.stderr.contains("--tenant"), "{list:?}");
    assert!(!world.run("list --tenant acme").stderr.contains("--tenant"));
    world.run("forget crm --tenant acme").ok();
    assert_eq!(states(&world, acme), of("acme", "missing"));
    let umbrella = "list --format json --tenant umbrella";
    assert_eq!(states(&world, umbrella), of("umbrella", "fresh"));
}

#[test]
fn the_list_of_a_tenant_that_no_provider_can_have_is_an_error() {
    let world = world();
    let said = |line: &str| {
        let error = world.run(line).error(2);
        assert_eq!(error["kind"], "configuration", "{line}");
        error["message"].as_str().unwrap().to_owned()
    };
    let line = "list --tenant ACME --format json";
    assert!(said(line).contains("does not match"));
    let another = provider(&world)
        .replace("crm", "other")
        .replace("[a-z]+", "[A-Z]+");
    let config = world.sandbox().config_toml();
    world.write(
        "biped.toml",
        &format!("{config}{}{another}", provider(&world)),
    );
    let rows = world.run(line).json();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(rows[0]["provider"], "other");
    world.write("biped.toml", &config);
    assert!(said(line).contains("no provider has tenants"));
}

#[test]
fn nothing_is_sent_without_a_tenant_or_with_a_wrong_one() {
    let world = world();
    for line in [
        "token crm --format json",
        "token crm --tenant ACME --format json",
        "token shop --tenant acme --format json",
        "forget crm --format json",
        "call crm GET /v1/orders --format json",
    ] {
        let error = world.run(line).error(2);
        assert_eq!(error["kind"], "configuration", "{line}");
    }
    assert_eq!(world.token_requests(), 0);
}
