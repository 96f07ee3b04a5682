//! The conformance suite passes a provider that keeps its promises, and finds each one that doesn't.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use biped_core::{
    ApiRequest, ApiResponse, AttachContext, BaseUrls, Error, ExposeSecret as _, FetchContext,
    Lifetime, PlainHttp, Provider, ProviderId, SecretRef, Token, TokenRequest, VendorError,
    Verdict, async_trait, judge_by_status, wire,
};
use biped_testing::{
    Reply, TestProvider,
    provider::conformance::{self, CHECKS, Case, Gap, SECRET, Sent},
};
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use url::Url;

const ENDPOINT: &str = "https://login.example/token";

/// What a provider can get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    AddsAHeader,
    CountsFromTheAnswer,
    LosesTheWords,
    BlamesTheClient,
    ReadsTheBodyFirst,
    TriesAgain,
    GivesUpOnNothing,
    PanicsOnGarbage,
    ShowsTheBody,
    ShowsTheSecret,
    CutsTheWords,
    ShowsTheSecretInAHeader,
    ShowsTheTokenInAHeader,
    FollowsRedirects,
    HasTheSecretInItsId,
    HasANewIdEachTime,
    ForgetsItsCredential,
    ForgetsASetting,
    TrustsAnyBaseUrl,
    /// It checks its answers, and says of every host that it may be named.
    DeclaresAnyHost,
    /// It checks nothing, and declares what it should.
    MakesItsHost,
    RejectsOnForbidden,
    AddsAHeaderTheSecondTime,
    GivesAnotherToken,
    ForgetsTheLifetime,
    ForgivesTheClient,
    ForgetsRetryAfter,
    RefusesForGarbage,
    TriesRedirectsAgain,
    RejectsNothing,
    TriesFailuresAgain,
    TriesRefusalsAgain,
    /// What is not JSON is an invalid response, whatever the status.
    ReadsJsonFirst,
    CallsEveryErrorTransient,
    ShowsTheEncodedSecretInAHeader,
    // No faults: a vendor may want it so.
    AsksByGet,
    ReadsPlainText,
    ReadsBareHosts,
    RefusesOddSecrets,
}

struct Vendor {
    id: ProviderId,
    secret: SecretRef,
    shown: String,
    fault: Fault,
}

impl Vendor {
    fn new(secret: &str, fault: Fault) -> Self {
        Self::of("an account", secret, fault)
    }

    fn of(account: &str, secret: &str, fault: Fault) -> Self {
        let in_id = if fault == Fault::HasTheSecretInItsId {
            secret
        } else {
            ""
        };
        let shown = if fault == Fault::ShowsTheSecret {
            secret
        } else {
            ""
        };
        let secret = SecretRef::inline(secret);
        let mut id = ProviderId::new("vendor", ENDPOINT, "client-7").with("what", in_id);
        if fault == Fault::HasANewIdEachTime {
            static NUMBER: AtomicUsize = AtomicUsize::new(0);
            id = id.with("number", NUMBER.fetch_add(1, Relaxed).to_string());
        }
        if fault != Fault::ForgetsASetting {
            id = id.with("account", account);
        }
        if fault != Fault::ForgetsItsCredential {
            id = id.credential(&secret);
        }
        Self {
            id,
            secret,
            shown: shown.into(),
            fault,
        }
    }

