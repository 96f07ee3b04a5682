//! The conformance suite passes a provider that keeps its promises, and finds each one that doesn't.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use biped_core::{
    ApiRequest, ApiResponse, AttachContext, BaseUrls, Error, ExposeSecret as _, FetchContext,
    Provider, ProviderId, SecretRef, Token, TokenRequest, VendorError, Verdict, async_trait,
    judge_by_status, wire,
};
use biped_testing::{
    Reply, TestProvider,
    provider::conformance::{self, CHECKS, Case, SECRET, Sent},
};
use http::StatusCode;
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
    TrustsAnyBaseUrl,
    RejectsOnForbidden,
}

struct Vendor {
    id: ProviderId,
    secret: SecretRef,
    shown: String,
    fault: Fault,
}

impl Vendor {
    fn new(secret: &str, fault: Fault) -> Self {
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
            return Err(Error::unusable(format!("what is {body}?")));
        }
        let status = response.status().as_u16();
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
        if !response.status().is_success() {
            let error = wire::failure(response, vendor, cx.now());
            return Err(match fault {
                Fault::BlamesTheClient => error.refusing_client(true),
                Fault::CutsTheWords => {
                    let said: String = code.unwrap_or_default().chars().take(1024).collect();
                    error.with_message(format!("the vendor says {said}, and more"))
                }
                _ => error,
            });
        }
        let answer = answer.map_err(|error| match fault {
            Fault::GivesUpOnNothing => error.transient(false),
            _ => error,
        })?;
        let text = answer["access_token"]
            .as_str()
            .ok_or_else(|| Error::unusable("no token"))?;
        let since = match fault {
            Fault::CountsFromTheAnswer => cx.now(),
            _ => cx.sent_at(),
        };
        let base_url = match (&answer["endpoint"], fault) {
            (Value::String(text), Fault::TrustsAnyBaseUrl) => Url::parse(text).ok(),
            (Value::String(text), _) => {
                let endpoint = Url::parse(ENDPOINT).unwrap();
                Some(wire::base_url(text, &["api.example"], &endpoint)?)
            }
            _ => None,
        };
        Token::new(text, since)
            .expires_in(wire::seconds(&answer["expires_in"]))
            .base_url(base_url)
            .build()
    }
}

#[async_trait]
impl Provider for Vendor {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn base_urls(&self, _: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        let endpoint = Url::parse(ENDPOINT).unwrap();
        Ok(BaseUrls::at(&["api.example"], &endpoint))
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let secret = cx.secret(&self.secret).await?;
        let ask = async || {
            let mut request = http::Request::post(ENDPOINT);
            if self.fault == Fault::AddsAHeader {
                request = request.header("x-from", "me");
            }
            if self.fault == Fault::ShowsTheSecretInAHeader {
                request = request.header("x-secret", secret.expose_secret());
            }
            let body = format!("secret={}", secret.expose_secret());
            cx.send(request.body(body.into()).unwrap()).await
        };
        let mut response = ask().await;
        let again = match &response {
            Ok(response) => {
                self.fault == Fault::FollowsRedirects && response.status().is_redirection()
            }
            Err(_) => self.fault == Fault::TriesAgain,
        };
        if again {
            response = ask().await;
        }
        self.read(&response?, cx)
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
    .names_base_url("https://api.example", |url| {
        let body = format!(r#"{{"access_token":"the-token","endpoint":"{url}"}}"#);
        Reply::json(200, &body)
    })
}

#[tokio::test]
async fn a_provider_that_keeps_its_promises_passes() {
    conformance::run(case(Fault::None)).await;
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
                "client_id=client-7&client_secret={SECRET}&scope=a+b&tenant=7"
            )),
    )
    .grants("the-token", Reply::token("the-token", 60))
    .for_seconds(60)
    .refuses_client(Reply::error(401, "invalid_client"))
    .refuses_request(Reply::error(400, "invalid_scope"));
    conformance::run(plain).await;
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
        (Fault::TrustsAnyBaseUrl, "a_base_url_is_checked"),
        (
            Fault::RejectsOnForbidden,
            "an_expired_token_is_rejected_and_no_other",
        ),
    ];
    let covered: Vec<_> = faults.iter().map(|(_, check)| *check).collect();
    let all: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(covered, all, "every check has a fault that it finds");
    let more = [(Fault::HasTheSecretInItsId, "no_secret_is_shown")];
    for (fault, name) in faults.into_iter().chain(more) {
        let case = Arc::new(case(fault));
        let check = CHECKS.iter().find(|check| check.name == name).unwrap();
        assert!(check.run(&case).await.is_err(), "{name} misses {fault:?}");
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
async fn a_credential_beside_the_secret_that_is_not_in_the_id_is_found() {
    let same = Arc::new(Vendor::new(SECRET, Fault::None));
    let case = Arc::new(case(Fault::None).differs_in("certificate", same));
    let name = "another_secret_shares_nothing";
    let check = CHECKS.iter().find(|check| check.name == name).unwrap();
    let why = check.run(&case).await.unwrap_err();
    assert!(why.contains("certificate"), "{why}");
}
