//! Exit statuses, and errors as JSON.

use biped_sandbox::{Effect, Fault};

use crate::world::{Ran, World};

#[test]
fn a_wrong_secret_is_status_3_in_the_vendors_own_words() {
    let world = World::with("k&1=4+%2Bq", "wrong");
    let error = world.run("token shop --format json").error(3);
    assert_eq!(error["kind"], "refused");
    assert_eq!(error["provider"], "shop");
    assert_eq!(error["status"], 401);
    assert_eq!(error["code"], "401021");
    assert_eq!(error["reason"], "invalid_client");
    assert_eq!(
        error["message"],
        "Invalid client_id, client_secret, or session_key"
    );
    assert!(error["retry_after"].is_null());

    let text = world.run("token shop").failed(3);
    assert!(
        text.contains("401021") && text.contains("session_key"),
        "{text}"
    );
    assert_eq!(
        world.token_requests(),
        2,
        "a refusal is not asked about again"
    );
}

#[test]
fn the_other_vendors_refusal_is_told_in_its_form() {
    let world = World::with("0ISL0DEC", "wrong");
    let error = world.run("token exports --format json").error(3);
    assert_eq!(error["code"], "INVALID_CREDENTIALS");
    assert_eq!(error["status"], 401);
    for command in [
        "inspect exports",
        "call exports GET /v1/exports",
        "check exports",
    ] {
        assert_eq!(
            world.run(&format!("{command} --format json")).status,
            3,
            "{command}"
        );
    }
}

#[test]
fn a_stopped_vendor_is_status_4() {
    let mut world = World::new();
    world.stop_sandbox();
    let error = world.run("token shop --format json").error(4);
    assert_eq!(error["kind"], "unreachable");
    assert!(error["status"].is_null() && error["code"].is_null() && error["reason"].is_null());
    world.run("inspect exports").failed(4);
    world.run("call shop GET /v1/orders").failed(4);
    world.run("exec shop -- true").failed(4);
    assert_eq!(world.run("check").status, 4);
    world.run("list").ok();
}

#[test]
fn a_vendor_that_fails_is_status_4_with_its_status() {
    let world = World::new();
    world
        .sandbox()
        .fail_next(Fault::new(Effect::Status(500)).times(9));
    let error = world.run("token shop --format json").error(4);
    assert_eq!(error["kind"], "unavailable");
    assert_eq!(error["status"], 500);
    assert_eq!(error["code"], "500999");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("customer service"), "{message}");
    world.sandbox().clear_faults();
    world.sandbox().fail_next(Fault::new(Effect::Html));
    // Through a store the first failure would be answered for a moment.
    assert_eq!(
        world
            .run("token shop --store memory --format json")
            .error(4)["kind"],
        "invalid_response"
    );
}

#[test]
fn a_vendor_that_stalls_ends_with_the_commands_time() {
    let world = World::new();
    let stall = Fault::new(Effect::Stall).path("/v1/auth/token").times(9);
    world.sandbox().fail_next(stall);
    let error = world.run("token shop --timeout 2 --format json").error(4);
    assert_eq!(error["kind"], "unreachable");
    assert_eq!(error["provider"], "shop");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("2 s"), "{message}");
}

#[test]
fn a_broken_scope_rule_is_status_2_and_nothing_is_sent() {
    let world = World::with(
        r#"["data-export", "metrics"]"#,
        r#"["data-export", "enrichment"]"#,
    );
    let error = world.run("token exports --format json").error(2);
    assert_eq!(error["kind"], "configuration");
    assert!(error["message"].as_str().unwrap().contains("enrichment"));
    let counts = world.sandbox().stats().counts;
    assert_eq!(counts.token_requests.total, 0);

    let world = World::new();
    let words = ["token", "exports", "--scope", "data-export enrichment"];
    assert!(world.run_words(words).failed(2).contains("enrichment"));
    assert_eq!(world.token_requests(), 0);
}

