//! `BIPED_…` variables.

use crate::{
    assert_one, builder, lines,
    vendor::{NoNetwork, secret_of},
};

const FILE: &str = "
[providers.my-shop]
kind = 'acme'
client_id = 'from the file'
client_secret = 'from the file'
project_id = 1
";

fn client_id(biped: &biped::Biped, name: &str) -> String {
    biped
        .provider(name)
        .unwrap()
        .provider()
        .id()
        .client()
        .to_owned()
}

#[test]
fn variables_go_ahead_of_the_file_and_the_builder_ahead_of_both() {
    let with_variable = builder()
        .toml(FILE)
        .environment([("BIPED_PROVIDERS__MY_SHOP__CLIENT_ID", "variable")]);
    assert_eq!(
        client_id(&with_variable.clone().build().unwrap(), "my-shop"),
        "variable"
    );
    let with_value = with_variable.value("providers.my-shop.client_id", "value");
    assert_eq!(client_id(&with_value.build().unwrap(), "my-shop"), "value");
}

#[test]
fn defaults_count_where_nothing_else_is_said() {
    let with_default = builder()
        .default_value("providers.my-shop.client_id", "default")
        .default_value("providers.my-shop.region", "eu");
    let biped = with_default.toml(FILE).build().unwrap();
    assert_eq!(client_id(&biped, "my-shop"), "from the file");
    let region = biped
        .config()
        .iter()
        .find(|s| s.key == "providers.my-shop.region")
        .unwrap();
    assert_eq!(
        (&*region.value, region.origin.clone()),
        ("\"eu\"", biped::config::Origin::Default)
    );
}

#[test]
fn a_variable_of_a_provider_that_is_none_is_told_which_one_is_meant() {
    let variable = "BIPED_PROVIDERS__MYSHOP__CLIENT_ID";
    let built = builder().toml(FILE).environment([(variable, "x")]).build();
    assert_one(
        &lines(built),
        variable,
        &["kind", "did you mean", "my-shop"],
    );
}

#[test]
fn problems_with_an_option_name_the_option() {
    let built = builder().option("--store", "store.kind", "redsi").build();
    assert_one(&lines(built), "--store: store.kind: ", &["memory"]);
}

#[test]
fn names_match_without_regard_to_case_and_hyphens() {
    for name in ["MY_SHOP", "my_shop", "My-Shop", "my-SHOP"] {
        let variable = format!("BIPED_PROVIDERS__{name}__CLIENT_ID");
        let biped = builder()
            .toml(FILE)
            .environment([(variable, "variable")])
            .build()
            .unwrap();
        assert_eq!(biped.names().collect::<Vec<_>>(), ["my-shop"], "{name}");
        assert_eq!(client_id(&biped, "my-shop"), "variable", "{name}");
    }
    let text = FILE.replace("my-shop", "\"My__Shop\"");
    let variables = [("BIPED_PROVIDERS__MY__SHOP__CLIENT_ID", "variable")];
    let biped = builder().toml(text).environment(variables).build().unwrap();
    assert_eq!(client_id(&biped, "My__Shop"), "variable");
}

