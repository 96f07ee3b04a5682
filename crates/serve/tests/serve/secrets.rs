//! Secrets of a vendor and of callers, planted and then looked for in everything that is told.

use std::{
    io,
    sync::{Arc, Mutex},
};

use biped_serve::Server;
use biped_testing::{
    TimeLimit,
    secrets::{Parts, encodings},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpStream;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    stage::{Caller, address, biped, provider},
    vendor::{Act, Got, Vendor, ok, reply, token},
};

const SECRET: &str = "Zq7/Wx+9Kv=Jb3&Ny";
const TOKENS: [&str; 2] = ["Tk4~Qz8.Hm2-Vw6_Rj", "Uf5~Gp1.Xc9-Ld3_Eo"];
const CALLER: &str = "Cb7~Sy4.Na8-Ih2_Dk";

/// What was told, and where.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(String, String)>>>);

impl Told {
    fn add(&self, place: impl Into<String>, text: impl Into<String>) {
        self.0.lock().unwrap().push((place.into(), text.into()));
    }

    fn assert_hides(&self, secrets: &[&str]) {
        let all = self.0.lock().unwrap();
        for secret in secrets {
            let parts = Parts::of(secret);
            for (place, text) in &*all {
                assert_eq!(parts.find_in(text), None, "of {secret} in {place}: {text}");
            }
        }
    }

    fn has(&self, place: &str) -> bool {
        let all = self.0.lock().unwrap();
        all.iter().any(|(of, text)| of == place && !text.is_empty())
    }
}

/// Spans and events, as a log has them.
impl io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add("a trace", String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Told {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// What an API may do with a call; it takes the second token only.
fn api(got: &Got) -> Act {
    if got.head.contains(TOKENS[0]) {
        return Act::Reply(reply("401 Unauthorized", "", "no"));
    }
    match got.path() {
        "/base/bad" => Act::Reply(reply("500 Oops", "", "oops")),
        "/base/cut" => Act::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()),
        "/base/gone" => Act::Last(Vec::new()),
        "/base/nonsense" => Act::Last(b"220 mail\r\n\r\n".to_vec()),
        "/base/silent" => Act::Stall(Vec::new()),
        "/base/moved" => Act::Reply(reply("302 Found", "Location: next\r\n", "")),
        "/base/forbidden" => Act::Reply(reply("403 Forbidden", "", "no")),
        _ => ok("hello"),
    }
}

#[tokio::test]
async fn no_secret_is_in_answers_logs_metrics_or_on_the_page_and_no_callers_at_the_vendor() {
    let _limit = TimeLimit::start();
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let told = Told::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(told.clone());
    // With a single subscriber, what another test's thread does first decides whether a span is made.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _listening = tracing::subscriber::set_default(subscriber.finish());

    let vendor = Vendor::start().await;
    vendor.api(api);
    // What the vendor's servers got.
    let asked = Told::default();
    // It refuses now and then, and repeats the secret in its words.
    let words: Vec<String> = encodings(SECRET).into_iter().map(|(_, it)| it).collect();
    let words = words.join(" ");
    let mut issued = 0;
    let told_of_form = asked.clone();
    vendor.tokens(move |got| {
        let body = String::from_utf8(got.body.clone()).unwrap();
        told_of_form.add("a token request", format!("{}\n{body}", got.head));
        if body.contains("scope=refused") {
            let body = serde_json::json!({"error": "invalid_scope", "error_description": words});
            let json = "Content-Type: application/json\r\n";
            return Act::Reply(reply("400 Bad Request", json, &body.to_string()));
        }
        issued += 1;
        token(TOKENS[usize::from(issued > 1)], 3600)
    });
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\naccess_log = 'all'\nresponse_timeout = '1s'\n\
         max_body = 1000\ntokens = true\n\
         [[serve.callers]]\nname = 'app'\ntoken = '{CALLER}'\n\
         [serve.providers.shop]\nscopes = ['refused', 'read']\n{}",
        provider(&vendor).replace("vendor-secret", SECRET)
    );
    let lines = told.clone();
    let server = Server::new(biped(&toml))
        .metrics(move || handle.render())
        .access_log(move |line| lines.add("the access log", line));
    let running = server.start().await.unwrap();
    let at = address(&running.addresses()[0]);
    let connect = async || Caller::new(TcpStream::connect(at).await.unwrap());

    let credentials = [
        format!("Authorization: Bearer {CALLER}\r\n"),
        format!("Proxy-Authorization: Bearer {CALLER}\r\n"),
        format!("Biped-Caller: {CALLER}\r\n"),
        format!("Authorization: Bearer {CALLER}\r\nConnection: Biped-Caller, Authorization\r\n"),
        // Not right by itself, and removed all the same.
        format!("Biped-Caller: {CALLER}\r\nAuthorization: Bearer x{CALLER}\r\n"),
        // Wrong.
        format!("Biped-Caller: x{CALLER}\r\n"),
        String::new(),
    ];
    for credentials in &credentials {
        for line in [
            "GET /shop/x",
            "GET /shop/bad",
            "GET /shop/cut",
            "GET /shop/gone",
            "GET /shop/nonsense",
            "GET /shop/moved",
            "GET /shop/forbidden",
            "GET /shop/../x",
            "GET /shop;scope=refused/x",
            "GET /shop;scope=read/x",
            "GET /shop;scope=admin/x",
            "GET /nope/x",
            "TRACE /shop/x",
            "GET /-/",
            "GET /-/status",
            "GET /-/ready",
            "GET /-/health",
            "GET /-/metrics",
            "GET /-/token/shop",
            "GET /-/header/shop",
            "POST /-/oauth/shop/token",
            "GET /-/oauth/shop/.well-known/oauth-authorization-server",
            "GET /-/nope",
            "POST /shop/x",
        ] {
            let length = match line {
                "POST /shop/x" => "Content-Length: 1001\r\n",
                _ => "Content-Length: 0\r\n",
            };
            let headers = format!("{credentials}{length}");
            let answer = connect().await.ask(line, &headers).await;
            let body = String::from_utf8_lossy(&answer.body);
            told.add(line, format!("{}\n{body}", answer.head));
        }
    }
    let mut caller = connect().await;
    let answer = caller.ask("GET /shop/silent", &credentials[0]).await;
    assert_eq!(answer.problem().1, "silent");
    told.add("a silent API", answer.text());
    caller
        .write("GET /-/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(caller.head().await.is_some());
    told.add("the events", caller.piece().await.unwrap());
    running.stop(false).await;

    for place in [
        "a trace",
        "the access log",
        "GET /shop/x",
        "GET /-/",
        "GET /-/metrics",
        "the events",
    ] {
        assert!(told.has(place), "{place}");
    }
    assert!(vendor.got().iter().any(|got| got.head.contains(TOKENS[1])));
    told.assert_hides(&[SECRET, TOKENS[0], TOKENS[1], CALLER]);
    for got in vendor.got() {
        let body = String::from_utf8(got.body).unwrap();
        asked.add("a call", format!("{}\n{body}\n{}", got.head, got.trailers));
    }
    assert!(asked.has("a token request") && asked.has("a call"));
    asked.assert_hides(&[CALLER]);
}
