//! `[store]`.

use crate::{assert_one, builder, problems};

/// A server's address, and whether somebody has connected to it by now.
#[cfg(any(feature = "redis", feature = "postgres"))]
fn listening() -> (std::net::SocketAddr, impl Fn() -> bool) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (address, move || listener.accept().is_ok())
}

#[tokio::test]
async fn memory_takes_the_keys_of_every_kind_so_that_it_can_be_chosen_from_outside() {
    let text = "[store]\nkind = 'redis'\nurl = 'redis://host'\nprefix = 'a'\npath = 'b'\nseal = 'k'\n\
                [providers.a]\nkind = 'acme'\nclient_secret = 's'\n";
    // The seal is not a key, which only matters where the kind is used.
    assert!(!problems(text).is_empty());
    let chosen = builder().toml(text).value("store.kind", "memory");
    let biped = chosen.build().unwrap();
    assert_eq!(biped.token_source("a").unwrap().store_key().await, None);
}

#[test]
fn keys_of_a_store_without_its_kind_are_a_problem() {
    let found = problems("[store]\nurl = 'redis://host'\n");
    assert_one(&found, "the configuration text:2: store.url: ", &["kind"]);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn an_unknown_kind_of_store_is_answered_with_the_known_ones() {
    let found = problems("[store]\nkind = 'dynamodb'\n");
    assert_one(
        &found,
        "the configuration text:2: store.kind: ",
        &["memory, file, postgres, redis"],
    );
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_kind_of_store_whose_feature_is_off_names_the_feature() {
    let told = "which is not enabled";
    let found = problems("[store]\nkind = 'redis'\nurl = 'redis://127.0.0.1'\n");
    assert_one(
        &found,
        "the configuration text:2: store.kind: ",
        &["feature redis", told],
    );
    // Only an application without the feature sees it.
    let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/troubleshooting.md");
    let book = std::fs::read_to_string(book).unwrap();
    assert!(book.contains(&format!("\n| `{told}` |")));
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[cfg(all(feature = "file", not(feature = "sealed")))]
#[test]
fn what_was_to_be_sealed_is_not_stored_unsealed() {
    let found = problems("[store]\nkind = 'file'\nseal = 'env:SEAL'\n");
    assert_one(
        &found,
        "the configuration text:3: store.seal: ",
        &["feature", "sealed"],
    );
}

#[cfg(feature = "redis")]
mod redis {
    use super::*;

    #[test]
    fn a_redis_is_not_asked_for_anything_while_the_configuration_is_read() {
        let (address, is_asked) = listening();
        let text = format!(
            "[store]\nkind = 'redis'\nurl = 'redis://me:hunter2@{address}/2'\nprefix = 'x'\n"
        );
        let biped = builder().toml(text).build().unwrap();
        let shown: Vec<_> = biped.config().iter().map(ToString::to_string).collect();
        assert!(!shown.join(" ").contains("hunter2"), "{shown:?}");
        assert!(!is_asked());
    }

    #[test]
    fn a_list_of_urls_names_nodes_of_a_cluster() {
        let nodes = |list: &str| format!("[store]\nkind = 'redis'\nurl = {list}\n");
        for list in [
            "['redis://127.0.0.1:1']",
            "['rediss://a:b@one', 'rediss://a:b@two:7000']",
        ] {
            builder().toml(nodes(list)).build().unwrap();
        }
        for (list, word) in [
            ("['redis://one', 'rediss://two']", "same scheme"),
            ("['redis://one/2']", "database"),
            ("[]", "or a list of these"),
        ] {
            let found = problems(&nodes(list));
            assert_one(&found, "the configuration text:3: store.url: ", &[word]);
        }
    }

    #[test]
    fn what_is_wrong_with_the_keys_of_sentinels_is_told_once_and_where_it_stands() {
        for (text, place, word) in [
            (
                "sentinel = ''",
                "the configuration text:4: store.sentinel: ",
                "name",
            ),
            (
                "sentinel = 'm'\nsentinel_password = 'env:BIPED_TEST_UNSET'",
                "the configuration text:5: store.sentinel_password: ",
                "BIPED_TEST_UNSET",
            ),
            (
                "sentinel_user = 'u'",
                "the configuration text:4: store.sentinel_user: ",
                "sentinel is missing",
            ),
        ] {
            let url = "url = ['redis://127.0.0.1:1']";
            let found = problems(&format!("[store]\nkind = 'redis'\n{url}\n{text}\n"));
            assert_one(&found, place, &[word]);
            assert_eq!(found.len(), 1, "{found:#?}");
        }
    }

    #[test]
    fn the_url_may_be_what_a_command_prints() {
        let store = |url: &str| format!("[store]\nkind = 'redis'\nurl = {{ cmd = {url} }}\n");
        let good = store("['printf', 'redis://me:hunter2@127.0.0.1:1']");
        builder().toml(&good).build().unwrap();
        let found = problems(&store("['printf', 'hunter2']"));
        assert_one(
            &found,
            "the configuration text:3: store.url: ",
            &["redis://"],
        );
        assert!(!found.join(" ").contains("hunter2"), "{found:?}");
    }

    #[test]
    fn what_is_wrong_with_a_redis_is_told_without_its_password() {
        for (text, place, word) in [
            ("", "the configuration text:2: store.url: ", "missing"),
            (
                "url = 'http://me:hunter2@host'",
                "the configuration text:3: store.url: ",
                "redis://",
            ),
            (
                "url = 'env:BIPED_TEST_UNSET'",
                "the configuration text:3: store.url: ",
                "BIPED_TEST_UNSET",
            ),
            (
                "url = 'redis://host'\nprefix = '{x}'",
                "the configuration text:4: store.prefix: ",
                "braces",
            ),
            (
                "url = 'rediss://host'\nca = 'file:none.pem'",
                "the configuration text:4: store.ca: ",
                "none.pem",
            ),
            (
                "url = 'rediss://host'\nca = 'nonsense'",
                "the configuration text:3: store.url: ",
                "Redis",
            ),
        ] {
            let found = problems(&format!("[store]\nkind = 'redis'\n{text}\n"));
            assert_one(&found, place, &[word]);
            assert!(!found.join(" ").contains("hunter2"), "{found:?}");
        }
    }
}

#[cfg(feature = "postgres")]
#[test]
fn what_is_wrong_with_a_postgres_is_told_without_its_password() {
    let url = "url = 'postgres://me:hunter2@host/base";
    for (text, place, word) in [
        (
            String::new(),
            "the configuration text:2: store.url: ",
            "missing",
        ),
        (
            "url = 'mysql://me:hunter2@host'".into(),
            "the configuration text:3: store.url: ",
            "postgres://",
        ),
        (
            format!("{url}?sslmode=sometimes'"),
            "the configuration text:3: store.url: ",
            "verify-full",
        ),
        (
            format!("{url}?hunter2=x'"),
            "the configuration text:3: store.url: ",
            "option",
        ),
        (
            format!("{url}?sslrootcert=hunter2'"),
            "the configuration text:3: store.url: ",
            "named by ca",
        ),
        (
            format!("{url}?target_session_attrs=standby'"),
            "the configuration text:3: store.url: ",
            "use target_session_attrs=read-write",
        ),
        (
            "url = ['postgres://me:hunter2@one', 'postgres://me:hunter2@two']".into(),
            "the configuration text:3: store.url: ",
            "one URL, not a list",
        ),
        (
            format!("{url}'\ntable = 'a b'"),
            "the configuration text:4: store.table: ",
            "schema.table",
        ),
        (
            format!("{url}'\nca = 'nonsense'"),
            "the configuration text:3: store.url: ",
            "sslmode=verify-full",
        ),
    ] {
        let found = problems(&format!("[store]\nkind = 'postgres'\n{text}\n"));
        assert_one(&found, place, &[word]);
        assert!(!found.join(" ").contains("hunter2"), "{found:?}");
    }
}

#[cfg(feature = "postgres")]
#[test]
fn a_postgres_is_not_asked_for_anything_while_the_configuration_is_read() {
    let (address, is_asked) = listening();
    let text = format!(
        "[store]\nkind = 'postgres'\ntable = 'app.tokens'\ncreate = false\npooler = true\n\
         url = 'postgres://me:hunter2@{address},127.0.0.1:2/base\
         ?target_session_attrs=read-write'\n"
    );
    let biped = builder().toml(text).build().unwrap();
    let shown: Vec<_> = biped.config().iter().map(ToString::to_string).collect();
    assert!(!shown.join(" ").contains("hunter2"), "{shown:?}");
    assert!(!is_asked());
}

#[cfg(all(feature = "file", feature = "sealed"))]
mod file {
    use std::{fs, sync::Arc};

    use biped::{client::HttpClient, provider::async_trait};
    use bytes::Bytes;

    use super::*;

    /// A vendor that gives a token, once.
    #[derive(Debug, Default)]
    struct Once(std::sync::atomic::AtomicBool);

    #[async_trait]
    impl HttpClient for Once {
        async fn send(
            &self,
            _: http::Request<Bytes>,
        ) -> Result<http::Response<Bytes>, biped::Error> {
            let again = self.0.swap(true, std::sync::atomic::Ordering::Relaxed);
            assert!(!again, "asked twice");
            let body = r#"{"data":{"access_token":"the-token-itself","expires_in":3600}}"#;
            Ok(http::Response::new(Bytes::from_static(body.as_bytes())))
        }
    }

    const SHOP: &str = "\n[providers.shop]\nkind = 'envelope'\n\
        base_url = 'https://api.vendor.example'\nclient_id = 'a'\nclient_secret = 'b'\n";

    #[tokio::test]
    async fn a_token_is_kept_beside_the_file_and_sealed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("b.toml");
        let key = "ab".repeat(32);
        let write = |seal: &str| {
            let store = format!("[store]\nkind = 'file'\npath = 'tokens'\nseal = {seal}\n");
            fs::write(&path, store + SHOP).unwrap();
        };
        let vendor = Arc::new(Once::default());
        let token = async || {
            let biped = builder()
                .file(&path)
                .value("engine.store_wait", "60s")
                .http_client(vendor.clone())
                .build()
                .unwrap();
            biped.token_source("shop").unwrap().token().await.unwrap();
            biped.manager().drain().await;
        };
        write(&format!("'{key}'"));
        token().await;
        write(&format!("['inline:{}', '{key}']", "cd".repeat(32)));
        token().await;
        let mut stored = 0;
        for file in fs::read_dir(home.path().join("tokens")).unwrap() {
            let content = fs::read(file.unwrap().path()).unwrap();
            stored += content.len();
            assert!(!content.windows(9).any(|text| text == b"the-token"));
        }
        assert!(stored > 100, "there is something");
    }

    #[test]
    fn a_path_that_nobody_can_have_meant_is_a_problem() {
        for (path, word) in [
            ("", "directory"),
            (" ", "directory"),
            ("~", "~"),
            ("~/tokens", "~"),
            ("env:HOME", "BIPED_STORE__PATH"),
            ("file:/run/place", "reference"),
        ] {
            let found = problems(&format!("[store]\nkind = 'file'\npath = '{path}'\n"));
            assert_one(&found, "the configuration text:3: store.path: ", &[word]);
        }
    }

    #[test]
    fn a_seal_key_that_is_none_is_a_problem_that_does_not_show_it() {
        let found = problems("[store]\nkind = 'file'\nseal = ['hunter2', 'hunter3']\n");
        assert!(
            found
                .iter()
                .all(|line| line.starts_with("the configuration text:3: store.seal: "))
        );
        assert!(!found.join(" ").contains("hunter"), "{found:?}");
    }
}

#[cfg(all(feature = "oauth2", feature = "file", feature = "sealed"))]
mod accounts {
    use super::*;

    const PROVIDER: &str = "[providers.crm]\nkind = 'oauth2'\nclient_id = 'a'\nclient_secret = 's'\n\
                            token_endpoint = 'https://login.example/token'\n\
                            grant = 'refresh_token'\n";
    const SEAL: &str = "000102030405060708090a0b0c0d0e0ff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

    #[test]
    fn a_credential_that_rotates_needs_a_sealed_store_that_outlives_the_process() {
        for (store, remedy) in [
            ("", "[store] kind"),
            ("[store]\nkind = 'memory'\n", "[store] kind"),
            (
                "[store]\nkind = 'file'\npath = '/nowhere'\n",
                "[store] seal",
            ),
        ] {
            let found = problems(&format!("{PROVIDER}{store}"));
            assert_one(
                &found,
                "the configuration text:6: providers.crm.grant: ",
                &[remedy],
            );
            assert_eq!(found.len(), 1, "{found:#?}");
            // A fixed one needs neither.
            let fixed = format!("{PROVIDER}rotates = false\nrefresh_token = 'r'\n{store}");
            builder().toml(fixed).build().unwrap();
        }
        let sealed = format!("[store]\nkind = 'file'\npath = '/nowhere'\nseal = ['{SEAL}']\n");
        builder()
            .toml(format!("{PROVIDER}{sealed}"))
            .build()
            .unwrap();
        #[cfg(feature = "redis")]
        for more in [
            "url = 'redis://host'\n",
            "url = ['redis://host']\nsentinel = 'primary'\n",
        ] {
            // Whether the server may keep it is seen when it is used.
            let redis = format!("{PROVIDER}[store]\nkind = 'redis'\n{more}");
            assert_one(
                &problems(&redis),
                "the configuration text:6: providers.crm.grant: ",
                &["[store] seal"],
            );
            builder()
                .toml(format!("{redis}seal = ['{SEAL}']\n"))
                .build()
                .unwrap();
        }
        // What is wrong with the store is told alone.
        let found = problems(&format!("{PROVIDER}[store]\nkind = 'dynamodb'\n"));
        assert_one(
            &found,
            "the configuration text:8: store.kind: ",
            &["memory"],
        );
        assert_eq!(found.len(), 1, "{found:#?}");
    }
}
