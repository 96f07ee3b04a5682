//! Input that nobody vetted: whatever it is, nothing panics, and nothing gets mixed up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, time::Duration};

use biped_core::{
    Error, ExposeSecret, MAX_LIFETIME, ParamValue, ProviderId, SecretRef, Timestamp, Token,
    TokenKey, TokenRequest, VendorError, wire,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::Value;
use url::Url;

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_772_366_400)
}

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        "[-+]?[0-9]{0,30}(\\.[0-9]{0,10})?(e[0-9]{0,4})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_value() -> impl Strategy<Value = ParamValue> {
    prop_oneof![
        "[a-z0-9 =&]{0,4}".prop_map(ParamValue::from),
        (-3_i64..40).prop_map(ParamValue::from),
        any::<bool>().prop_map(ParamValue::from),
        proptest::collection::vec("[a-z0-9 ]{0,3}".prop_map(String::from), 0..3)
            .prop_map(ParamValue::from),
    ]
}

/// Requests from a small world, so that two of them are often nearly the same.
fn any_request() -> impl Strategy<Value = TokenRequest> {
    let scopes = proptest::collection::vec("[ab]{1,2}", 0..3);
    let params = proptest::collection::btree_map("[ab]{0,2}", any_value(), 0..3);
    (scopes, params).prop_map(|(scopes, params)| {
        params.into_iter().fold(
            TokenRequest::new().scopes(scopes),
            |request, (name, value)| request.param(name, value),
        )
    })
}

