//! `biped vendors`: the catalogue, and a vendor of one's own.

use crate::world::World;

#[test]
fn the_catalogue_is_listed_and_searched() {
    let world = World::empty();
    let all = world.run("vendors").ok().lines().count();
    assert!(all >= 50, "{all}");
    let some = world.run("vendors keycloak").ok();
    assert!(some.starts_with("keycloak"));
    assert_eq!(some.lines().count(), 1);
    let json: serde_json::Value =
        serde_json::from_str(&world.run("vendors --format json keycloak").ok()).unwrap();
    assert_eq!(json[0]["name"], "keycloak");
}

#[test]
fn a_shown_entry_is_a_configuration_once_it_is_filled_in() {
    let world = World::empty();
    let shown = world.run("vendors show keycloak").ok();
    let filled = shown.replace("base_url = \"…\"", "base_url = \"https://login.example\"");
    world.write("biped.toml", &filled.replace('…', "x"));
    assert!(world.run("list").ok().contains("https://login.example"));
    world.run("vendors show keycloack").failed(2);
}

#[test]
fn a_file_of_ones_own_is_checked_with_its_examples() {
    let world = World::empty();
    let file = |token: &str| {
        format!(
            r#"
            url = "https://api.vendor.example/token"
            [[example]]
            given = {{ client_id = "a", client_secret = "b" }}
            request = {{ method = "POST", url = "https://api.vendor.example/token", form = "grant_type=client_credentials&client_id=a&client_secret=b" }}
            response = {{ status = 200, json = {{ access_token = "t-1", expires_in = 60 }} }}
            expect = {{ token = "{token}", lifetime = 60 }}
            "#
        )
    };
    world.write("mine.toml", &file("t-1"));
    assert!(world.run("vendors check mine.toml").ok().contains("good"));
    world.write("mine.toml", &file("t-2"));
    world.run("vendors check mine.toml").failed(2);
    world.write("mine.toml", &file("t-1").replace("url =", "uri ="));
    world.run("vendors check mine.toml").failed(2);
    world.run("vendors check nowhere.toml").failed(2);
}

#[test]
fn a_vendor_of_ones_own_works_through_call() {
    let world = World::empty();
    let url = world.sandbox().url();
    // The envelope vendor, told as data.
    world.write(
        "mine.toml",
        r#"
        url = "{origin}/v1/auth/token"
        grant_type = false
        [response]
        token = "/data/access_token"
        expires = { at = "/data/expires_in", as = "seconds" }
        error = { code = "/error/code", reason = "/error/code_reason", message = "/error/message" }
        "#,
    );
    let shop = biped_sandbox::SHOP;
    let config = format!(
        "[providers.mine]\nkind = \"dialect\"\nfile = \"mine.toml\"\nclient_id = {:?}\n\
         client_secret = {:?}\napi_base_url = \"{url}\"\nparams = {{ origin = \"{url}\" }}\n",
        shop.client_id, shop.client_secret
    );
    world.write("biped.toml", &config);
    assert!(
        world
            .run("call mine GET /v1/orders")
            .ok()
            .contains("orders")
    );
    world.write("biped.toml", &config.replace(shop.client_secret, "wrong"));
    world
        .run("call --store memory mine GET /v1/orders")
        .failed(3);
}