    fn read(
        &self,
        response: &http::Response<bytes::Bytes>,
        cx: &FetchContext<'_>,
    ) -> Result<Token, Error> {
        let fault = self.fault;
        let answer = wire::json(response);
        if fault == Fault::PanicsOnGarbage {
            answer.as_ref().unwrap();
        }
        if fault == Fault::ShowsTheBody && answer.is_err() {
            let body = String::from_utf8_lossy(response.body()).into_owned();
            return Err(Error::invalid_response(format!("what is {body}?")));
        }
        let status = response.status().as_u16();
        if fault == Fault::TriesRedirectsAgain && response.status().is_redirection() {
            return Err(Error::invalid_response("elsewhere").transient(true));
        }
        let code = answer
            .as_ref()
            .ok()
            .and_then(|answer| answer["error"].as_str());
        let mut vendor = VendorError::new(status);
        if let Some(code) = code.filter(|_| fault != Fault::LosesTheWords) {
            vendor = vendor.code(code);
        }
        if fault == Fault::ReadsTheBodyFirst && code.is_some() {
            return Err(Error::refused(vendor));
        }
        if response.status().is_success() && code.is_some() {
            return Err(Error::refused(vendor));
        }
        if !response.status().is_success() {
            let error = wire::failure(response, vendor, cx.now());
            return Err(match fault {
                Fault::BlamesTheClient => error.refusing_client(true),
                Fault::ForgivesTheClient => error.refusing_client(false),
                Fault::ForgetsRetryAfter => error.with_retry_after(None),
                Fault::CutsTheWords => {
                    let said: String = code.unwrap_or_default().chars().take(1024).collect();
                    error.with_message(format!("the vendor says {said}, and more"))
                }
                _ => error,
            });
        }
        if fault == Fault::ReadsPlainText {
            return read_text(response, cx);
        }
        let answer = answer.map_err(|error| match fault {
            Fault::GivesUpOnNothing => error.transient(false),
            Fault::RefusesForGarbage => Error::refused(VendorError::new(status)),
            _ => error,
        })?;
        let text = answer["access_token"]
            .as_str()
            .ok_or_else(|| Error::invalid_response("no token"))?;
        let since = match fault {
            Fault::CountsFromTheAnswer => cx.now(),
            _ => cx.sent_at(),
        };
        let base_url = match (&answer["endpoint"], fault) {
            (Value::String(text), Fault::TrustsAnyBaseUrl) => Url::parse(text).ok(),
            (Value::String(region), Fault::MakesItsHost) => {
                Url::parse(&format!("https://{region}.api.example")).ok()
            }
            (Value::String(text), _) => {
                let text = match fault == Fault::ReadsBareHosts && !text.contains("://") {
                    true => format!("https://{text}"),
                    false => text.clone(),
                };
                let endpoint = Url::parse(ENDPOINT).unwrap();
                Some(wire::base_url(&text, &["api.example"], &endpoint)?)
            }
            _ => None,
        };
        let text = match fault {
            Fault::GivesAnotherToken => "another",
            _ => text,
        };
        let life = wire::seconds(&answer["expires_in"]);
        Token::new(text, since)
            .expires_in(life.filter(|_| fault != Fault::ForgetsTheLifetime))
            .base_url(base_url)
            .build()
    }
}

/// The body of an answer is the token.
fn read_text(
    response: &http::Response<bytes::Bytes>,
    cx: &FetchContext<'_>,
) -> Result<Token, Error> {
    let text = String::from_utf8_lossy(response.body());
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(Error::invalid_response("no body").transient(true));
    }
    if text.starts_with(['<', '[']) || text == "{}" {
        return Err(Error::invalid_response("no token"));
    }
    let quoted = serde_json::from_str::<String>(text);
    Token::new(quoted.unwrap_or_else(|_| text.to_owned()), cx.sent_at()).build()
}

