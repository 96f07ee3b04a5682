//! Spans: of a fetch, of its requests, and how callers are linked to it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use biped_testing::{Reply, TestProvider};
use tracing::{
    Dispatch, Instrument as _, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

use crate::stage::{Stage, failure, listen, text};

/// A span as it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    /// The name of the span around it.
    pub(crate) parent: Option<&'static str>,
    /// The names of those that it follows from.
    pub(crate) follows: Vec<&'static str>,
    fields: BTreeMap<&'static str, String>,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

impl Visit for Seen {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

/// Remembers the spans of this thread.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<(Id, Seen)>>>);

impl Recorder {
    pub(crate) fn start() -> (Self, (DefaultGuard, Dispatch)) {
        let recorder = Self::default();
        let subscriber = tracing_subscriber::registry().with(recorder.clone());
        (recorder, listen(subscriber))
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        let all = self.0.lock().unwrap();
        all.iter().map(|(_, span)| span.clone()).collect()
    }

    pub(crate) fn named(&self, name: &str) -> Vec<Seen> {
        let mut all = self.all();
        all.retain(|span| span.name == name);
        all
    }

    fn change(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        let mut all = self.0.lock().unwrap();
        // A number is used again when its span has ended.
        if let Some((_, span)) = all.iter_mut().rev().find(|(known, _)| known == id) {
            change(span);
        }
    }
}

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let span = cx.span(id).unwrap();
        let mut seen = Seen {
            name: span.name(),
            parent: span.parent().map(|parent| parent.name()),
            ..Seen::default()
        };
        attributes.record(&mut seen);
        self.0.lock().unwrap().push((id.clone(), seen));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.change(id, |span| values.record(span));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, cx: Context<'_, S>) {
        let name = cx.span(follows).unwrap().name();
        self.change(id, |span| span.follows.push(name));
    }
}

#[tokio::test]
async fn a_fetch_is_a_span_that_its_callers_are_linked_to() {
    let _limit = biped_testing::TimeLimit::start();
    let (spans, _guard) = Recorder::start();
    let stage = Stage::new();
    let source = stage.source_of(TestProvider::default().named("shop"));
    stage.http.push(Reply::token("planted-token", 1000));
    stage.http.close_gate();
    let callers = [1, 2].map(|_| {
        let source = source.clone();
        let caller = async move { text(&source).await };
        tokio::spawn(caller.instrument(tracing::info_span!("caller")))
    });
    stage.http.arrivals(1).await;
    stage.http.open_gate();
    for caller in callers {
        caller.await.unwrap();
    }
    let fetches = spans.named("fetch");
    let [fetch] = &fetches[..] else {
        panic!("{fetches:?}");
    };
    assert_eq!(fetch.parent, None);
    assert_eq!(fetch.field("biped.provider"), Some("shop"));
    assert_eq!(fetch.field("biped.outcome"), Some("token"));
    assert_eq!(fetch.field("error.type"), None);
    let linked = spans.named("caller").into_iter().map(|it| it.follows);
    assert_eq!(linked.collect::<Vec<_>>(), [["fetch"]; 2]);
    let requests = spans.named("request");
    let [request] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(request.parent, Some("fetch"));
    assert_eq!(request.field("otel.kind"), Some("client"));
    assert_eq!(request.field("http.request.method"), Some("POST"));
    assert_eq!(request.field("http.response.status_code"), Some("200"));
    assert!(request.field("server.address").is_some());
    assert!(!format!("{:?}", spans.all()).contains("planted-token"));
}

#[tokio::test]
async fn a_fetch_that_fails_says_why() {
    let _limit = biped_testing::TimeLimit::start();
    let (spans, _guard) = Recorder::start();
    let stage = Stage::new();
    let source = stage.source();
    stage.http.push(Reply::error(401, "invalid_client"));
    failure(&source).await;
    let fetch = spans.named("fetch").remove(0);
    assert_eq!(fetch.field("error.type"), Some("refused"));
    assert_eq!(fetch.field("biped.outcome"), None);
    let request = spans.named("request").remove(0);
    assert_eq!(request.field("http.response.status_code"), Some("401"));
    assert_eq!(request.field("error.type"), Some("401"));
}
