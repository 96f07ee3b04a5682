//! Exchanges as vendors' documents print them, and what they mean.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_dialect::check_text;
use biped_learn::{Learned, Material, Refusal, Written, learn};

/// The texts of one document.
#[derive(Clone, Copy, Default)]
struct Case {
    curl: &'static str,
    response: &'static str,
    error: &'static str,
    api: &'static str,
}

fn given(text: &'static str) -> Option<&'static str> {
    (!text.is_empty()).then_some(text)
}

fn try_learn(case: Case) -> Result<Learned, Refusal> {
    let mut material = Material::new("acme", case.curl);
    material.response = given(case.response);
    material.error = given(case.error);
    material.api = given(case.api);
    material.docs = Some("https://docs.acme.example/auth");
    learn(&material)
}

/// Learns a file that passes its own check, and has each of these lines.
fn file(case: Case, lines: &[&str]) -> String {
    let learned = try_learn(case).unwrap();
    assert_eq!(learned.written, Written::File, "{}", learned.text);
    let report = check_text(&learned.text, "acme.toml");
    assert!(report.is_good(), "{report:?}\n{}", learned.text);
    let refusals = usize::from(!case.error.is_empty());
    assert_eq!(report.examples(), 1 + refusals, "{}", learned.text);
    for line in lines {
        let has = learned.text.lines().any(|other| other == *line);
        assert!(has, "{line}\n{}", learned.text);
    }
    learned.text
}

/// The keys of the request and of the response, which are in front of `[about]`.
fn keys(text: &str) -> Vec<&str> {
    let (head, _) = text.split_once("[about]").unwrap();
    let keys = head.lines().filter_map(|line| line.split_once(" = "));
    keys.map(|(key, _)| key).collect()
}

fn without(text: &str, samples: &[&str]) {
    for sample in samples {
        assert!(!text.contains(sample), "{sample}\n{text}");
    }
}

const STANDARD: &str =
    r#"{"access_token": "tok-71aa", "token_type": "Bearer", "expires_in": 3600}"#;

#[test]
fn the_exchange_of_rfc_6749_is_an_entry_of_kind_oauth2() {
    let learned = try_learn(Case {
        curl: "curl --request POST 'https://login.heron.example/oauth2/token' \\\n  \
               --header 'Content-Type: application/x-www-form-urlencoded' \\\n  \
               --data-urlencode 'grant_type=client_credentials' \\\n  \
               --data-urlencode 'client_id=<CLIENT_ID>' \\\n  \
               --data-urlencode 'client_secret=<CLIENT_SECRET>' \\\n  \
               --data-urlencode 'scope=birds.read birds.write'",
        response: STANDARD,
        error: r#"{"error": "invalid_client", "error_description": "no such client"}"#,
        api: "curl 'https://api.heron.example/v2/birds?limit=10' -H \"Authorization: Bearer $TOKEN\"",
    })
    .unwrap();
    assert_eq!(learned.written, Written::Entry);
    for line in [
        "kind = \"oauth2\"",
        "token_endpoint = \"https://login.heron.example/oauth2/token\"",
        "client_authentication = \"client_secret_post\"",
        "scope = \"birds.read birds.write\"",
        "api_base_url = \"https://api.heron.example/v2\"",
    ] {
        assert!(learned.text.lines().any(|other| other == line), "{line}");
    }
    assert!(learned.notes.iter().any(|note| note.contains("RFC 6749")));
}

#[test]
fn a_user_is_basic_and_data_is_a_form() {
    let learned = try_learn(Case {
        curl: "$ curl -s -u \"$ID:$SECRET\" -d grant_type=client_credentials https://id.stork.example/token \
               | jq -r .access_token",
        response: STANDARD,
        ..Case::default()
    })
    .unwrap();
    assert_eq!(learned.written, Written::Entry);
    assert!(
        learned
            .text
            .contains("client_authentication = \"client_secret_basic\"")
    );
}

#[test]
fn json_has_constants_and_an_api_call_has_further_headers() {
    let text = file(
        Case {
            curl: "curl --location 'https://hub.crane.example/auth/v1/login' \\\n\
                   --header 'Content-Type: application/json' \\\n\
                   --data '{\n \"clientId\": \"{{id}}\",\n \"clientSecret\": \"{{secret}}\",\n \
                   \"accessType\": \"MACHINE\"\n}'",
            response: r#"{"token": {"tokenType": "Bearer", "expiresIn": 86399, "accessToken": "eyJ.a.b",
                          "refreshToken": null}, "status": "SUCCESS"}"#,
            error: r#"{"status": 401, "code": 10010, "message": "no", "requestId": "b1f2"}"#,
            api: "curl --location 'https://hub.crane.example/orders/v2/orders' \\\n\
                  --header 'Crane-Site: {{siteGuid}}' \\\n--header 'Authorization: Bearer {{token}}'",
        },
        &[
            r#"encoding = "json""#,
            "grant_type = false",
            r#"fields = { accessType = "MACHINE", clientId = "{client_id}", clientSecret = "{client_secret}" }"#,
            r#"token = "/token/accessToken""#,
            r#"expires = { at = "/token/expiresIn", as = "seconds" }"#,
            r#"error = { code = "/code", message = "/message" }"#,
            r#"headers = { Crane-Site = "{crane_site}", Authorization = "Bearer {token}" }"#,
            r#"api = "https://hub.crane.example""#,
        ],
    );
    assert!(!keys(&text).contains(&"ok"), "{text}");
}