#[async_trait]
impl Provider for Vendor {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn base_urls(&self, _: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        let endpoint = Url::parse(ENDPOINT).unwrap();
        let hosts: &[&str] = match self.fault {
            Fault::ReadsPlainText => return Ok(BaseUrls::none()),
            Fault::DeclaresAnyHost => &["api.example", "*.example"],
            Fault::MakesItsHost => &["*.api.example"],
            _ => &["api.example"],
        };
        Ok(BaseUrls::at(hosts, &endpoint))
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let secret = cx.secret(&self.secret).await?;
        if self.fault == Fault::RefusesOddSecrets && secret.expose_secret().contains('"') {
            return Err(Error::configuration("expected a secret without quotes"));
        }
        let ask = async || {
            let mut request = http::Request::post(ENDPOINT);
            if self.fault == Fault::AsksByGet {
                let mut key = HeaderValue::from_str(secret.expose_secret()).unwrap();
                key.set_sensitive(true);
                let request = http::Request::get(ENDPOINT).header("x-key", key);
                return cx.send(request.body(bytes::Bytes::new()).unwrap()).await;
            }
            if self.fault == Fault::AddsAHeader {
                request = request.header("x-from", "me");
            }
            if self.fault == Fault::AddsAHeaderTheSecondTime {
                static NUMBER: AtomicUsize = AtomicUsize::new(0);
                if NUMBER.fetch_add(1, Relaxed) % 2 == 1 {
                    request = request.header("x-second", "1");
                }
            }
            if self.fault == Fault::ShowsTheSecretInAHeader {
                request = request.header("x-secret", secret.expose_secret());
            }
            if self.fault == Fault::ShowsTheEncodedSecretInAHeader {
                let pair = format!("client-7:{}", secret.expose_secret());
                request = request.header("x-auth", STANDARD.encode(pair));
            }
            let body = format!("secret={}", secret.expose_secret());
            cx.send(request.body(body.into()).unwrap()).await
        };
        let mut response = ask().await;
        let again = match &response {
            Ok(response) => match self.fault {
                Fault::FollowsRedirects => response.status().is_redirection(),
                Fault::TriesFailuresAgain => response.status().is_server_error(),
                Fault::TriesRefusalsAgain => response.status() == StatusCode::UNAUTHORIZED,
                _ => false,
            },
            Err(_) => self.fault == Fault::TriesAgain,
        };
        if again {
            response = ask().await;
        }
        let response = response?;
        if self.fault == Fault::ReadsJsonFirst {
            wire::json(&response)?;
        }
        let transient = self.fault == Fault::CallsEveryErrorTransient;
        self.read(&response, cx).map_err(|error| match transient {
            true => error.transient(true),
            false => error,
        })
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        _: &AttachContext<'_>,
    ) -> Result<(), Error> {
        let mut value = token.header().clone();
        value.set_sensitive(self.fault != Fault::ShowsTheTokenInAHeader);
        request.headers_mut().insert("x-token", value);
        Ok(())
    }

    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        if self.fault == Fault::RejectsOnForbidden && response.status() == StatusCode::FORBIDDEN {
            return Verdict::Rejected;
        }
        if self.fault == Fault::RejectsNothing {
            return Verdict::Accepted;
        }
        judge_by_status(response)
    }
}

impl fmt::Debug for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vendor({})", self.shown)
    }
}

