//! How a provider proves who it is: `identity`, and what `check` says of it.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::world::{OneRequest, Ran, World};

/// Of `https://cluster`, about `pod`, for `https://login.example`, until 2100.
const ASSERTION: &str = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2NsdXN0ZXIiLCJzdWIiOiJwb2QiLCJhdWQiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJleHAiOjQxMDI0NDQ4MDB9.c2ln";

/// The same, as GitHub answers with it.
const GITHUB: &str = concat!(
    "HTTP/1.1 200 OK\r\ncontent-length: 149\r\n\r\n",
    r#"{"value":"eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2NsdXN0ZXIiLCJzdWIiOiJwb2QiLCJhdWQiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJleHAiOjQxMDI0NDQ4MDB9.c2ln"}"#
);

/// A world with one provider, whose server is not there.
fn world(lines: &str) -> World {
    let world = World::empty();
    world.write("token", ASSERTION);
    world.write(
        "biped.toml",
        &format!(
            "[providers.crm]\nkind = 'oauth2'\ntoken_endpoint = 'http://127.0.0.1:1/token'\n{lines}\n"
        ),
    );
    world
}

fn proof(audience: &str) -> Value {
    json!({
        "method": "client_assertion", "source": audience, "issuer": "https://cluster",
        "subject": "pod", "audience": ["https://login.example"],
        "expires_at": "2100-01-01T00:00:00Z",
    })
}

#[test]
fn identity_says_what_an_assertion_says_and_asks_no_issuer() {
    let world =
        world("client_assertion = 'file:token'\nassertion_audience = 'https://login.example'");
    let issuer = TcpListener::bind("127.0.0.1:0").unwrap();
    issuer.set_nonblocking(true).unwrap();
    let at = issuer.local_addr().unwrap().to_string();
    let config = std::fs::read_to_string(world.path("biped.toml")).unwrap();
    world.write("biped.toml", &config.replace("127.0.0.1:1", &at));
    let place = "file:token";
    let shown = world.run("identity crm --format json").json();
    assert_eq!(shown["provider"], "crm");
    assert_eq!(shown["proof"], proof(place));
    assert_eq!(shown["warnings"], json!([]));
    let text = world.run("identity crm").ok();
    for part in [
        "client_assertion",
        place,
        "https://cluster",
        "pod",
        "https://login.example",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains(ASSERTION), "{text}");
    assert!(issuer.accept().is_err(), "it was asked");
}

#[test]
fn a_provider_is_not_suggested_to_itself() {
    let told = world("client_assertion = { provider = 'crmm' }").run("identity crm");
    assert!(!told.failed(2).contains("did you mean"));
}

/// Azure's resource names what the token is for, without the suffix of a scope.
#[test]
fn a_resource_that_is_written_as_a_scope_is_what_was_asked_for() {
    const AZURE: &str = concat!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 176\r\n\r\n",
        r#"{"access_token":"eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2NsdXN0ZXIiLCJzdWIiOiJwb2QiLCJhdWQiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJleHAiOjQxMDI0NDQ4MDB9.c2ln","expires_in":"3599"}"#
    );
    let azure = OneRequest::answered(AZURE);
    let world = world(&format!(
        "client_assertion = {{ azure = {{ endpoint = '{}', resource = 'https://login.example/.default' }} }}",
        azure.url
    ));
    let shown = world.run("identity crm --format json").json();
    assert_eq!(shown["proof"], proof("azure"));
    assert_eq!(shown["warnings"], json!([]));
}

#[test]
fn check_lists_every_reference_of_a_provider() {
    for (lines, wanted) in [
        (
            "client_id = 'c'\nkey = { signer = ['false'], public = 'file:there' }",
            "file:there",
        ),
        (
            "client_id = 'c'\nkey = { pkcs11 = 'pkcs11:token=x;object=y?module-path=/nope.so', pin = \
             'file:nope' }",
            "file:nope",
        ),
        (
            "client_id = 'c'\nclient_secret = 's'\ngrant = 'refresh_token'\nrefresh_token = 'file:there'\n\
             [store]\nkind = 'file'\npath = 'tokens'\n\
             seal = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'",
            "file:there",
        ),
    ] {
        let world = world(lines);
        world.write("there", "x");
        let ran = world.run("check --format json");
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        let references = found[0]["references"].as_array().unwrap();
        let one = references.iter().find(|it| it["reference"] == wanted);
        let one = one.unwrap_or_else(|| panic!("{wanted}: {found}"));
        assert_eq!(one["readable"], wanted == "file:there", "{found}");
    }
}

