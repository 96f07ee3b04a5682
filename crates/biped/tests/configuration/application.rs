//! What an application brings: providers, kinds, clocks, clients.

use std::sync::{Arc, Mutex};

use biped::{
    Biped, Error, TokenRequest,
    provider::{Provider, ProviderConfig},
};

use crate::{
    assert_one, builder, lines,
    vendor::{NoNetwork, from_config, secret_of},
};

#[test]
fn an_unknown_name_is_answered_with_the_configured_ones_and_the_nearest() {
    let biped = builder()
        .provider("analytics", provider("a"), TokenRequest::new())
        .provider("shop", provider("b"), TokenRequest::new())
        .http_client(Arc::new(NoNetwork))
        .build()
        .unwrap();
    let error = biped.token_source("analitics").unwrap_err();
    assert_eq!(error.kind(), biped::ErrorKind::Configuration);
    let remedy = error.remedy().unwrap();
    assert!(remedy.contains("analytics, shop"), "{remedy}");
    assert!(remedy.contains("did you mean analytics"), "{remedy}");
}

fn provider(secret: &str) -> Arc<dyn Provider> {
    let text = format!("providers.made = {{ kind = 'acme', client_secret = '{secret}' }}");
    let biped = builder()
        .toml(text)
        .http_client(Arc::new(NoNetwork))
        .build()
        .unwrap();
    biped.provider("made").unwrap().provider().clone()
}

#[tokio::test]
async fn an_application_may_add_a_provider_or_replace_one() {
    let biped = builder()
        .toml("providers.a = { kind = 'acme' }")
        .provider("a", provider("replaced"), TokenRequest::new())
        .provider("b", provider("added"), TokenRequest::new().scope("x"))
        .http_client(Arc::new(NoNetwork))
        .build()
        .unwrap();
    assert_eq!(secret_of(&biped, "a").await, "replaced");
    assert_eq!(biped.token_source("b").unwrap().request().to_string(), "x");
}

#[test]
fn a_registered_kind_without_declared_keys_knows_the_keys_it_reads() {
    let with = Biped::builder()
        .without_environment()
        .http_client(Arc::new(NoNetwork))
        .register("mine", |config: &ProviderConfig| {
            let _ = (config.string("region"), config.integer("size"));
            from_config(config)
        });
    let good = "providers.a = { kind = 'mine', client_secret = 's', region = 'eu' }";
    with.clone().toml(good).build().unwrap();
    let wrong = "[providers.a]\nkind = 'mine'\nclient_secret = 's'\nregoin = 'eu'\n";
    let found = lines(with.clone().toml(wrong).build());
    assert_one(
        &found,
        "the configuration text:4: providers.a.regoin: ",
        &["region"],
    );
    assert_eq!(found.len(), 1, "{found:#?}");
    let wrong = "[providers.a]\nkind = 'mine'\nsize = 'x'\n";
    let found = lines(with.toml(wrong).build());
    assert_one(
        &found,
        "the configuration text:3: providers.a.size: ",
        &["whole number"],
    );
    assert_one(
        &found,
        "the configuration text:1: providers.a.client_secret: ",
        &["missing"],
    );
}

#[test]
fn an_error_of_a_registered_kind_is_told_at_its_provider() {
    let found = lines(
        builder()
            .http_client(Arc::new(NoNetwork))
            .register("mine", |_| Err(Error::configuration("not on a Sunday")))
            .toml("\n[providers.a]\nkind = 'mine'\n")
            .build(),
    );
    assert_eq!(
        found,
        ["the configuration text:2: providers.a: not on a Sunday"]
    );
}

#[test]
fn a_built_in_kind_may_be_replaced() {
    let biped = builder()
        .http_client(Arc::new(NoNetwork))
        .register("envelope", from_config)
        .toml("providers.a = { kind = 'envelope', client_secret = 's' }")
        .build()
        .unwrap();
    assert_eq!(biped.provider("a").unwrap().kind(), "acme");
}

#[test]
fn what_a_provider_has_to_say_is_logged_once_with_its_name() {
    let log = Log::default();
    let lines = log.0.clone();
    // For the whole process: other tests' threads may be the first to come by the event.
    tracing::subscriber::set_global_default(log).unwrap();
    let biped = builder()
        .provider("warned-of", provider("s"), TokenRequest::new())
        .http_client(Arc::new(NoNetwork))
        .build()
        .unwrap();
    drop(biped.clone().token_source("warned-of"));
    let lines: Vec<_> = lines
        .lock()
        .unwrap()
        .iter()
        .filter(|line| line.contains("provider=warned-of;"))
        .cloned()
        .collect();
    assert_eq!(
        lines,
        ["WARN message=these credentials will expire; provider=warned-of; "]
    );
}

/// Keeps what is logged.
#[derive(Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Fields(String);
        impl tracing::field::Visit for Fields {
            fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
                self.0 += &format!("{field}={value}; ");
            }

            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?}; ");
            }
        }
        let mut fields = Fields(format!("{} ", event.metadata().level()));
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