#[test]
fn get_makes_a_query_of_the_data() {
    let text = file(
        Case {
            curl: "curl -G https://ids.egret.example/oauth/token \\\n -d grant_type=client_credentials \\\n \
                   -d client_id=$CID -d client_secret=$CSECRET",
            response: STANDARD,
            error: r#"{"error": "unauthorized", "error_description": "no"}"#,
            ..Case::default()
        },
        &[r#"method = "GET""#, r#"encoding = "query""#],
    );
    assert_eq!(keys(&text), ["url", "method", "encoding"]);
}

#[test]
fn a_customers_name_in_a_host_and_a_key_in_a_header_are_parameters() {
    let text = file(
        Case {
            curl: "curl -X POST https://acme.ibis.example/api/v2/tokens \\\n  -H \"X-IB-SK: <secretKey>\" \\\n  \
                   -H \"Content-Type: application/json\" \\\n  -d '{\"keyId\": \"<keyId>\", \"expiryTime\": 3600}'",
            response: "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n\
                       {\"expiresAt\": \"2026-11-27T14:05:36.512Z\", \"token\": \"_a1b2c3\"}",
            error: r#"{"ok": false, "data": {"message": "FORBIDDEN"}}"#,
            api: "curl https://acme.ibis.example/api/v2/alerts -H \"Authorization: Bearer $TOKEN\"",
        },
        &[
            r#"url = "https://{account}.ibis.example/api/v2/tokens""#,
            r#"fields = { expiryTime = 3600, keyId = "{key_id}" }"#,
            r#"headers = { X-IB-SK = "{secret_key}" }"#,
            r#"token = "/token""#,
            r#"expires = { at = "/expiresAt", as = "rfc3339" }"#,
            r#"error = { message = "/data/message" }"#,
            r#"api = "https://{account}.ibis.example/api/v2""#,
            r#"secret_key = { says = "secret key", secret = true }"#,
        ],
    );
    assert!(text.contains("status = 201"), "{text}");
}

#[test]
fn a_whole_body_is_a_token_and_samples_are_parameters() {
    let text = file(
        Case {
            curl: "curl \"https://api.finch.example/v2/login?clientid=1234&username=jane%40acme.example&\
                   password=secret1\" -H \"accept: text/plain\"",
            response: "eyJhbGciOiJIUzUxMiJ9.finch.q1w2e3\n",
            api: "curl https://api.finch.example/v2/jobs -H 'Authorization: Bearer eyJhbGciOiJIUzUxMiJ9.finch.q1w2e3'",
            ..Case::default()
        },
        &[
            r#"fields = { clientid = "{client_id}", username = "{username}", password = "{password}" }"#,
            r#"format = "text""#,
            r#"api = "https://api.finch.example/v2""#,
            r#"password = { says = "password", secret = true }"#,
        ],
    );
    without(&text, &["1234", "jane", "secret1", "eyJ", "q1w2e3"]);
}

#[test]
fn an_envelope_has_a_flag_in_both_responses() {
    let text = file(
        Case {
            curl: "curl -X POST 'https://www.wren.example/v1/token' \\\n \
                   -H 'Content-Type: application/x-www-form-urlencoded' \\\n \
                   --data 'client_id=wr_live_xxxxx&client_secret=xxxxxxxxxxxxxxxx'",
            response: r#"{"success": true, "data": {"access_token": "wr_tok_1", "expires_in": 1800}}"#,
            error: r#"{"success": false, "error": {"code": "INVALID_CREDENTIALS", "message": "no"}}"#,
            ..Case::default()
        },
        &[
            "grant_type = false",
            r#"token = "/data/access_token""#,
            r#"expires = { at = "/data/expires_in", as = "seconds" }"#,
            r#"ok = { at = "/success", equals = true }"#,
            r#"error = { code = "/error/code", message = "/error/message" }"#,
        ],
    );
    without(&text, &["wr_live", "xxx", "wr_tok"]);
}

#[test]
fn errors_in_a_list_and_a_placeholder_in_words_are_read() {
    let text = file(
        Case {
            curl: "curl -X POST https://tools.plover.example/oauth/token \\\n \
                   -H 'Content-Type: application/x-www-form-urlencoded' -H 'x-merchant-id: string' \\\n \
                   -u '<YOUR_ID>:<YOUR_SECRET>' \\\n -d 'grant_type=client_credentials'",
            response: r#"{"token_type": "Bearer", "issued_at": "1685542319575", "access_token": "string",
                          "expires_in": "14399"}"#,
            error: r#"{"response": {"errors": [{"code": "10401", "message": "no"}]}}"#,
            ..Case::default()
        },
        &[
            r#"auth = "basic""#,
            r#"headers = { x-merchant-id = "{merchant_id}" }"#,
            r#"error = { code = "/response/errors/0/code", message = "/response/errors/0/message" }"#,
        ],
    );
    assert!(text.contains("lifetime = 14399"), "{text}");
}