#[test]
fn a_variable_that_fits_two_providers_is_a_problem() {
    let text = format!("{FILE}{}", FILE.replace("my-shop", "my_shop"));
    let variables = [("BIPED_PROVIDERS__MY_SHOP__CLIENT_ID", "variable")];
    let found = lines(builder().toml(text).environment(variables).build());
    assert_one(&found, "BIPED_PROVIDERS__MY_SHOP__CLIENT_ID: ", &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_variable_may_add_a_key_and_even_a_provider() {
    let biped = builder()
        .toml(FILE)
        .environment([
            ("BIPED_PROVIDERS__MY_SHOP__PLAN", "large"),
            ("BIPED_PROVIDERS__NEW_ONE__KIND", "acme"),
            ("BIPED_PROVIDERS__NEW_ONE__CLIENT_SECRET", "s"),
            ("BIPED_PROVIDERS__NEW_ONE__PROJECT_ID", "7"),
            ("BIPED_PROVIDERS__NEW_ONE__SCOPE", "b a"),
            ("BIPED_PROVIDERS__NEW_ONE__SANDBOX", "true"),
            ("BIPED_PROVIDERS__NEW_ONE__SHARE", "0.5"),
            ("BIPED_PROVIDERS__NEW_ONE__PATIENCE", "2"),
            ("BIPED_PROVIDERS__NEW_ONE__CREATED", "2026-03-01"),
            ("BIPED_PROVIDERS__NEW_ONE__PARAMS__REGION", "eu"),
        ])
        .build()
        .unwrap();
    assert_eq!(biped.names().collect::<Vec<_>>(), ["my-shop", "new_one"]);
    let request = biped.provider("new_one").unwrap().request().to_string();
    assert_eq!(request, "a b project_id=7");
    let plan = biped
        .config()
        .iter()
        .find(|s| s.key == "providers.my-shop.plan")
        .unwrap();
    assert_eq!(plan.origin.to_string(), "BIPED_PROVIDERS__MY_SHOP__PLAN");
}

#[test]
fn problems_name_the_variable() {
    let found = lines(
        builder()
            .toml(FILE)
            .environment([
                ("BIPED_PROVIDERS__MY_SHOP__REGOIN", "eu"),
                ("BIPED_PROVIDERS__MY_SHOP__PROJECT_ID", "x"),
                ("BIPED_PROVIDERS__MY_SHOP", "x"),
                ("BIPED_PROVIDERS__MY_SHOP__", "x"),
                ("BIPED_HTTP__TIMEOUT", "x"),
                ("BIPED_ENGINE__", "x"),
                ("BIPED_STORE__URL", "x"),
            ])
            .build(),
    );
    assert_one(
        &found,
        "BIPED_PROVIDERS__MY_SHOP__REGOIN: providers.my-shop.regoin: ",
        &["region"],
    );
    assert_one(
        &found,
        "BIPED_PROVIDERS__MY_SHOP__PROJECT_ID: ",
        &["whole number"],
    );
    assert_one(
        &found,
        "BIPED_PROVIDERS__MY_SHOP: ",
        &["BIPED_PROVIDERS__NAME__KEY"],
    );
    assert_one(
        &found,
        "BIPED_PROVIDERS__MY_SHOP__: ",
        &["BIPED_PROVIDERS__NAME__KEY"],
    );
    assert_one(&found, "BIPED_HTTP__TIMEOUT: http.timeout: ", &[]);
    assert_one(&found, "BIPED_ENGINE__: ", &[]);
    assert_one(&found, "BIPED_STORE__URL: store.url: ", &["kind"]);
    assert_eq!(found.len(), 7, "{found:#?}");
}

#[test]
fn a_missing_key_is_told_at_the_providers_own_place() {
    let text = "\n[providers.a]\nkind = 'acme'\n";
    let variables = [("BIPED_PROVIDERS__A__REGION", "eu")];
    let found = lines(builder().toml(text).environment(variables).build());
    assert_one(
        &found,
        "the configuration text:2: providers.a.client_secret: ",
        &["missing"],
    );
}

#[test]
fn other_variables_are_no_configuration() {
    builder()
        .toml(FILE)
        .environment([
            ("BIPED_SEAL_KEY", "x"),
            ("BIPED_TEST_REDIS_URL", "x"),
            ("BIPED_CONFIG", "x"),
            ("BIPED_HTTP_TIMEOUT", "x"),
            ("MYBIPED_HTTP__TIMEOUT", "x"),
            ("PROVIDERS__A__B", "x"),
        ])
        .build()
        .unwrap();
}

#[test]
fn a_name_of_any_length_is_a_problem_at_most() {
    let deep = format!("BIPED_PROVIDERS__A{}", "__B".repeat(100_000));
    let found = lines(builder().toml(FILE).environment([(&deep, "x")]).build());
    assert_one(&found, &format!("{deep}: "), &[]);
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn a_secret_arrives_byte_for_byte() {
    let secrets = [
        "123456",
        "007",
        "true",
        "[x]",
        "\"quoted\"",
        "1e3",
        "{ a = 1 }",
        " s ",
        "s\n",
        "s\r\n",
        "env:HOME",
        "file:/etc/hostname",
        "inline:x",
        "cmd:ls",
        "a=b&c",
        "\u{1F511}",
        "'",
        "null",
        "2026-03-01",
    ];
    for secret in secrets {
        let biped = builder()
            .http_client(std::sync::Arc::new(NoNetwork))
            .toml(FILE)
            .environment([("BIPED_PROVIDERS__MY_SHOP__CLIENT_SECRET", secret)])
            .build()
            .unwrap();
        assert_eq!(secret_of(&biped, "my-shop").await, secret);
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf_8_is_a_problem_and_elsewhere_nobodys_business() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    let strange = || OsString::from_vec(vec![b'x', 0xff]);
    let name = |name: &str| OsString::from(name);
    let quiet = [(name("BIPED_OTHER"), strange()), (strange(), strange())];
    builder().toml(FILE).environment(quiet).build().unwrap();
    let loud = [(name("BIPED_PROVIDERS__MY_SHOP__CLIENT_ID"), strange())];
    let found = lines(builder().toml(FILE).environment(loud).build());
    assert_one(&found, "BIPED_PROVIDERS__MY_SHOP__CLIENT_ID: ", &["UTF-8"]);
}
