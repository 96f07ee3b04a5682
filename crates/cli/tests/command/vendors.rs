//! `biped vendors`: the catalogue, and a vendor of one's own.

use crate::world::{OneRequest, Ran, World, error_of};

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
fn the_list_says_how_many_are_verified_and_how() {
    let world = World::empty();
    let run = world.run("vendors");
    let told = run.stderr;
    for word in ["live", "own", "others", "unverified"] {
        assert!(told.contains(word), "{told}");
    }
    let rows = world.run("vendors --format json spotify").json();
    assert_eq!(rows[0]["verified"], "own");
    // The request is in the vendor's code, but the answer only in that of others.
    let rows = world.run("vendors --format json personio").json();
    assert_eq!(rows[0]["verified"], "others");
    let markdown = world.run("vendors --format markdown spotify").ok();
    assert!(markdown.starts_with("| vendor |"), "{markdown}");
    // The variants of one vendor are together.
    let all = world.run("vendors --format json").json();
    let names: Vec<_> = all.as_array().unwrap().iter().collect();
    let at = |name: &str| names.iter().position(|row| row["name"] == name).unwrap();
    assert_eq!(at("salesforce") + 1, at("salesforce-jwt"));
    assert!(
        names[at("salesforce")]["title"]
            .as_str()
            .unwrap()
            .contains("(client credentials)")
    );
}

