//! The forms in which documents print commands, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_learn::{Learned, Material, Refusal, learn};

const ANSWER: &str = r#"{"token": "zq81", "ttl": 60}"#;

fn with_answer(curl: &str, answer: &str) -> Result<Learned, Refusal> {
    let mut material = Material::new("acme", curl);
    material.response = Some(answer);
    learn(&material)
}

fn text(curl: &str, answer: &str) -> String {
    with_answer(curl, answer).unwrap().text
}

#[test]
fn one_request_in_many_spellings_is_one_file() {
    let plain = text(
        r#"curl https://a.example/login -H 'Content-Type: application/json' -d '{"user": "<user>", "password": "<password>"}'"#,
        ANSWER,
    );
    for curl in [
        "# log in\n$ curl -XPOST https://a.example/login \\\n> --json $'{\"user\": \"{{user}}\", \"password\": \"{{password}}\"}'",
        "curl --json @- https://a.example/login <<'EOF'\n{\n  \"user\": \"$USER\",\n  \"password\": \"YOUR_PASSWORD\"\n}\nEOF\n",
        "TOKEN=$(curl -s \"https://a.example/login\" --json '{\"user\": \"jane@b.example\", \"password\": \"hunter2\"}' | jq -r .token)",
        "curl.exe -X POST ^\n  \"https://a.example/login\" ^\n  --json \"{\\\"user\\\": \\\"%USER%\\\", \\\"password\\\": \\\"%PASSWORD%\\\"}\"",
        "TOKEN=$(curl -s https://a.example/login --json @- <<EOF | jq -r .token\n{\"user\": \"$USER\", \"password\": \"$PASSWORD\"}\nEOF\n)",
        "BASE=https://a.example\ncurl \"$BASE/login\"\n  --json '{\"user\": <user>, \"password\": \"***\",}'",
    ] {
        assert_eq!(text(curl, ANSWER), plain, "{curl}");
    }
}

#[test]
fn basic_is_read_from_a_header_too() {
    let plain = text("curl -u <id>:<secret> -d a=b https://a.example/t", ANSWER);
    for header in [
        "Basic $(echo -n \\\"$ID:$SECRET\\\" | base64)",
        "Basic base64(<id>:<secret>)",
    ] {
        let curl = format!("curl -H \"Authorization: {header}\" -d a=b https://a.example/t");
        assert_eq!(text(&curl, ANSWER), plain, "{header}");
    }
    let named = "curl -H 'Authorization: Basic <base64(id:secret)>' -d a=b https://a.example/t";
    assert!(text(named, ANSWER).contains("auth = \"basic\""));
    let before = "AUTH=$(echo -n \"$ID:$SECRET\" | base64)\n";
    let curl = "curl -H \"Authorization: Basic $AUTH\" -d a=b https://a.example/t";
    assert_eq!(text(&format!("{before}{curl}"), ANSWER), plain);
    let sample = text(
        "curl -H 'Authorization: Basic amFuZTpodW50ZXIy' -d a=b https://a.example/t",
        ANSWER,
    );
    assert!(sample.contains("auth = \"basic\"") && !sample.contains("amFuZ"));
}

#[test]
fn an_id_in_a_path_is_a_sample_and_the_name_of_a_version_is_none() {
    let id = "3f9a8b7c6d5e4f3a2b1c9d8e7f6a5b4c";
    let curl = format!("curl -u <id>:<secret> -d a=b https://a.example/realms/{id}/token");
    let learned = with_answer(&curl, ANSWER).unwrap();
    assert!(!learned.text.contains("3f9a8b7c"), "{}", learned.text);
    assert!(learned.text.contains("{realm_id}"), "{}", learned.text);
    assert!(learned.notes.iter().any(|note| note.contains("realm_id")));
    for version in ["authenticate_46H_v1", "2026-11-29-preview", "v1"] {
        let curl = format!("curl -u <id>:<secret> -d a=b https://a.example/{version}/token");
        let url = format!("https://a.example/{version}/token");
        assert!(text(&curl, ANSWER).contains(&url), "{version}");
    }
}