#[test]
fn a_refused_scope_names_the_place_of_the_scope() {
    let world = World::new();
    let config = world.sandbox().config_toml();
    let scope = "[\"data-export\", \"metrics\"]";
    let line = config.lines().position(|line| line.ends_with(scope));
    let place = format!(
        "(providers.exports.scope, biped.toml:{})",
        line.unwrap() + 1
    );
    for wrong in ["[\"data-export\", \"nope\"]", "\"nope\""] {
        world.write("biped.toml", &config.replace(scope, wrong));
        let told = world.run("token exports").failed(3);
        assert!(told.contains(&place), "{told}");
        let checked = world.run("check exports");
        assert!(checked.stdout.contains(&place), "{checked:?}");
        let told = world.run("token exports --scope no-such").failed(3);
        assert!(!told.contains(&place) && told.contains("--scope"), "{told}");
    }
    let checked = world.run("check exports --format json");
    let checked: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    let remedy = checked[0]["remedy"].as_str().unwrap();
    assert!(remedy.contains(&place), "{remedy}");
    // Another refusal has nothing to do with the scope.
    let world = World::with("k&1=4+%2Bq", "wrong");
    let told = world.run("token shop").failed(3);
    assert!(!told.contains("scope"), "{told}");
}

#[test]
fn a_secret_that_is_not_there_is_status_2() {
    let world = World::with(
        "client_id = \"shop-backend\"",
        "client_id = \"env:NOT_SET\"",
    );
    let error = world.run("token shop --format json").error(2);
    assert_eq!(error["kind"], "secret");
    assert!(error["message"].as_str().unwrap().contains("NOT_SET"));
    let checked = world.run("check shop");
    assert!(
        checked.stdout.starts_with("shop: a secret can't be read\n"),
        "{checked:?}"
    );
}

#[test]
fn an_unknown_name_is_status_2_and_says_which_there_are() {
    let world = World::new();
    for command in ["token", "inspect", "check", "forget"] {
        let text = world.run(&format!("{command} shpo")).failed(2);
        assert!(text.contains("shop"), "{text}");
    }
}

#[test]
fn a_line_that_cannot_be_understood_is_status_2() {
    let world = World::new();
    for line in [
        "",
        "nope",
        "token",
        "token a b",
        "list --format xml",
        "token a --timeout x",
    ] {
        world.run(line).failed(2);
    }
    for line in [
        "token --format json",
        "token --format=json a b",
        "list --nope --format json",
    ] {
        assert_eq!(world.run(line).error(2)["kind"], "configuration");
    }
}

#[test]
fn verbose_tells_on_stderr_what_happens() {
    let world = World::new();
    let quiet = world.run("token shop");
    assert_eq!(quiet.stderr, "");
    let verbose = world.run("token shop -v");
    assert_eq!(verbose.stdout.lines().count(), 1);
    assert!(verbose.stderr.contains("shop"), "{}", verbose.stderr);
}

#[test]
fn verbose_tells_each_request_with_method_url_status_and_time() {
    let world = World::new();
    let url = world.sandbox().url();
    let told = world.run("call shop GET /v1/orders?page=pl4nted -v").stderr;
    let line = |words: &[&str]| {
        let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
        let found = told.lines().filter(has_all).count();
        assert_eq!(found, 1, "{words:?}: {told}");
    };
    line(&[
        "POST",
        &format!("{url}/v1/auth/token"),
        "status=200",
        "took_ms=",
    ]);
    line(&["GET", &format!("{url}/v1/orders"), "status=200", "took_ms="]);
    assert!(!told.contains("pl4nted"), "{told}");
    assert!(!told.contains("sends a request"), "{told}");
    let more = world.run("token shop --fresh -vv").stderr;
    assert!(more.contains("sends a request"), "{more}");
    let failed = world.run("call shop GET /v1/nowhere -v").stderr;
    assert!(failed.contains("status=404"), "{failed}");
}

#[test]
fn verbose_tells_a_url_without_the_secrets_in_its_path() {
    let world = World::empty();
    world.write_untrusted(
        "mine.toml",
        "url = \"{origin}/{api_key}/token?key={api_key}\"\n[response]\ntoken = \"/t\"\n",
    );
    world.write(
        "biped.toml",
        &format!(
            "[providers.mine]\nkind = \"dialect\"\nfile = \"mine.toml\"\n\
             client_id = \"a\"\nclient_secret = \"b\"\n\
             params = {{ origin = \"{}\", api_key = \"env:KEY\" }}\n",
            world.sandbox().url()
        ),
    );
    let mut command = world.command(["token", "mine", "-vv"]);
    let ran = Ran::of(command.env("KEY", "pl4nted-s3cret").output().unwrap());
    assert!(ran.stderr.contains("status=404"), "{ran:?}");
    assert!(!ran.stderr.contains("pl4nted"), "{ran:?}");
}