#[test]
fn a_jobs_token_is_asked_of_github() {
    let github = OneRequest::answered(GITHUB);
    let world = world("client_assertion = { github = { audience = 'https://login.example' } }");
    let mut command = world.command(["-vv", "identity", "crm", "--format", "json"]);
    command.env(
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        format!("{}/id?x=1", github.url),
    );
    command.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner-s3cret");
    let ran = Ran::of(command.output().unwrap());
    let request = github.request();
    assert!(
        request.starts_with("GET /id?x=1&audience=https%3A%2F%2Flogin.example "),
        "{request}"
    );
    assert!(
        request
            .to_lowercase()
            .contains("authorization: bearer runner-s3cret"),
        "{request}"
    );
    for secret in ["runner-s3cret", ASSERTION] {
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!all.contains(secret), "{all}");
    }
    assert_eq!(ran.json()["proof"], proof("github"));
}

#[test]
fn a_secret_is_named_by_its_place() {
    let world = world("client_id = 'a'\nclient_secret = 'env:CRM'");
    let mut command = world.command(["identity", "crm", "--format", "json"]);
    command.env("CRM", "s3cret");
    let shown = Ran::of(command.output().unwrap()).json();
    assert_eq!(shown["proof"]["method"], "client_secret_basic");
    assert_eq!(shown["proof"]["source"], "env:CRM");
    assert!(shown["proof"]["issuer"].is_null());
}

#[test]
fn an_assertion_that_is_not_there_names_its_source() {
    let world = world("client_assertion = 'file:nowhere'");
    let place = "file:nowhere";
    for command in ["token crm --format json", "identity crm --format json"] {
        let error = world.run(command).error(2);
        assert_eq!(
            (&error["kind"], &error["source"]),
            (&json!("secret"), &json!(place))
        );
    }
    let ran = world.run("check --format json");
    assert_eq!(ran.status, 2, "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found[0]["error"]["source"], json!(place));
    assert_eq!(found[0]["proof"]["source"], json!(place));
    assert_eq!(found[0]["proof"]["method"], "client_assertion");
    for unknown in ["issuer", "subject", "audience", "expires_at"] {
        let proof = found[0]["proof"].as_object().unwrap();
        assert_eq!(proof.get(unknown), Some(&Value::Null), "{unknown}");
    }
}

#[test]
fn an_expired_assertion_is_not_sent() {
    let issuer = OneRequest::answered(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 40\r\n\r\n\
         {\"access_token\":\"t-1\",\"expires_in\":3600}",
    );
    let world = World::empty();
    world.write("token", ASSERTION);
    world.write(
        "biped.toml",
        &format!(
            "[providers.crm]\nkind = 'oauth2'\ntoken_endpoint = '{}/token'\n\
             client_assertion = 'file:token'\n[store]\nkind = 'file'\npath = 'tokens'\n",
            issuer.url
        ),
    );
    assert_eq!(world.run("token crm").ok().trim(), "t-1");
    assert!(issuer.request().contains(ASSERTION));
    let now = biped::provider::Clock::now(&biped::provider::SystemClock);
    let expired = assertion("https://login.example", now.wall.unix_seconds() - 250);
    world.write("token", &expired);
    // The server is gone: a request would end with status 4.
    for line in ["token crm", "token crm --fresh"] {
        let error = world.run(&format!("{line} --format json")).error(2);
        assert_eq!(
            (&error["kind"], &error["source"]),
            (&json!("secret"), &json!("file:token"))
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("expired 4 min ago"), "{message}");
    }
}

#[test]
fn a_chain_that_leads_nowhere_is_status_2_and_nothing_is_sent() {
    for (other, says) in [
        ("crm", "crm → crm"),
        ("other", "crm → other → crm"),
        ("othr", "did you mean other?"),
    ] {
        let world = world(&format!(
            "client_assertion = {{ provider = '{other}' }}\n[providers.other]\nkind = 'oauth2'\n\
             token_endpoint = 'http://127.0.0.1:1/token'\nclient_assertion = {{ provider = 'crm' }}"
        ));
        let error = world.run("token crm --format json").error(2);
        assert_eq!(error["kind"], "configuration", "{other}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{other}: {message}");
    }
}

#[test]
fn a_vendors_credentials_are_named_by_their_place() {
    let world = World::empty();
    world.write(
        "biped.toml",
        "[providers.shop]\nkind = 'envelope'\nbase_url = 'http://127.0.0.1:1'\nclient_id = 'id'\n\
         client_secret = 'env:SHOP'\n",
    );
    let mut command = world.command(["check", "--format", "json"]);
    command.env("SHOP", "s3cret");
    let ran = Ran::of(command.output().unwrap());
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found[0]["proof"]["source"], "env:SHOP");
    assert_eq!(found[0]["proof"]["method"], Value::Null);
    let mut command = world.command(["identity", "shop"]);
    command.env("SHOP", "s3cret");
    let text = Ran::of(command.output().unwrap()).ok();
    assert!(text.contains("credentials from env:SHOP"), "{text}");
}

#[test]
fn a_secret_in_the_configuration_is_said_to_be_there() {
    let world = World::empty();
    world.write(
        "biped.toml",
        "[providers.shop]\nkind = 'envelope'\nbase_url = 'http://127.0.0.1:1'\nclient_id = 'id'\n\
         client_secret = 'k3y'\n\
         [providers.crm]\nkind = 'oauth2'\ntoken_endpoint = 'http://127.0.0.1:1'\nclient_id = 'id'\n\
         client_secret = ['env:NEW', 'k3y']\n",
    );
    for (name, place) in [
        ("shop", "credentials from the configuration"),
        ("crm", "from env:NEW, the configuration"),
    ] {
        let text = Ran::of(world.command(["identity", name]).output().unwrap()).ok();
        assert!(text.contains(place) && !text.contains("k3y"), "{text}");
    }
}

/// A JWT with this audience and expiry, whose signature is worth nothing.
fn assertion(audience: &str, expiry: i64) -> String {
    jwt(&json!({ "iss": "https://cluster", "aud": audience, "exp": expiry }))
}

fn jwt(claims: &Value) -> String {
    let claims = claims.to_string();
    let mut encoded = Vec::new();
    for three in claims.as_bytes().chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(three.get(at).copied().unwrap_or(0)));
        let bits = a << 16 | b << 8 | c;
        let letters = (0..=three.len()).map(|at| (bits >> (18 - 6 * at)) as usize & 63);
        encoded.extend(letters.map(|at| ALPHABET[at]));
    }
    let claims = String::from_utf8(encoded).unwrap();
    format!("eyJhbGciOiJub25lIn0.{claims}.c2ln")
}

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[test]
fn an_audience_is_warned_of_only_where_nothing_asked_for_it() {
    let endpoint = "http://127.0.0.1:1/token";
    for (audience, lines, warns) in [
        (endpoint, "", false),
        ("api://AzureADTokenExchange", "", false),
        ("https://own", "assertion_audience = 'https://own'", false),
        ("https://other", "", true),
        ("http://127.0.0.1:1/token/", "", true),
    ] {
        let world = world(&format!("client_assertion = 'file:token'\n{lines}"));
        world.write("token", &assertion(audience, 4_102_444_800));
        for command in ["identity crm --format json", "check --format json"] {
            let shown: Value = serde_json::from_str(&world.run(command).stdout).unwrap();
            let shown = if shown.is_array() { &shown[0] } else { &shown };
            let all = shown["warnings"].to_string();
            assert_eq!(all.contains("audience"), warns, "{audience}: {shown}");
        }
    }
}