#[test]
fn the_page_of_a_vendor_says_what_a_person_wants() {
    let world = World::empty();
    let text = world.run("vendors show commercetools").ok();
    for words in [
        "Merchant Center",
        "manage_project:{projectKey}",
        "biped check commercetools",
        "Unverified:",
        "https://docs.commercetools.com/",
        "the vendor's own",
        "not tried with the vendor",
        "[providers.commercetools]",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let markdown = world
        .run("vendors show commercetools --format markdown")
        .ok();
    assert!(markdown.starts_with("# commercetools\n"), "{markdown}");
    assert!(markdown.contains("\n## Sources\n") && markdown.contains("```toml\n[providers."));
    let limited = world.run("vendors show athenahealth").ok();
    assert!(limited.contains("at most 50 in a minute"), "{limited}");
    let json = world.run("vendors show athenahealth --format json").json();
    assert_eq!(json["limits"]["requests"], 50);
    assert_eq!(json["limits"]["seconds"], 60);
    assert!(json["sources"][0]["own"].as_bool().unwrap());
    assert!(json["scopes"]["athena/service/Athenanet.MDP.*"].is_string());
    let unverified = world.run("vendors show commercetools --format json").json();
    let unverified = unverified["unverified"].as_array().unwrap();
    assert!(unverified.contains(&"verify".into()), "{unverified:?}");
    let vcenter = world.run("vendors show vmware-vcenter").ok();
    assert!(vcenter.contains("biped call --include vmware-vcenter GET /session"));
}

#[test]
fn the_page_lists_where_the_credentials_are_from_among_what_no_source_says() {
    let world = World::empty();
    let shown = |name: &str| {
        let page = world.run(&format!("vendors show {name}")).ok();
        let json = world.run(&format!("vendors show {name} --format json"));
        (page, json.json())
    };
    let lists = |json: &serde_json::Value| {
        let all = json["unverified"].as_array().unwrap();
        all.iter().filter(|fact| *fact == "credentials").count()
    };
    let (page, json) = shown("spotify");
    assert!(json["credentials"].is_null());
    assert_eq!(lists(&json), 1, "{json}");
    let words = "where the vendor issues the credentials";
    let unverified = page.split("# Unverified:\n").nth(1).unwrap();
    assert!(unverified.lines().next().unwrap().contains(words), "{page}");
    let (page, json) = shown("commercetools");
    assert!(json["credentials"].is_string());
    assert_eq!(lists(&json), 0, "{json}");
    assert!(!page.contains(words), "{page}");
}

#[test]
fn the_command_that_tries_a_token_is_quoted_where_a_shell_would_change_it() {
    let world = World::empty();
    for (name, call) in [
        (
            "spotify",
            "`biped call --include spotify GET '/v1/search?q=biped&type=artist&limit=1'`",
        ),
        (
            "vmware-vcenter",
            "`biped call --include vmware-vcenter GET /session`",
        ),
    ] {
        let page = world.run(&format!("vendors show {name}")).ok();
        assert!(page.contains(call), "{page}");
    }
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
    world.run("vendors check mine.toml").ok();
    world.write("mine.toml", &file("t-2"));
    let why = world.run("vendors check mine.toml").failed(2);
    assert!(why.contains("mine.toml:7: expect.token"), "{why}");
    world.write("mine.toml", &file("t-1").replace("url =", "uri ="));
    world.run("vendors check mine.toml").failed(2);
    world.run("vendors check nowhere.toml").failed(2);
}

#[test]
fn vendors_are_found_by_the_words_that_people_have_for_them() {
    let world = World::empty();
    for (words, name) in [
        ("entra", "entra-id"),
        ("azure", "entra-id"),
        ("EntraID", "entra-id"),
        ("CheckPoint", "checkpoint-infinity"),
        ("microsoft identity", "entra-id"),
    ] {
        let words: Vec<_> = ["vendors"].into_iter().chain(words.split(' ')).collect();
        let found = world.run_words(words.clone()).ok();
        assert!(found.starts_with(name), "{words:?}: {found}");
    }
    // Found where words start, if any does.
    let found = world.run("vendors entra").ok();
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(
        world
            .run("vendors show onedrive")
            .failed(2)
            .contains("microsoft-graph")
    );
}

#[test]
fn every_shown_entry_loads_as_it_is() {
    let world = World::empty();
    let all = world.run("vendors --format json").json();
    let all: Vec<_> = all.as_array().unwrap().iter().collect();
    let mut config = String::new();
    for vendor in all {
        let name = vendor["name"].as_str().unwrap();
        let shown = world.run(&format!("vendors show {name} --format json"));
        config.push_str(shown.json()["configuration"].as_str().unwrap());
        config.push('\n');
    }
    world.write("biped.toml", &config);
    world.run("list").ok();
    // With all that may be given.
    let given = config.replace("\n# ", "\n");
    let given = given.replace("{tenant}", "acme");
    let given = given.replace(
        "api_base_url = \"{",
        "api_base_url = \"https://api.example/{",
    );
    world.write("biped.toml", &given);
    world.run("list").ok();
}

#[test]
fn a_name_that_several_vendors_match_is_answered_with_all_of_them() {
    let world = World::empty();
    for line in ["vendors show azure", "vendors test azure", "init azure"] {
        let told = world.run(line).failed(2);
        for part in ["entra-id, microsoft-azure", "`biped vendors azure`"] {
            assert!(told.contains(part), "{line}: {told}");
        }
    }
    // Where only one is near, no search is needed.
    let told = world.run("vendors show keyclock").failed(2);
    assert!(told.contains("keycloak?") && !told.contains("biped vendors keyclock"));
    let told = world.run("init keycloak").failed(2);
    assert!(told.contains("`biped vendors show keycloak`"), "{told}");
    assert!(!world.path("biped.toml").exists());
}

#[test]
fn a_vendor_that_takes_a_certificate_shows_a_table_for_it_that_loads() {
    let world = World::empty();
    let shown = world.run("vendors show entra-id").ok();
    let recipe = shown
        .lines()
        .skip_while(|line| !line.starts_with("#   [providers."));
    let recipe = recipe.map_while(|line| line.strip_prefix("#   "));
    let recipe: Vec<_> = recipe.collect();
    let recipe = recipe.join("\n");
    assert!(
        recipe.contains("oauth2") && recipe.contains("certificate = "),
        "{shown}"
    );
    world.write("biped.toml", &recipe);
    let list = world.run("list --format json").json();
    assert_eq!(list[0]["kind"], "oauth2", "{list}");
}

#[test]
fn what_is_shown_and_checked_is_also_for_programs() {
    let world = World::empty();
    for line in [
        "vendors show github-app --format json",
        "vendors --format json show github-app",
    ] {
        let shown = world.run(line).json();
        assert_eq!(shown["name"], "github-app");
        assert_eq!(shown["client_secret"], false);
        let params = shown["params"].as_array().unwrap();
        let key = params.iter().find(|param| param["name"] == "private_key");
        assert_eq!(key.unwrap()["secret"], true);
    }
    let error = world.run("vendors show nonesuch --format json").error(2);
    assert_eq!(error["kind"], "configuration");

    world.write(
        "mine.toml",
        "url = \"https://v.example/t\"\nencodng = \"json\"",
    );
    let ran = world.run("vendors check mine.toml --format json");
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["good"], false);
    assert_eq!(told["problems"][0]["line"], 2);
    assert_eq!(told["problems"][0]["key"], "encodng");
    assert_eq!(ran.status, 2);
    let error = error_of(&ran.stderr);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("mine.toml:2"), "{message}");
    world.write("mine.toml", "url = \"https://v.example/t\"");
    let told = world.run("vendors check mine.toml --format json").json();
    assert_eq!(told["good"], true);
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