fn any_id() -> impl Strategy<Value = ProviderId> {
    let details = proptest::collection::btree_map("[ab]{0,2}", "[ab]{0,2}", 0..3);
    ("[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}", details).prop_map(
        |(kind, endpoint, client, details)| {
            details.iter().fold(
                ProviderId::new(&kind, endpoint, client),
                |id, (what, value)| id.with(what, value),
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_makes_the_reading_of_answers_panic(
        status in 100_u16..1000,
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            any_json().prop_map(|json| json.to_string().into_bytes()),
        ],
        retry_after in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let _limit = biped_testing::TimeLimit::start();
        let mut response = http::Response::builder().status(status).body(Bytes::from(body)).unwrap();
        if let Ok(value) = HeaderValue::from_bytes(&retry_after) {
            response.headers_mut().insert("retry-after", value);
        }
        let _ = wire::json(&response);
        let error = wire::failure(&response, VendorError::new(status), now());
        prop_assert!(error.retry_after().is_none_or(|wait| wait <= MAX_LIFETIME));
    }

    #[test]
    fn a_retry_after_in_seconds_is_read_as_it_is_meant(seconds in any::<i64>()) {
        let _limit = biped_testing::TimeLimit::start();
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", seconds.into());
        let expected = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(MAX_LIFETIME);
        let read = wire::retry_after(&headers, now()).unwrap();
        // Seconds of many digits lose a few.
        prop_assert!(read.abs_diff(expected) < Duration::from_secs(1));
    }

    #[test]
    fn a_field_is_read_as_what_it_is(value in any_json(), text in ".*") {
        let _limit = biped_testing::TimeLimit::start();
        prop_assert!(wire::seconds(&value).is_none_or(|life| !life.is_zero() && life <= MAX_LIFETIME));
        let read = wire::text(&value);
        prop_assert_eq!(read.is_some(), value.is_string() || value.is_number());
        prop_assert_eq!(wire::integer(&value), read.and_then(|text| text.trim().parse().ok()));
        let (one, two) = (Value::from(&*text), Value::from(vec![&*text, "b"]));
        prop_assert_eq!(wire::scope(&one), Some(text.clone()));
        prop_assert_eq!(wire::scope(&two), Some(format!("{text} b")));
        let has_no_text = !value.is_string() && !value.is_array();
        prop_assert!(wire::scope(&value).is_none() || !has_no_text);
        let names = |value: &Value| {
            wire::object(value).map(|object| object.keys().cloned().collect::<Vec<_>>())
        };
        let in_a_text = Value::from(value.to_string());
        prop_assert_eq!(names(&value).filter(|_| value.is_object()), names(&in_a_text));
    }

    #[test]
    fn a_pattern_of_hosts_is_for_the_hosts_below_it(text in ".*") {
        let _limit = biped_testing::TimeLimit::start();
        let below = format!("*.{text}");
        prop_assert_eq!(wire::host_matches(&text, &text), !text.starts_with("*."));
        let host = |start: &str| format!("{start}{text}");
        prop_assert!(wire::host_matches(&host("a."), &below));
        prop_assert!(!wire::host_matches(&text, &below));
        prop_assert!(!wire::host_matches(&host("a"), &below) || text.starts_with('.'));
    }

    #[test]
    fn only_a_text_of_three_parts_has_an_expiry(text in ".*", seconds in any::<i32>(), count in 0..6_usize) {
        let _limit = biped_testing::TimeLimit::start();
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let payload = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{seconds}}}"));
        let mut parts = vec!["e30", &payload, "c2ln", "e30", "e30"];
        parts.truncate(count);
        let expected = Timestamp::from_unix_seconds(seconds.into());
        prop_assert_eq!(wire::jwt_expiry(&parts.join(".")), (count == 3).then_some(expected));
        prop_assert!(wire::jwt_expiry(&text).is_none());
    }

    #[test]
    fn an_expiry_in_a_jwt_is_read_whatever_it_says(exp in any_json(), claims in any_json()) {
        let _limit = biped_testing::TimeLimit::start();
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        for payload in [serde_json::json!({ "exp": exp }), claims] {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload.to_string()));
            let _ = wire::jwt_expiry(&token);
            let token = Token::new(token, now()).build().unwrap();
            prop_assert!(token.lifetime().is_some_and(|life| !life.is_zero() && life <= MAX_LIFETIME));
        }
    }

    #[test]
    fn vendor_text_is_short_and_has_no_control_characters(text in any::<String>()) {
        let _limit = biped_testing::TimeLimit::start();
        if let Some(shown) = wire::vendor_text(&text) {
            prop_assert!(shown.len() <= wire::VENDOR_TEXT_LIMIT + '…'.len_utf8());
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }

    #[test]
    fn a_base_url_outside_the_vendors_hosts_is_never_accepted(
        text in prop_oneof![
            any::<String>(),
            "https://[a-z.@:/\\\\?#%0-9]{0,30}vendor\\.example[a-z.@:/\\\\?#%0-9]{0,20}",
        ],
    ) {
        let _limit = biped_testing::TimeLimit::start();
        let endpoint = Url::parse("https://login.vendor.example/token").unwrap();
        if let Ok(url) = wire::base_url(&text, &["vendor.example", "*.vendor.example"], &endpoint) {
            let host = url.host_str().unwrap().trim_end_matches('.').to_owned();
            prop_assert!(host == "vendor.example" || host.ends_with(".vendor.example"), "{url}");
            prop_assert_eq!(url.scheme(), "https");
            prop_assert!(url.username().is_empty() && url.password().is_none() && url.port().is_none());
        }
    }

    #[test]
    fn different_requests_never_share_a_key(
        (one, other) in (any_request(), any_request()),
        (id, other_id) in (any_id(), any_id()),
    ) {
        let _limit = biped_testing::TimeLimit::start();
        let same = one == other && id == other_id;
        prop_assert_eq!(TokenKey::new(&id, &one) == TokenKey::new(&other_id, &other), same);
    }

    #[test]
    fn the_order_of_scopes_and_parameters_never_matters(
        scopes in proptest::collection::vec("[a-d]{1,2}", 0..5),
        params in proptest::collection::btree_map("[a-d]{1,2}", any_value(), 0..5),
        seed in any::<u64>(),
    ) {
        let _limit = biped_testing::TimeLimit::start();
        let id = ProviderId::new("k", "e", "c");
        let straight = params.iter().fold(
            TokenRequest::new().scopes(&scopes),
            |request, (name, value)| request.param(name, value.clone()),
        );
        let mut shuffled_scopes = scopes.clone();
        let mut shuffled_params: Vec<_> = params.iter().collect();
        let mut random = seed;
        let mut next = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(random >> 33).unwrap() % bound
        };
        for at in (1..shuffled_scopes.len()).rev() {
            shuffled_scopes.swap(at, next(at + 1));
        }
        for at in (1..shuffled_params.len()).rev() {
            shuffled_params.swap(at, next(at + 1));
        }
        let shuffled = shuffled_params.into_iter().fold(TokenRequest::new(), |request, (name, value)| {
            request.param(name, value.clone())
        });
        let shuffled = shuffled.scope(shuffled_scopes.join(" "));
        prop_assert_eq!(&straight, &shuffled);
        prop_assert_eq!(TokenKey::new(&id, &straight), TokenKey::new(&id, &shuffled));
    }

    #[test]
    fn every_parameter_matters(
        params in proptest::collection::btree_map("[a-d]{1,2}", any_value(), 1..5),
        at in any::<prop::sample::Index>(),
        value in any_value(),
    ) {
        let _limit = biped_testing::TimeLimit::start();
        let id = ProviderId::new("k", "e", "c");
        let of = |params: &BTreeMap<String, ParamValue>| {
            let request = params.iter().fold(TokenRequest::new(), |request, (name, value)| {
                request.param(name, value.clone())
            });
            TokenKey::new(&id, &request)
        };
        let name = params.keys().nth(at.index(params.len())).unwrap().clone();
        let mut without = params.clone();
        without.remove(&name);
        prop_assert_ne!(of(&params), of(&without));
        let mut changed = params.clone();
        let before = changed.insert(name, value.clone()).unwrap();
        prop_assert_eq!(of(&params) == of(&changed), before == value);
    }

    #[test]
    fn any_text_is_a_secret_or_a_place_and_is_never_shown(text in any::<String>()) {
        let _limit = biped_testing::TimeLimit::start();
        match text.parse::<SecretRef>() {
            Ok(secret) => {
                let is_place = ["env:", "file:", "cmd:"].iter().any(|place| text.starts_with(place));
                let shown = format!("{secret:?} {secret}");
                prop_assert!(is_place || shown == "[redacted] [redacted]", "{}", shown);
            }
            Err(error) => {
                let (_, rest) = text.split_once(':').unwrap();
                prop_assert!(rest.len() < 8 || !error.to_string().contains(rest));
            }
        }
    }

    #[test]
    fn a_secret_reference_reads_as_what_it_was_written(name in "[A-Z_]{1,12}", path in "/[a-z/ .]{1,20}") {
        let _limit = biped_testing::TimeLimit::start();
        prop_assert_eq!(format!("env:{name}").parse::<SecretRef>().unwrap(), SecretRef::env(name));
        prop_assert_eq!(format!("file:{path}").parse::<SecretRef>().unwrap(), SecretRef::file(path));
    }

    #[test]
    fn any_text_is_a_token_or_an_error(text in any::<String>(), life in any::<u64>()) {
        let _limit = biped_testing::TimeLimit::start();
        let built = Token::new(text.clone(), now())
            .expires_in(Some(Duration::from_secs(life)))
            .build();
        match built {
            Ok(token) => {
                prop_assert_eq!(token.expose_secret(), &*text);
                prop_assert!(token.header().is_sensitive());
                prop_assert!(token.lifetime().unwrap() <= MAX_LIFETIME);
            }
            Err(error) => {
                let shown = format!("{error} {error:?}");
                prop_assert!(text.len() < 8 || !shown.contains(&text));
            }
        }
    }
}