#[test]
fn less_than_a_minute_of_life_is_warned_of() {
    let world = world("client_assertion = 'file:token'");
    let now = biped::provider::Clock::now(&biped::provider::SystemClock);
    for (left, warns) in [(30, true), (3600, false)] {
        let expiry = now.wall.unix_seconds() + left;
        world.write("token", &assertion("http://127.0.0.1:1/token", expiry));
        for command in ["identity crm --format json", "check --format json"] {
            let shown: Value = serde_json::from_str(&world.run(command).stdout).unwrap();
            let shown = if shown.is_array() { &shown[0] } else { &shown };
            let all = shown["warnings"].to_string();
            assert_eq!(all.contains("less than a minute"), warns, "{left}: {shown}");
        }
    }
}

#[test]
fn an_assertion_of_another_time_is_warned_of() {
    let world = world("client_assertion = 'file:token'");
    let now = biped::provider::Clock::now(&biped::provider::SystemClock);
    let now = now.wall.unix_seconds();
    for (claim, ahead, warning) in [
        ("nbf", 300, "nbf is in the future"),
        ("iat", 300, "iat is in the future"),
        ("exp", -30, "has expired"),
        ("iat", -300, ""),
    ] {
        let mut claims = json!({ "iss": "https://cluster", "aud": "http://127.0.0.1:1/token" });
        claims["exp"] = (now + 3600).into();
        claims[claim] = (now + ahead).into();
        world.write("token", &jwt(&claims));
        for command in ["identity crm --format json", "check --format json"] {
            let shown: Value = serde_json::from_str(&world.run(command).stdout).unwrap();
            let shown = if shown.is_array() { &shown[0] } else { &shown };
            let all = shown["warnings"].to_string();
            match warning {
                "" => assert_eq!(all, "[]", "{shown}"),
                warning => assert!(all.contains(warning), "{claim}: {shown}"),
            }
        }
    }
    world.write("token", &assertion("http://127.0.0.1:1/token", now - 30));
    let shown = world.run("identity crm").stdout;
    assert!(shown.contains(" ago)"), "{shown}");
}