#[test]
fn a_check_tries_the_token_where_a_harmless_request_is_known() {
    let world = World::empty();
    let url = world.sandbox().url();
    let file = |path: &str, status: u16| {
        format!(
            "url = \"{{origin}}/v1/auth/token\"\ngrant_type = false\n[response]\n\
             token = \"/data/access_token\"\nexpires = {{ at = \"/data/expires_in\" }}\n\
             [about]\ntitle = \"Mine\"\ndocs = \"https://docs.example\"\n\
             params = {{ origin = \"where it is\" }}\n\
             verify = {{ path = \"{path}\", status = {status} }}\n"
        )
    };
    let shop = biped_sandbox::SHOP;
    let config = format!(
        "[providers.mine]\nkind = \"dialect\"\nfile = \"mine.toml\"\nclient_id = {:?}\n\
         client_secret = {:?}\napi_base_url = \"{url}\"\nparams = {{ origin = \"{url}\" }}\n",
        shop.client_id, shop.client_secret
    );
    // Writing the configuration trusts what it names.
    let set = |path: &str| {
        world.write("mine.toml", &file(path, 200));
        world.write("biped.toml", &config);
    };
    set("/v1/orders");
    let text = world.run("check mine").ok();
    assert!(text.contains("GET /v1/orders returned 200"), "{text}");
    let json = world.run("check mine --format json").json();
    assert_eq!(json[0]["verified"], true);

    // The token is issued all the same; the check says what it does not prove.
    set("/v1/nowhere");
    let json = world.run("check mine --format json").json();
    assert_eq!(json[0]["ok"], true);
    assert_eq!(json[0]["verified"], false);
    assert!(json[0]["warnings"][0].as_str().unwrap().contains("404"));

    // A path with parameters is for people.
    set("/v1/{origin}/orders");
    let json = world.run("check mine --format json").json();
    assert_eq!(json[0]["verified"], serde_json::Value::Null);
}

/// A file for the sandbox's shop, whose API is called at `path`.
fn shop_file(path: &str) -> String {
    format!(
        "url = \"{{origin}}/v1/auth/token\"\ngrant_type = false\nheaders = {{ X-Note = \"{{note}}\" }}\n\
         [response]\ntoken = \"/data/access_token\"\nexpires = {{ at = \"/data/expires_in\" }}\n\
         [about]\ntitle = \"Mine\"\ndocs = \"https://docs.example\"\napi = \"{{origin}}\"\n\
         params = {{ origin = \"where it is\", note = {{ says = \"a note\", optional = true }} }}\n\
         verify = {{ path = \"{path}\" }}\n\
         unverified = [\"request\", \"answer\", \"refusal\", \"api\", \"verify\"]\n"
    )
}