/// What a manager writes into a store, and reads from it.
mod codec {
    use std::sync::Arc;

    use biped_core::{
        BaseUrls, FetchContext, Generation, Provider, StoredToken, TokenStore, async_trait,
    };
    use biped_engine::TokenManager;
    use biped_memory::MemoryStore;
    use biped_testing::{ManualClock, ScriptedHttp, settle};

    use super::*;

    #[derive(Clone, Debug)]
    struct Said {
        text: String,
        life: u64,
        token_type: String,
        scope: Option<String>,
        base_url: Option<Url>,
        extra: serde_json::Map<String, Value>,
    }

    #[derive(Debug)]
    struct Says(ProviderId, Said);

    #[async_trait]
    impl Provider for Says {
        fn id(&self) -> &ProviderId {
            &self.0
        }
        async fn base_urls(&self, _: &FetchContext<'_>) -> Result<BaseUrls, Error> {
            let endpoint = Url::parse(self.0.token_endpoint()).unwrap();
            let host = self.1.base_url.as_ref().and_then(Url::host_str);
            Ok(BaseUrls::at(host.as_slice(), &endpoint))
        }
        async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
            let said = self.1.clone();
            Token::new(said.text, cx.sent_at())
                .expires_in(Some(Duration::from_secs(said.life)))
                .token_type(Some(&said.token_type))
                .scope(said.scope)
                .base_url(said.base_url)
                .extra(said.extra)
                .build()
        }
    }

    fn any_said() -> impl Strategy<Value = Said> {
        let extra = proptest::collection::btree_map(".{0,8}", any_json(), 0..3);
        let base_url = prop_oneof![Just(None), "[a-z]{1,8}(/[a-z]{1,8}){0,2}".prop_map(Some)];
        (
            "[!-~]{1,200}",
            60_u64..100_000,
            ".{0,12}",
            proptest::option::of(".{0,20}"),
            base_url,
            extra,
        )
            .prop_map(|(text, life, token_type, scope, host, extra)| Said {
                text,
                life,
                token_type,
                scope,
                base_url: host.map(|host| format!("https://{host}").parse().unwrap()),
                extra: extra.into_iter().collect(),
            })
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(test)
    }

    fn source(
        said: Said,
        store: &Arc<MemoryStore>,
        clock: &Arc<ManualClock>,
    ) -> biped_engine::TokenSource {
        let manager = TokenManager::builder(Arc::new(ScriptedHttp::new()))
            .clock(clock.clone())
            .store(store.clone())
            .build();
        let id = ProviderId::new("says", "https://login.example", "app");
        manager.source(Arc::new(Says(id, said)), TokenRequest::new())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_token_is_read_from_the_store_as_it_was_put(said in any_said()) {
            let _limit = biped_testing::TimeLimit::start();
            let extra = said.extra.clone();
            run(async move {
                let clock = Arc::new(ManualClock::new());
                let store = Arc::new(MemoryStore::with_clock(clock.clone()));
                let first = source(said.clone(), &store, &clock);
                let put = first.token().await.unwrap().into_owned();
                settle().await;
                // Another process, whose vendor would say something else.
                let other = Said { text: "other".into(), ..said };
                let read = source(other, &store, &clock).token().await.unwrap().into_owned();
                assert_eq!(read.expose_secret(), put.expose_secret());
                assert_eq!(read.header(), put.header());
                assert_eq!(read.token_type(), put.token_type());
                assert_eq!(read.requested_at(), put.requested_at());
                assert_eq!(read.expires_at(), put.expires_at());
                assert_eq!(read.scope(), put.scope());
                assert_eq!(read.base_url(), put.base_url());
                assert_eq!(read.generation(), put.generation());
                for (name, value) in &extra {
                    // Fractions may differ in their last digit.
                    if !value.to_string().contains(['.', 'e']) {
                        assert_eq!(read.extra(name), Some(value));
                    }
                }
            });
        }

        #[test]
        fn stored_bytes_are_a_token_or_a_miss(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                any_json().prop_map(|json| json.to_string().into_bytes()),
                (any_json(), any_json(), any::<i64>(), any::<i64>()).prop_map(|(scheme, extra, asked, expires)| {
                    let _limit = biped_testing::TimeLimit::start();
                    serde_json::json!({
                        "v": 1, "token": "t", "scheme": scheme, "token_type": "Bearer",
                        "requested_at": asked, "expires_at": expires, "extra": extra,
                    }).to_string().into_bytes()
                }),
                (any::<i64>(), any::<i64>()).prop_map(|(asked, expires)| {
                    serde_json::json!({
                        "v": 1, "token": "t", "scheme": "Bearer", "token_type": "Bearer",
                        "requested_at": asked, "expires_at": expires,
                    }).to_string().into_bytes()
                }),
            ],
            generation in any::<u64>(),
        ) {
            run(async move {
                let clock = Arc::new(ManualClock::new());
                let store = Arc::new(MemoryStore::with_clock(clock.clone()));
                let said = Said {
                    text: "good".into(),
                    life: 3600,
                    token_type: "Bearer".into(),
                    scope: None,
                    base_url: None,
                    extra: serde_json::Map::new(),
                };
                let source = source(said, &store, &clock);
                let keep = Duration::from_secs(60);
                let stored = StoredToken { generation: Generation(generation), keep, bytes };
                store.put(&source.store_key().await.unwrap(), &stored, None).await.unwrap();
                let token = source.token().await.unwrap().into_owned();
                assert!(["good", "t"].contains(&token.expose_secret()));
                // Whatever stood there, what is rejected does not come back.
                clock.advance(Duration::from_secs(20));
                source.reject(&token);
                assert_eq!(source.token().await.unwrap().expose_secret(), "good");
            });
        }
    }
}