#[test]
fn what_a_file_cannot_express_names_the_trait() {
    for curl in [
        "curl -F user=a https://a.example/t",
        "curl -H 'X-Signature: abc' -d a=b https://a.example/t",
        "curl --aws-sigv4 aws:amz -d a=b https://a.example/t",
        "curl -H 'Content-Type: text/xml' -d '<a>b</a>' https://a.example/t",
        "curl -d 'signature=$SIG&user=$U' https://a.example/t",
        "curl -b session=$S https://a.example/t",
        "curl -X PATCH https://a.example/t",
    ] {
        let refusal = with_answer(curl, ANSWER).unwrap_err();
        assert!(
            refusal.remedy().contains("biped_core::Provider"),
            "{curl}: {refusal}"
        );
    }
    let refusal = with_answer("curl https://a.example/t", "<a><b>c</b></a>").unwrap_err();
    assert!(
        refusal.remedy().contains("biped_core::Provider"),
        "{refusal}"
    );
}

#[test]
fn what_is_not_clear_is_refused_and_no_value_is_quoted() {
    for (curl, answer) in [
        ("wget https://a.example/pl4nted", ANSWER),
        ("curl 'https://a.example/pl4nted", ANSWER),
        ("curl -d @pl4nted https://a.example/t", ANSWER),
        ("curl --pl4nt https://a.example/t", ANSWER),
        (
            "curl https://a.example/a; curl https://a.example/pl4nted",
            ANSWER,
        ),
        ("curl http://a.example/pl4nted", ANSWER),
        ("curl https://me:pl4nted@a.example/t", ANSWER),
        (
            "curl -d grant_type=authorization_code https://a.example/t",
            ANSWER,
        ),
        (
            "curl https://a.example/t -d client_assertion=pl4nted",
            ANSWER,
        ),
        (
            "curl https://a.example/t",
            r#"{"a": {"token": "pl4nted1"}, "b": {"token": "pl4nted2"}}"#,
        ),
        ("curl https://a.example/t", r#"{"result": "pl4nted"}"#),
        ("curl https://a.example/t | jq -r .nope", ANSWER),
    ] {
        let refusal = with_answer(curl, answer).unwrap_err().to_string();
        assert!(!refusal.contains("pl4nted"), "{refusal}");
    }
}

#[test]
fn jq_tells_which_of_two_tokens_is_meant() {
    let answer = r#"{"a": {"token": "one"}, "b": [{"token": "two"}]}"#;
    let text = text("curl https://a.example/t | jq -r '.b[0].token'", answer);
    assert!(text.contains(r#"token = "/b/0/token""#), "{text}");
}

#[test]
fn a_response_whose_token_is_not_known_is_told_with_its_strings() {
    let answer = r#"{"user": "ann", "session": {"my key": "zq81-pl4nted"}}"#;
    let curl = "curl https://a.example/t";
    let refusal = with_answer(curl, answer).unwrap_err();
    let both = r#"its strings are .session["my key"], .user;"#;
    assert!(refusal.to_string().contains(both), "{refusal}");
    let (_, pipe) = refusal.remedy().split_once("such as ").unwrap();
    let text = text(&format!("{curl} {pipe}"), answer);
    assert!(text.contains(r#"token = "/session/my key""#), "{text}");
    let refusal = with_answer(curl, r#"{"expires": 60}"#).unwrap_err();
    assert!(refusal.remedy().contains("pass the response"), "{refusal}");
}

/// An example of a response is made for the place: it must not become as large or as deep as a place says.
#[test]
fn a_place_that_no_response_has_is_refused() {
    let deep = ".a".repeat(100_000);
    for place in [".w[2222222222]", ".[1000].token", &deep] {
        let curl = format!("curl https://a.example/t | jq -r '{place}'");
        let refusal = learn(&Material::new("acme", &curl)).unwrap_err();
        assert!(refusal.to_string().contains("the path that jq reads"));
    }
}

#[test]
fn a_placeholder_of_several_words_is_one() {
    const OWN: &str =
        r#"curl https://a.example/s --json '{"appId": "<APP_ID>", "appKey": "<APP_KEY>"}'"#;
    for (value, is_token) in [
        ("<session key>", true),
        ("<session token>", true),
        ("Key <session key>", true),
        ("<the key>", false),
    ] {
        let mut material = Material::new("acme", OWN);
        material.response = Some(ANSWER);
        let api = format!("curl https://a.example/v1/x -H 'X-T: {value}'");
        material.api = Some(&api);
        let learned = learn(&material).unwrap();
        let scheme = value.split('<').next().unwrap();
        let header = format!("\"X-T\" = \"{scheme}{{token}}\"");
        let is_found = learned.text.replace("X-T =", "\"X-T\" =").contains(&header);
        assert_eq!(is_found, is_token, "{value}: {}", learned.text);
        let is_told = learned
            .notes
            .iter()
            .any(|note| note.contains("shows no token"));
        assert_eq!(is_told, !is_token, "{value}");
    }
}

#[test]
fn a_response_without_an_expiry_is_told_with_what_may_be_one() {
    for (answer, expected) in [
        (r#"{"token": "zq81"}"#, Some("shows no expiry")),
        (r#"{"token": "zq81", "n": 7}"#, Some("shows no expiry")),
        (r#"{"token": "zq81", "good": 900}"#, Some("if /good is one")),
        (r#"{"token": "zq81", "validForSec": 900}"#, None),
    ] {
        let learned = with_answer("curl https://a.example/t", answer).unwrap();
        let mut notes = learned.notes.iter();
        let told = notes.find(|note| note.contains("expiry"));
        match (told, expected) {
            (Some(told), Some(expected)) => assert!(told.contains(expected), "{told}"),
            (None, None) => assert!(learned.text.contains("/validForSec"), "{}", learned.text),
            other => panic!("{answer}: {other:?}"),
        }
    }
}

#[test]
fn an_error_may_be_named_by_an_id_and_a_text() {
    let mut material = Material::new("acme", "curl https://a.example/t");
    material.response = Some(r#"{"ok": true, "token": "zq81", "ttl": 60}"#);
    material.error = Some(r#"{"ok": false, "fault": {"id": "P-401", "text": "No such app"}}"#);
    let text = learn(&material).unwrap().text;
    for part in ["/fault/id", "/fault/text", "/ok"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    material.error = Some(r#"{"ok": false, "reply": {"nr": 9}}"#);
    let notes = learn(&material).unwrap().notes.join("\n");
    assert!(notes.contains("/ok looks like a flag"), "{notes}");
    assert!(!notes.contains("--error"), "{notes}");
}

#[test]
fn an_expiry_is_read_by_its_name_and_its_value() {
    for (member, expected) in [
        (
            r#""expiresIn": 3600"#,
            r#"expires = { at = "/expiresIn", as = "seconds" }"#,
        ),
        (
            r#""exp": 1700000000"#,
            r#"expires = { at = "/exp", as = "unix" }"#,
        ),
        (
            r#""expires": 1700000000000"#,
            r#"expires = { at = "/expires", as = "unix_millis" }"#,
        ),
        (
            r#""validUntil": "2026-11-27""#,
            r#"expires = { at = "/validUntil", as = "date" }"#,
        ),
    ] {
        let text = text(
            "curl https://a.example/t",
            &format!(r#"{{"token": "zq81", {member}}}"#),
        );
        assert!(
            text.lines().any(|line| line == expected),
            "{expected}\n{text}"
        );
    }
    for member in [
        r#""expires": "2026-11-27 10:00:00""#,
        r#""ttl": 3600000"#,
        r#""expiresInMinutes": 30"#,
        r#""expiresIn": "<number>""#,
    ] {
        let learned = with_answer(
            "curl https://a.example/t",
            &format!(r#"{{"token": "zq81", {member}}}"#),
        );
        let learned = learned.unwrap();
        assert!(!learned.text.contains("expires = "), "{}", learned.text);
        assert!(
            learned
                .notes
                .iter()
                .any(|note| note.contains("was left out")),
            "{member}"
        );
    }
}

#[test]
fn the_code_of_a_refusal_with_another_status_than_401_means_wrong_credentials() {
    let answer = r#"{"code": 0, "token": "zq81", "expiresIn": 600}"#;
    for (error, code) in [
        (
            "HTTP/1.1 200 OK\n\n{\"code\": 4711, \"text\": \"no\"}",
            Some("[4711]"),
        ),
        (
            "HTTP/1.1 400 Bad Request\n\n{\"code\": \"BAD_KEY\"}",
            Some("[\"BAD_KEY\"]"),
        ),
        ("HTTP/1.1 401 Unauthorized\n\n{\"code\": 4711}", None),
        (
            "HTTP/1.1 400 Bad Request\n\n{\"code\": \"invalid_scope\"}",
            None,
        ),
        ("HTTP/1.1 503 Unavailable\n\n{\"code\": 4711}", None),
        ("{\"code\": 4711}", None),
    ] {
        let mut material = Material::new("acme", "curl -X POST https://a.example/t -d key=KEY");
        (material.response, material.error) = (Some(answer), Some(error));
        let text = learn(&material).unwrap().text;
        let listed = code.map(|code| format!("invalid_client = {code}"));
        let is_listed = listed.is_some_and(|listed| text.contains(&listed));
        assert_eq!(is_listed, code.is_some(), "{error}\n{text}");
        assert_eq!(
            text.contains("invalid_client"),
            code.is_some(),
            "{error}\n{text}"
        );
        assert!(
            biped_dialect::check_text(&text, "acme.toml").is_good(),
            "{text}"
        );
    }
}

#[test]
fn the_token_may_be_a_header_and_travel_in_a_query() {
    let mut material = Material::new("acme", "curl -u \"$KEY:\" -X POST https://a.example/login");
    material.response = Some("HTTP/2 200\nX-Auth-Token: zq81\n\n{}");
    material.api =
        Some("curl 'https://{{shard}}.api.example/v1/x?sid=$TOKEN&limit=3' -H 'X-Request-ID: 7'");
    let text = learn(&material).unwrap().text;
    for line in [
        r#"basic = { user = "{key}", password = "" }"#,
        r#"token = "header:X-Auth-Token""#,
        r#"headers = { X-Request-ID = "{uuid}" }"#,
        r#"query = { sid = "{token}" }"#,
        r#"api = "https://{shard}.api.example/v1""#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[test]
fn a_base_url_names_the_hosts_that_a_token_may_be_sent_to() {
    let with_host = |host: &str| {
        let answer = format!(r#"{{"token": "zq81", "instance_url": "https://{host}/x"}}"#);
        text("curl https://a.example/t", &answer)
    };
    let text = with_host("eu9.vendor.example");
    assert!(
        text.contains(r#"base_url_hosts = ["*.vendor.example"]"#),
        "{text}"
    );
    // Anyone can have a host below these.
    for host in ["vendor.co.uk", "vendor.example"] {
        assert!(!with_host(host).contains("base_url"), "{host}");
    }
}

#[test]
fn a_customers_host_in_the_api_call_is_not_taken_for_the_api() {
    let api_of = |api: &str| {
        let curl = "curl https://{tenant}.a.example/t --json '{\"key\": \"<key>\"}'";
        let mut material = Material::new("acme", curl);
        material.response = Some(ANSWER);
        material.api = Some(api);
        let learned = learn(&material).unwrap();
        let is_told = learned.notes.iter().any(|note| note.contains("write api"));
        let line = learned.text.lines().find(|line| line.starts_with("api = "));
        (line.map(str::to_owned), is_told)
    };
    let call = |host: &str| api_of(&format!("curl https://{host}/v1/me -H 'X-Token: $TOKEN'"));
    assert_eq!(call("globex.a.example"), (None, true));
    let kept = |api: &str| (Some(format!("api = \"https://{api}/v1\"")), false);
    assert_eq!(call("{tenant}.a.example"), kept("{tenant}.a.example"));
    assert_eq!(call("api.a.example"), kept("api.a.example"));
    assert_eq!(call("globex.b.example"), kept("globex.b.example"));
}

#[test]
fn debug_shows_nothing_of_the_material() {
    let material = Material::new("acme", "curl -u me:pl4nted https://a.example/t");
    assert!(!format!("{material:?}").contains("pl4nted"));
}

#[test]
fn a_flag_of_success_that_no_refusal_shows_is_told_and_not_assumed() {
    let curl = "curl https://a.example/login --json '{\"user\": \"<user>\"}'";
    let answer = r#"{"success": true, "token": "zq81", "ttl": 60}"#;
    let learned = with_answer(curl, answer).unwrap();
    assert!(!learned.text.contains("ok ="), "{}", learned.text);
    let told = |notes: &[String]| notes.iter().any(|note| note.contains("/success"));
    assert!(told(&learned.notes), "{:?}", learned.notes);
    assert!(!told(&with_answer(curl, ANSWER).unwrap().notes));
    // With a refusal it is known.
    let mut material = Material::new("acme", curl);
    material.response = Some(answer);
    material.error = Some(r#"{"success": false, "message": "no"}"#);
    let learned = learn(&material).unwrap();
    assert!(
        learned
            .text
            .contains(r#"ok = { at = "/success", equals = true }"#)
    );
    assert!(!told(&learned.notes), "{:?}", learned.notes);
}
