//! The matrix for API clients passes one that is right, and finds what is wrong with others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_core::{ExposeSecret, Token, async_trait};
use biped_engine::TokenSource;
use biped_testing::api::matrix::{self, Call, Failure, Integration, Payload};
use reqwest::{Client, redirect::Policy};
use tokio::sync::OnceCell;
use url::Url;

/// What is wrong with a client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    LosesTheQuery,
    KeepsItsFirstToken,
    GivesUpOnRejection,
    SendsWithoutToken,
    WantsFreshTokens,
    ReplaysStreams,
    SendsAnywhere,
    LooksTooLate,
    FollowsRedirects,
}

/// A client made by hand.
struct ByHand {
    source: TokenSource,
    fault: Fault,
    first: OnceCell<String>,
    http: Client,
}

impl ByHand {
    fn new(source: TokenSource, fault: Fault) -> Self {
        let redirects = match fault {
            Fault::FollowsRedirects => Policy::limited(3),
            _ => Policy::none(),
        };
        Self {
            source,
            fault,
            first: OnceCell::new(),
            http: Client::builder()
                .no_proxy()
                .redirect(redirects)
                .build()
                .unwrap(),
        }
    }

    async fn token(&self) -> Result<String, Failure> {
        let usable = async || {
            let token = match self.fault {
                Fault::WantsFreshTokens if self.source.fresh().is_none() => {
                    self.source.fetch().await
                }
                _ => self.source.token().await,
            };
            token.map(|token| token.expose_secret().to_owned())
        };
        let token = match self.fault {
            Fault::KeepsItsFirstToken => self.first.get_or_try_init(usable).await.cloned(),
            _ => usable().await,
        };
        match token {
            Err(_) if self.fault == Fault::SendsWithoutToken => Ok("none".into()),
            token => token.map_err(Failure::Token),
        }
    }

    fn url(&self, target: &str) -> Result<Url, Failure> {
        let nothing = Token::new("t", self.source.clock().now().wall)
            .build()
            .unwrap();
        let base = self.source.base_url(&nothing).unwrap();
        let mut url = base.join(target).unwrap();
        if self.fault == Fault::LosesTheQuery {
            url.set_query(None);
        }
        if url.origin() != base.origin() && self.fault != Fault::SendsAnywhere {
            let error = biped_core::Error::configuration("another origin");
            return Err(Failure::Token(error));
        }
        Ok(url)
    }

    async fn send(&self, call: &Call, token: &str) -> Result<u16, Failure> {
        let url = self.url(&call.target)?;
        let request = self.http.request(call.method.clone(), url);
        let request = match call.body {
            Payload::Empty => request,
            Payload::Whole(text) | Payload::Stream(text) => request.body(text),
            other => return Err(Failure::Other(format!("cannot send {other:?}"))),
        };
        let sent = request.bearer_auth(token).send().await;
        let response = sent.map_err(|error| Failure::Other(error.to_string()))?;
        Ok(response.status().as_u16())
    }
}

#[async_trait]
impl Integration for ByHand {
    async fn call(&self, call: Call) -> Result<u16, Failure> {
        if self.fault != Fault::LooksTooLate {
            self.url(&call.target)?;
        }
        let token = self.token().await?;
        let status = self.send(&call, &token).await?;
        if status != 401 || self.fault == Fault::GivesUpOnRejection {
            return Ok(status);
        }
        if let Ok(current) = self.source.token().await
            && current.expose_secret() == token
        {
            self.source.reject(&current);
        }
        let is_stream = matches!(call.body, Payload::Stream(_));
        if is_stream && self.fault != Fault::ReplaysStreams {
            return Ok(status);
        }
        let token = self.token().await?;
        self.send(&call, &token).await
    }
}

mod a_client_that_is_right {
    use super::*;

    biped_testing::api_matrix!(|source| ByHand::new(source, Fault::None));
}

/// Whether a check finds the fault.
macro_rules! finds {
    ($($test:ident: $fault:ident by $check:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let make = |source| ByHand::new(source, Fault::$fault);
            let check = tokio::spawn(matrix::$check(make)).await;
            assert!(check.is_err_and(|error| error.is_panic()), "it passed");
        }
    )*};
}

finds! {
    finds_a_call_that_is_changed:
        LosesTheQuery by a_fresh_token_serves_every_call;
    finds_a_token_kept_past_its_life:
        KeepsItsFirstToken by a_token_that_expired_by_the_clock_is_not_sent;
    finds_that_nothing_is_sent_again:
        GivesUpOnRejection
        by a_token_that_the_server_calls_expired_is_replaced_and_the_call_sent_again;
    finds_a_next_call_that_is_wrong:
        GivesUpOnRejection by a_stream_is_not_sent_again_but_the_next_call_is_right;
    finds_that_one_of_many_is_not_sent_again:
        GivesUpOnRejection
        by a_token_revoked_early_costs_its_callers_one_fetch_and_nothing_else;
    finds_a_request_without_a_token:
        SendsWithoutToken by refused_credentials_are_the_vendors_words_and_nothing_is_sent;
    finds_a_request_without_a_token_while_the_vendor_is_down:
        SendsWithoutToken by a_vendor_that_is_down_is_a_passing_error_without_a_usable_token;
    finds_a_usable_token_unused:
        WantsFreshTokens by a_vendor_that_is_down_is_not_noticed_while_a_token_is_usable;
    finds_a_stream_sent_twice:
        ReplaysStreams by a_stream_is_not_sent_again_but_the_next_call_is_right;
    finds_a_token_sent_elsewhere:
        SendsAnywhere by another_origin_gets_neither_token_nor_request;
    finds_a_token_asked_for_in_vain:
        LooksTooLate by another_origin_gets_neither_token_nor_request;
    finds_a_redirect_followed:
        FollowsRedirects by a_redirect_to_another_origin_is_the_callers;
}