#[test]
fn a_scheme_of_its_own_and_milliseconds_are_read() {
    file(
        Case {
            curl: "curl https://hub.kite.example/api/authenticate -X POST -H \"Authorization: token $API_TOKEN\" \
                   -H \"Accept: application/vnd.kite-4+json\"",
            response: r#"{"bearerToken": "eyJ.k.s", "expiresInMilliseconds": 7199999}"#,
            error: r#"{"errorMessage": "no", "errorCode": "{central.violation}"}"#,
            ..Case::default()
        },
        &[
            r#"encoding = "none""#,
            r#"headers = { Authorization = "token {api_token}", Accept = "application/vnd.kite-4+json" }"#,
            r#"token = "/bearerToken""#,
            r#"expires = { at = "/expiresInMilliseconds", as = "millis" }"#,
            r#"error = { code = "/errorCode", message = "/errorMessage" }"#,
            r#"api_token = { says = "the credential", secret = true }"#,
        ],
    );
}

#[test]
fn a_certificate_is_mutual_tls() {
    let text = file(
        Case {
            curl: "curl --cert ./client.pem --key ./client.key -X POST https://id.avocet.example/token \\\n \
                   -d 'grant_type=client_credentials' -d 'client_id={clientId}' -d 'client_secret={clientSecret}'",
            response: STANDARD,
            ..Case::default()
        },
        &["client_certificate = true"],
    );
    assert_eq!(keys(&text), ["url", "client_certificate"]);
}

#[test]
fn json_with_samples_leaves_none_behind() {
    let text = file(
        Case {
            curl: r#"curl --json '{"identifier": "myusername", "secret": "pat_124509ugsdjga93"}' https://hub.teal.example/login"#,
            response: r#"{"access_token": "eyJ.teal.y"}"#,
            error: r#"{"message": "incorrect"}"#,
            ..Case::default()
        },
        &[
            r#"encoding = "json""#,
            r#"fields = { identifier = "{identifier}", secret = "{secret}" }"#,
            r#"error = { message = "/message" }"#,
            r#"secret = { says = "secret", secret = true }"#,
        ],
    );
    without(&text, &["pat_124509", "myusername", "eyJ"]);
    assert!(text.contains(r#""lifetime""#), "{text}");
}

#[test]
fn options_that_mean_nothing_are_left_out() {
    let text = file(
        Case {
            curl: "curl.exe --ssl-no-revoke -sS --compressed -A \"my-app/1.0\" --max-time 30 -X POST \
                   \"https://www.rook.example/api/v1/access_token\" --user \"p-jcoLKBynTLew:gko_LXELoV07ZBNUXrvWZfzE3aI\" \
                   --data \"grant_type=client_credentials\"",
            response: r#"{"access_token": "J1qK1c18UUGJFAzz9xnH56584l4", "expires_in": 86400, "token_type": "bearer"}"#,
            error: r#"{"message": "Unauthorized", "error": 401}"#,
            ..Case::default()
        },
        &[
            r#"auth = "basic""#,
            r#"error = { code = "/error", message = "/message" }"#,
        ],
    );
    without(&text, &["gko_", "p-jco", "my-app", "J1qK"]);
}
