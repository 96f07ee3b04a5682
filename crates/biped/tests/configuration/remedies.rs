//! What a message tells an author to write instead.

use crate::{assert_one, problems};

#[test]
fn where_a_table_is_expected_its_first_line_is_shown() {
    let found = problems("providers.shop = 'x'\nstore = 'redis'\n");
    assert_one(
        &found,
        "the configuration text:1: providers.shop: ",
        &["[providers.shop]"],
    );
    assert_one(&found, "the configuration text:2: store: ", &["[store]"]);
}

#[test]
fn where_only_the_quotes_are_wrong_the_remedy_is_about_them() {
    let found = problems(
        "[providers.shop]\nkind = 'envelope'\nbase_url = 'https://api.example'\nclient_id = 7\n\
         client_secret = 's'\n[engine]\nmax_keys = '7'\n",
    );
    assert_one(
        &found,
        "the configuration text:4: providers.shop.client_id: ",
        &["put it in quotes"],
    );
    assert_one(
        &found,
        "the configuration text:7: engine.max_keys: ",
        &["remove the quotes"],
    );
    // Where the text is not a number either, the quotes are not what is wrong.
    let found = problems("[engine]\nmax_keys = 'seven'\n");
    assert_one(
        &found,
        "the configuration text:2: engine.max_keys: ",
        &["expected"],
    );
    assert!(!found.concat().contains("quotes"), "{found:?}");
}

#[test]
fn a_kind_that_is_unknown_may_be_one_of_the_applications_own() {
    let found = problems("[providers.shop]\nkind = 'intranet'\n[store]\nkind = 'etcd'\n");
    let kind = "the configuration text:2: providers.shop.kind: ";
    assert_one(&found, kind, &["envelope", "Builder::provider_kind"]);
    let found = problems("[store]\nkind = 'etcd'\n");
    assert_one(
        &found,
        "the configuration text:2: store.kind: ",
        &["Builder::store_kind"],
    );
    // Where one is near, it is that one.
    let found = problems("[providers.shop]\nkind = 'envelop'\n");
    assert_one(&found, kind, &["did you mean envelope?"]);
    assert!(!found.concat().contains("Builder::"), "{found:?}");
    let found = problems("[providers.shop]\nkind = 7\n");
    assert_one(&found, kind, &["expected a string", "envelope"]);
}

#[cfg(feature = "dialect")]
#[test]
fn a_key_of_the_provider_among_its_parameters_is_led_to_its_table() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mine.toml");
    std::fs::write(&file, "url = 'https://{cell}.vendor.example/token'\n").unwrap();
    let found = problems(&format!(
        "[providers.shop]\nkind = 'dialect'\nfile = {file:?}\nclient_id = 'i'\nclient_secret = 's'\n\
         cell = 'eu'\n[providers.shop.params]\ncell = 'eu'\napi_base_url = 'https://api.example'\n"
    ));
    let meant = ["api_base_url is a key of the provider", "[providers.shop]"];
    assert_one(
        &found,
        "the configuration text:9: providers.shop.params.api_base_url: ",
        &meant,
    );
    let meant = ["unknown key", "[providers.shop.params]"];
    assert_one(
        &found,
        "the configuration text:6: providers.shop.cell: ",
        &meant,
    );
}