#[test]
fn check_says_how_a_provider_proves_itself_whatever_the_server_says() {
    let world =
        world("client_assertion = 'file:token'\nassertion_audience = 'https://login.example'");
    let place = "file:token";
    let ran = world.run("check --format json");
    assert_eq!(ran.status, 4, "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found[0]["proof"], proof(place));
    assert!(found[0]["error"]["source"].is_null());
    let text = world.run("check").stdout;
    assert!(text.contains("client_assertion from file:"), "{text}");
}

#[test]
fn a_check_lists_each_reference_and_whether_it_could_be_read() {
    let world = World::empty();
    world.write(
        "biped.toml",
        "[providers.shop]\nkind = 'envelope'\nbase_url = 'http://127.0.0.1:1'\n\
         client_id = 'env:NOBODY_SETS_THIS'\n\
         client_secret = ['file:gone', 'file:here', { cmd = ['false', 'pl4nted'] }, 'inline:pl4nted']\n",
    );
    world.write("here", "pl4nted");
    let ran = world.run("check --format json");
    assert_eq!(ran.status, 2, "{ran:?}");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    let references = found[0]["references"].as_array().unwrap();
    let told = |at: usize| {
        let reference = references[at]["reference"].as_str().unwrap();
        let readable = references[at]["readable"].as_bool().unwrap();
        assert_eq!(references[at]["error"].is_null(), readable);
        (reference, readable)
    };
    assert_eq!(references.len(), 4, "{references:?}");
    assert_eq!(
        [told(0), told(1), told(2), told(3)],
        [
            ("env:NOBODY_SETS_THIS", false),
            ("file:gone", false),
            ("file:here", true),
            ("cmd:false", false),
        ]
    );
    let text = world.run("check").stdout;
    assert!(
        text.contains("env:NOBODY_SETS_THIS: the environment variable "),
        "{text}"
    );
    assert!(!format!("{text}{ran:?}").contains("pl4nted"), "{text}");
}

#[test]
fn a_password_grant_is_warned_of_each_time() {
    let world = world("grant = 'password'\nclient_id = 'a'\nusername = 'u'\npassword = 'env:P'");
    let ran = world.run("check --format json");
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(
        found[0]["warnings"].to_string().contains("RFC 9700"),
        "{found}"
    );
}

#[test]
fn a_platforms_token_is_printed_like_any_other() {
    let world = World::empty();
    world.write("token", ASSERTION);
    world.write(
        "biped.toml",
        "[providers.api]\nkind = 'platform'\ntoken = 'file:token'\n",
    );
    assert_eq!(world.run("token api").ok().trim(), ASSERTION);
    let shown = world.run("identity api --format json").json();
    assert_eq!(shown["proof"]["method"], "platform");
}

#[test]
fn an_api_is_called_with_a_platforms_token() {
    let api = OneRequest::answered("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let world = World::empty();
    world.write("token", ASSERTION);
    world.write(
        "biped.toml",
        &format!(
            "[providers.api]\nkind = 'platform'\ntoken = 'file:token'\napi_base_url = '{}'\n",
            api.url
        ),
    );
    assert_eq!(world.run("call api GET /v1/things").ok(), "ok");
    let request = api.request();
    assert!(request.starts_with("GET /v1/things "), "{request}");
    let bearer = format!("authorization: Bearer {ASSERTION}");
    assert!(request.contains(&bearer), "{request}");
}

#[test]
fn a_refresh_token_that_is_replaced_against_the_configuration_is_warned_of() {
    let vendor = OneRequest::answered(concat!(
        "HTTP/1.1 200 OK\r\ncontent-length: 46\r\n\r\n",
        r#"{"access_token":"t-1","refresh_token":"r-two"}"#
    ));
    let world = world("");
    world.write(
        "biped.toml",
        &format!(
            "[providers.crm]\nkind = 'oauth2'\ntoken_endpoint = '{}/token'\nclient_id = 'a'\n\
             client_secret = 'b'\ngrant = 'refresh_token'\nrotates = false\nrefresh_token = 'r-one'\n",
            vendor.url
        ),
    );
    let ran = world.run("token crm");
    assert_eq!(ran.stdout, "t-1\n", "{}", ran.stderr);
    assert!(ran.stderr.contains("set rotates = true"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("r-two"), "{}", ran.stderr);
}