fn case(fault: Fault) -> Case {
    Case::new(
        move |secret| Arc::new(Vendor::new(secret, fault)),
        TokenRequest::new(),
    )
    .sends(Sent::post(ENDPOINT).body(format!("secret={SECRET}")))
    .grants("the-token", Reply::token("the-token", 3600))
    .for_seconds(3600)
    .refuses_client(Reply::error(401, "invalid_client"))
    .refuses_request(Reply::error(400, "invalid_scope"))
    .differs_in("account", Arc::new(Vendor::of("another", SECRET, fault)))
    .names_base_url("https://api.example", |url| {
        let body = format!(r#"{{"access_token":"the-token","endpoint":"{url}"}}"#);
        Reply::json(200, &body)
    })
}

#[tokio::test]
async fn a_provider_that_keeps_its_promises_passes() {
    let report = conformance::run(case(Fault::None)).await;
    assert_eq!(report.unchecked(), [Gap::Rejection]);
    assert!(report.to_string().contains("Case::rejects"), "{report}");
    let whole = case(Fault::None).rejects(Reply::error(401, "expired"));
    let report = conformance::run(whole).await;
    assert_eq!(report.unchecked(), []);
}

#[tokio::test]
async fn the_plain_provider_of_other_tests_passes() {
    let plain = Case::new(
        |secret| Arc::new(TestProvider::new("client-7").secret(SecretRef::inline(secret))),
        TokenRequest::new().scope("b a").param("tenant", 7),
    )
    .sends(
        Sent::post(ENDPOINT)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(format!(
                "client_id=client-7&client_secret={SECRET}&scope=b+a&tenant=7"
            )),
    )
    .grants("the-token", Reply::token("the-token", 60))
    .for_seconds(60)
    .refuses_client(Reply::error(401, "invalid_client"))
    .refuses_request(Reply::error(400, "invalid_scope"));
    let report = conformance::run(plain).await;
    assert_eq!(report.unchecked(), [Gap::Rejection, Gap::Settings]);
}

#[tokio::test]
async fn a_vendor_that_refuses_with_status_200_is_checked_like_any_other() {
    let refusal = |code| Reply::json(200, &format!(r#"{{"error":"{code}"}}"#));
    let with_200 = case(Fault::None)
        .refuses_client(refusal("invalid_client"))
        .refuses_request(refusal("invalid_scope"));
    assert_eq!(broken(with_200).await, [""; 0]);
}

/// A case that tells nothing of base URLs, but for the one in the answer that grants.
fn unaware(fault: Fault, named: &str) -> Case {
    let body = format!(r#"{{"access_token":"the-token","expires_in":60,"endpoint":"{named}"}}"#);
    Case::new(
        move |secret| Arc::new(Vendor::new(secret, fault)),
        TokenRequest::new(),
    )
    .sends(Sent::post(ENDPOINT).body(format!("secret={SECRET}")))
    .grants("the-token", Reply::json(200, &body))
    .refuses_client(Reply::error(401, "invalid_client"))
}

async fn broken(case: Case) -> Vec<&'static str> {
    let case = Arc::new(case);
    let mut broken = Vec::new();
    for check in CHECKS {
        if check.run(&case).await.is_err() {
            broken.push(check.name);
        }
    }
    broken
}

/// Whether the check of this name finds that the promise is broken.
async fn finds(name: &str, case: Case) -> bool {
    let check = CHECKS.iter().find(|check| check.name == name).unwrap();
    check.run(&Arc::new(case)).await.is_err()
}

#[tokio::test]
async fn a_case_says_what_it_left_unchecked() {
    let report = conformance::run(unaware(Fault::None, "https://api.example/v1")).await;
    let left = [
        Gap::Lifetime,
        Gap::RefusedRequest,
        Gap::Rejection,
        Gap::Settings,
    ];
    assert_eq!(report.unchecked(), left);
    for gap in left {
        assert!(report.to_string().contains(&gap.to_string()));
    }
}

#[tokio::test]
async fn a_base_url_in_the_granting_answer_is_checked_though_the_case_tells_nothing_of_it() {
    let check = "a_base_url_is_checked";
    for named in [
        "https://api.example",
        "https://api.example/",
        "https://api.example/v1/",
        r"https:\/\/api.example\/v1",
    ] {
        let good = broken(unaware(Fault::None, named)).await;
        assert!(good.is_empty(), "{named}: {good:?}");
        let case = unaware(Fault::TrustsAnyBaseUrl, named);
        assert_eq!(broken(case).await, [check], "{named}");
    }
    // It is made of something in the answer, and only the vendor's crate knows of what.
    assert_eq!(broken(unaware(Fault::MakesItsHost, "eu")).await, [check]);
    let told = unaware(Fault::MakesItsHost, "eu").names_base_url("https://eu.api.example", |url| {
        let region = url.trim_start_matches("https://");
        let region = region.trim_end_matches(".api.example");
        let body = format!(r#"{{"access_token":"the-token","endpoint":"{region}"}}"#);
        Reply::json(200, &body)
    });
    // A region that it does not check makes another host.
    assert_eq!(broken(told).await, [check]);
}

#[tokio::test]
async fn base_urls_that_are_declared_and_never_shown_fail() {
    let case = unaware(Fault::None, "").grants("the-token", Reply::token("the-token", 60));
    assert_eq!(broken(case).await, ["a_base_url_is_checked"]);
}

#[tokio::test]
async fn a_vendor_that_is_asked_by_get_is_checked_like_any_other() {
    let by_get = case(Fault::AsksByGet).sends(Sent::get(ENDPOINT).header("x-key", SECRET));
    assert_eq!(broken(by_get).await, [""; 0]);
    let by_post = case(Fault::None).sends(Sent::get(ENDPOINT).body(format!("secret={SECRET}")));
    assert!(finds("a_request_is_what_the_vendor_documents", by_post).await);
}

#[tokio::test]
async fn a_vendor_whose_answer_is_the_token_is_checked_like_any_other() {
    for body in ["the-token", "\"the-token\"\n"] {
        let answer = http::Response::new(bytes::Bytes::from_static(body.as_bytes()));
        let text = Case::new(
            |secret| Arc::new(Vendor::new(secret, Fault::ReadsPlainText)),
            TokenRequest::new(),
        )
        .sends(Sent::post(ENDPOINT).body(format!("secret={SECRET}")))
        .grants("the-token", Reply::Response(answer))
        .refuses_client(Reply::error(401, "invalid_client"));
        assert_eq!(broken(text).await, [""; 0], "{body}");
    }
    // A vendor that answers in JSON grants no token in plain text.
    let check = "garbage_is_an_error_and_never_a_panic";
    assert!(finds(check, case(Fault::ReadsPlainText)).await);
}

#[tokio::test]
async fn an_api_that_rejects_with_a_bare_status_is_checked_like_any_other() {
    let check = "an_expired_token_is_rejected_and_no_other";
    let rejecting = |answer| case(Fault::RejectsOnForbidden).rejects(answer);
    for answer in [Reply::status(403), Reply::json(403, "{}")] {
        assert!(!finds(check, rejecting(answer)).await);
    }
    // Where something else tells the rejection, another 403 is none.
    for answer in [
        Reply::error(403, "expired"),
        Reply::status(403).with_header("x-reason", "expired"),
        Reply::status(401),
    ] {
        assert!(finds(check, rejecting(answer)).await);
    }
}

#[tokio::test]
async fn a_provider_that_reads_bare_hosts_too_passes() {
    assert!(!finds("a_base_url_is_checked", case(Fault::ReadsBareHosts)).await);
}

/// A case of the plain provider at this endpoint, whose answer names this base URL.
fn plain(
    endpoint: &'static str,
    named: &str,
    make: impl Fn(TestProvider) -> TestProvider + Send + Sync + 'static,
) -> Case {
    let body = format!(r#"{{"access_token":"the-token","expires_in":60,"base_url":"{named}"}}"#);
    Case::new(
        move |secret| {
            let plain = TestProvider::at(endpoint, "client-7").secret(SecretRef::inline(secret));
            Arc::new(make(plain))
        },
        TokenRequest::new(),
    )
    .sends(
        Sent::post(endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(format!("client_id=client-7&client_secret={SECRET}")),
    )
    .grants("the-token", Reply::json(200, &body))
    .refuses_client(Reply::error(401, "invalid_client"))
}

const BASE_URL_CHECKS: [&str; 2] = [
    "a_base_url_is_checked",
    "a_stored_token_is_checked_like_an_answer",
];

#[tokio::test]
async fn a_token_endpoint_on_this_machine_allows_base_urls_on_it() {
    const LOCAL: &str = "http://127.0.0.1:9/token";
    let base = "https://api.vendor.example";
    for check in BASE_URL_CHECKS {
        let local = plain(LOCAL, base, |plain| {
            let endpoint = Url::parse(LOCAL).unwrap();
            plain.naming(BaseUrls::at(&["api.vendor.example"], &endpoint))
        });
        let told = local.names_base_url(base, |url| {
            let body = format!(r#"{{"access_token":"the-token","base_url":"{url}"}}"#);
            Reply::json(200, &body)
        });
        assert!(!finds(check, told).await, "{check}");
    }
}

#[tokio::test]
async fn the_base_url_of_a_configuration_is_not_hostile() {
    let base = "https://api.vendor.example:8443/";
    for check in BASE_URL_CHECKS {
        let fixed = plain(ENDPOINT, base, move |plain| {
            plain.naming(BaseUrls::fixed(Url::parse(base).unwrap()))
        });
        assert!(!finds(check, fixed).await, "{check}");
    }
}

#[tokio::test]
async fn a_server_that_may_be_asked_without_tls_is() {
    const PLAIN: &str = "http://login.internal:8080/token";
    let listed = plain(PLAIN, "", |plain| {
        plain.with_plain_http(PlainHttp::new(["login.internal:8080"]).unwrap())
    })
    .grants("the-token", Reply::token("the-token", 60));
    assert_eq!(broken(listed).await, [""; 0]);
}

#[tokio::test]
#[should_panic(expected = "does not support")]
async fn a_provider_with_an_account_is_not_supported() {
    drop(conformance::run(plain(ENDPOINT, "", |plain| plain.rotating(None))).await);
}

#[tokio::test]
async fn a_secret_that_is_never_repeated_is_left_unchecked() {
    let odd = case(Fault::RefusesOddSecrets);
    let report = conformance::run(odd).await;
    assert_eq!(report.unchecked(), [Gap::Rejection, Gap::RepeatedSecret]);
}

/// Keeps its promises, but declares nothing of what it gives.
#[derive(Debug)]
struct Undeclared(TestProvider, Option<Lifetime>);

#[async_trait]
impl Provider for Undeclared {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let token = self.0.fetch(request, cx).await?;
        let builder = Token::new(token.expose_secret(), token.requested_at());
        let base_url = Url::parse("https://api.example").ok();
        match self.1 {
            Some(lifetime) => builder.assumed_lifetime(lifetime).build(),
            None => builder.base_url(base_url).build(),
        }
    }
}

#[tokio::test]
async fn what_a_provider_does_not_declare_is_found() {
    let faults: [(_, &[&str]); 2] = [
        (
            None,
            &[
                // The manager refuses the token.
                "a_header_that_holds_the_token_is_marked",
                "another_secret_shares_nothing",
                "a_base_url_is_checked",
            ],
        ),
        (
            Some(Lifetime::UntilRejected),
            &["a_stored_token_is_checked_like_an_answer"],
        ),
    ];
    for (lifetime, expected) in faults {
        let make = move |secret: &str| -> Arc<dyn Provider> {
            let plain = TestProvider::new("client-7").secret(SecretRef::inline(secret));
            Arc::new(Undeclared(plain, lifetime))
        };
        let case = Case::new(make, TokenRequest::new())
            .sends(
                Sent::post(ENDPOINT)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .header("accept", "application/json")
                    .body(format!("client_id=client-7&client_secret={SECRET}")),
            )
            .grants("the-token", Reply::token("the-token", 60))
            .refuses_client(Reply::error(401, "invalid_client"));
        assert_eq!(broken(case).await, expected);
    }
}

#[tokio::test]
async fn each_broken_promise_is_found_by_the_check_that_is_named_for_it() {
    let faults = [
        (Fault::AddsAHeader, "a_request_is_what_the_vendor_documents"),
        (
            Fault::CountsFromTheAnswer,
            "a_granted_token_is_taken_as_it_is",
        ),
        (
            Fault::LosesTheWords,
            "a_refused_client_is_told_in_the_vendors_words",
        ),
        (
            Fault::BlamesTheClient,
            "a_refused_request_is_not_the_clients_fault",
        ),
        (Fault::ReadsTheBodyFirst, "a_failing_vendor_is_transient"),
        (Fault::TriesAgain, "no_connection_is_no_answer"),
        (Fault::GivesUpOnNothing, "an_empty_answer_is_transient"),
        (
            Fault::PanicsOnGarbage,
            "garbage_is_an_error_and_never_a_panic",
        ),
        (Fault::ShowsTheBody, "no_answer_is_shown"),
        (Fault::ShowsTheSecret, "no_secret_is_shown"),
        (Fault::CutsTheWords, "a_repeated_secret_is_not_shown"),
        (
            Fault::ShowsTheSecretInAHeader,
            "a_header_that_holds_the_secret_is_marked",
        ),
        (
            Fault::ShowsTheTokenInAHeader,
            "a_header_that_holds_the_token_is_marked",
        ),
        (Fault::FollowsRedirects, "a_redirect_is_not_followed"),
        (Fault::HasANewIdEachTime, "an_id_is_stable"),
        (Fault::ForgetsItsCredential, "another_secret_shares_nothing"),
        (Fault::ForgetsASetting, "another_setting_has_another_id"),
        (Fault::TrustsAnyBaseUrl, "a_base_url_is_checked"),
        (
            Fault::DeclaresAnyHost,
            "a_stored_token_is_checked_like_an_answer",
        ),
        (
            Fault::RejectsOnForbidden,
            "an_expired_token_is_rejected_and_no_other",
        ),
    ];
    let covered: Vec<_> = faults.iter().map(|(_, check)| *check).collect();
    let all: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(covered, all, "every check has a fault that it finds");
    let more = [
        (Fault::HasTheSecretInItsId, "no_secret_is_shown"),
        (
            Fault::AddsAHeaderTheSecondTime,
            "a_request_is_what_the_vendor_documents",
        ),
        (
            Fault::GivesAnotherToken,
            "a_granted_token_is_taken_as_it_is",
        ),
        (
            Fault::ForgetsTheLifetime,
            "a_granted_token_is_taken_as_it_is",
        ),
        (
            Fault::ForgivesTheClient,
            "a_refused_client_is_told_in_the_vendors_words",
        ),
        (Fault::ForgetsRetryAfter, "a_failing_vendor_is_transient"),
        (Fault::TriesFailuresAgain, "a_failing_vendor_is_transient"),
        (
            Fault::TriesRefusalsAgain,
            "a_refused_client_is_told_in_the_vendors_words",
        ),
        (
            Fault::RefusesForGarbage,
            "garbage_is_an_error_and_never_a_panic",
        ),
        (Fault::TriesRedirectsAgain, "a_redirect_is_not_followed"),
        (
            Fault::RejectsNothing,
            "an_expired_token_is_rejected_and_no_other",
        ),
        (
            Fault::ShowsTheEncodedSecretInAHeader,
            "a_header_that_holds_the_secret_is_marked",
        ),
    ];
    for (fault, name) in faults.into_iter().chain(more) {
        let case = Arc::new(case(fault));
        let check = CHECKS.iter().find(|check| check.name == name).unwrap();
        assert!(check.run(&case).await.is_err(), "{name} misses {fault:?}");
    }
}

/// The manager would wait to try again, and nobody moves its clock.
#[tokio::test]
async fn a_wrong_error_is_found_at_once() {
    for fault in [Fault::ReadsJsonFirst, Fault::CallsEveryErrorTransient] {
        let case = Arc::new(case(fault));
        let mut found = Vec::new();
        for check in CHECKS {
            found.extend(check.run(&case).await.err());
        }
        assert!(!found.is_empty(), "{fault:?}");
        for why in found {
            assert!(!why.contains("hangs"), "{fault:?}: {why}");
        }
    }
}

#[tokio::test]
async fn a_fault_that_one_check_is_for_leaves_most_others_alone() {
    for fault in [
        Fault::AddsAHeader,
        Fault::CountsFromTheAnswer,
        Fault::BlamesTheClient,
        Fault::TriesAgain,
        Fault::GivesUpOnNothing,
        Fault::CutsTheWords,
        Fault::ShowsTheTokenInAHeader,
        Fault::FollowsRedirects,
        Fault::ForgetsItsCredential,
        Fault::TrustsAnyBaseUrl,
        Fault::DeclaresAnyHost,
        Fault::RejectsOnForbidden,
    ] {
        let case = Arc::new(case(fault));
        let mut found = 0;
        for check in CHECKS {
            found += usize::from(check.run(&case).await.is_err());
        }
        assert_eq!(found, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_broken_promise_says_what_was_expected_and_what_was_got() {
    let case = Arc::new(case(Fault::AddsAHeader));
    let name = "a_request_is_what_the_vendor_documents";
    let check = CHECKS.iter().find(|check| check.name == name).unwrap();
    let why = check.run(&case).await.unwrap_err();
    let (before, got) = why.split_once("got: ").unwrap();
    assert!(
        got.contains("x-from") && !before.contains("x-from"),
        "{why}"
    );
    assert!(before.contains("expected: Sent"), "{why}");
}