/// `biped vendors test` for that file, with the shop's credentials in variables.
fn test_of_the_shop(world: &World, secret: &str, more: &[&str]) -> Ran {
    let mut line = vec!["vendors", "test", "./mine.toml"];
    line.extend(more);
    let mut command = world.command(line);
    command
        .env("MINE_ORIGIN", world.sandbox().url())
        .env("MINE_CLIENT_ID", biped_sandbox::SHOP.client_id)
        .env("MINE_CLIENT_SECRET", secret);
    Ran::of(command.output().unwrap())
}

#[test]
fn a_test_fetches_a_token_calls_the_api_and_says_what_to_change() {
    let world = World::empty();
    let secret = biped_sandbox::SHOP.client_secret;
    world.write("mine.toml", &shop_file("/v1/orders"));
    let text = test_of_the_shop(&world, secret, &[]).ok();
    for words in [
        "mine: ok",
        "GET /v1/orders returned 200",
        "Change [about] in ./mine.toml:",
        "live = true",
        "unverified = [\"refusal\"]",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let json = test_of_the_shop(&world, secret, &["--format", "json"]).json();
    assert_eq!(json["verified"], true);
    assert_eq!(json["file"], "./mine.toml");
    assert_eq!(json["change"]["live"], true);
    assert_eq!(json["change"]["unverified"], serde_json::json!(["refusal"]));
    // Nothing is kept: each run asks the vendor.
    assert_eq!(world.token_requests(), 2);

    // A token that the API was not seen to accept proves less.
    world.write("mine.toml", &shop_file("/v1/nowhere"));
    let json = test_of_the_shop(&world, secret, &["--format", "json"]).json();
    assert_eq!(json["change"]["live"], true);
    let left = serde_json::json!(["refusal", "api", "verify"]);
    assert_eq!(json["change"]["unverified"], left);
}

#[test]
fn a_test_that_brings_no_token_changes_nothing() {
    let world = World::empty();
    world.write("mine.toml", &shop_file("/v1/orders"));
    let refused = test_of_the_shop(&world, "pl4nted", &[]);
    let told = &refused.stdout;
    assert!(
        told.contains("mine: refused") && !told.contains("live"),
        "{told}"
    );
    assert!(!told.contains("pl4nted"), "{told}");
    assert_eq!(refused.status, 3);
    let json = test_of_the_shop(&world, "pl4nted", &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["change"], serde_json::Value::Null);
}

#[test]
fn a_vendor_of_the_catalogue_is_tested_with_variables_named_after_it() {
    let world = World::empty();
    // Every variable that is missing is named, with what it is for.
    let why = world.run("vendors test keycloak").failed(2);
    for variable in [
        "KEYCLOAK_CLIENT_ID",
        "KEYCLOAK_CLIENT_SECRET",
        "KEYCLOAK_BASE_URL",
        "KEYCLOAK_REALM is not set: the realm's name",
    ] {
        assert!(why.contains(variable), "{why}");
    }
    // The remedy is that of all of them, in a line of its own.
    let last = why.lines().last().map(str::trim);
    assert_eq!(last, Some("set these variables"), "{why}");
    let mut one = world.command(["vendors", "test", "keycloak"]);
    one.env("KEYCLOAK_BASE_URL", "https://login.example")
        .env("KEYCLOAK_REALM", "acme")
        .env("KEYCLOAK_CLIENT_ID", "my-client");
    let why = Ran::of(one.output().unwrap()).failed(2);
    let line = why.lines().last().unwrap();
    assert!(
        line.ends_with("KEYCLOAK_CLIENT_SECRET is not set; set this variable"),
        "{why}"
    );
    let server = OneRequest::answered(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: 43\r\n\r\n{\"access_token\":\"t-1\",\"expires_in\":300    }",
    );
    let mut command = world.command(["vendors", "test", "keycloak"]);
    command
        .env("KEYCLOAK_BASE_URL", &server.url)
        .env("KEYCLOAK_REALM", "acme")
        .env("KEYCLOAK_CLIENT_ID", "my-client")
        .env("KEYCLOAK_CLIENT_SECRET", "s 1")
        .env("KEYCLOAK_SCOPE", "profile");
    let text = Ran::of(command.output().unwrap()).ok();
    assert!(text.contains("Change [about] in vendors/keycloak.toml:\n  live = true"));
    let request = server.request();
    assert!(request.starts_with("POST /realms/acme/protocol/openid-connect/token "));
    let body = "grant_type=client_credentials&client_id=my-client&client_secret=s+1&scope=profile";
    assert!(request.ends_with(body), "{request}");

    assert!(
        world
            .run("vendors test keycloack")
            .failed(2)
            .contains("keycloak")
    );
    world.write("broken.toml", "uri = 1\n");
    let why = world.run("vendors test ./broken.toml").failed(2);
    assert!(why.contains("biped vendors check ./broken.toml"), "{why}");
    world.run("vendors test ./nowhere.toml").failed(2);
}

#[test]
fn a_vendor_is_learned_from_its_documentation_and_checked_at_once() {
    let world = World::empty();
    let curl = "curl https://login.acme.example/v2 --json '{\"user\": \"jane\", \"password\": \"pl4nted\"}'";
    world.write("token.sh", curl);
    world.write(
        "response.json",
        r#"{"session": {"token": "pl4nted", "ttl": 3600}}"#,
    );
    let learned = world.run("vendors learn acme --curl token.sh --response response.json");
    assert!(learned.stderr.contains("password"), "{}", learned.stderr);
    let text = learned.ok();
    assert!(text.contains(r#"token = "/session/token""#) && !text.contains("pl4nted"));
    world.write("acme.toml", &text);
    let checked = world.run("vendors check acme.toml").ok();
    assert!(checked.contains("acme.toml"), "{checked}");
    let checked = world.run("vendors check acme.toml --format json").json();
    assert_eq!(
        (&checked["good"], &checked["examples"]),
        (&true.into(), &1.into())
    );

    let piped = world.feed(
        "vendors learn acme --curl - --response response.json",
        curl.as_bytes(),
    );
    assert_eq!(piped.ok(), text);

    let line = "vendors learn acme --curl token.sh --response response.json --format";
    let json = world.run(&format!("{line} json")).json();
    assert_eq!(json["name"], "acme");
    assert_eq!(json["written"], "file");
    assert_eq!(json["toml"], text);
    let notes = json["notes"].as_array().unwrap();
    let notes: Vec<_> = notes.iter().filter_map(|note| note.as_str()).collect();
    assert!(
        notes.iter().any(|note| note.contains("password")),
        "{notes:?}"
    );
    let markdown = world.run(&format!("{line} markdown")).ok();
    assert_eq!(markdown, format!("```toml\n{text}```\n"));
}

#[test]
fn what_is_learned_of_a_vendor_of_rfc_6749_is_an_entry() {
    let world = World::empty();
    let curl = "curl https://login.acme.example/token -d grant_type=client_credentials \
                -d client_id=CLIENT_ID -d client_secret=CLIENT_SECRET";
    world.write("token.sh", curl);
    let response = r#"{"access_token": "pl4nted", "expires_in": 3600, "token_type": "Bearer"}"#;
    world.write("response.json", response);
    let line = "vendors learn acme --curl token.sh --response response.json --format json";
    let json = world.run(line).json();
    assert_eq!(json["written"], "oauth2", "{json}");
    assert!(
        json["toml"].as_str().unwrap().contains("[providers.acme]"),
        "{json}"
    );
}

#[test]
fn what_cannot_be_learned_ends_with_status_2_and_its_reason() {
    let world = World::empty();
    world.write(
        "token.sh",
        "curl -F user=pl4nted https://acme.example/login",
    );
    world.write("response.json", r#"{"token": "abc"}"#);
    let line = "vendors learn acme --curl token.sh --response response.json";
    let why = world.run(line).failed(2);
    assert!(
        why.contains("biped_core::Provider") && !why.contains("pl4nted"),
        "{why}"
    );
    let why = world.run("vendors learn acme").failed(2);
    assert!(why.contains("--curl"), "{why}");
}
