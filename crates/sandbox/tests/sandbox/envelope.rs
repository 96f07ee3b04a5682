use biped_sandbox::SHOP;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{Bench, LIFETIME, json_of, status_of};

#[tokio::test]
async fn a_token_comes_in_data() {
    let bench = Bench::start().await;
    let mut answer = json_of(bench.ask_shop(), StatusCode::OK).await;
    let token = answer["data"]["access_token"].take();
    let (prefix, digits) = token.as_str().unwrap().split_once('-').unwrap();
    assert_eq!((prefix, digits.len()), ("sk", 32));
    let data = json!({ "access_token": null, "token_type": "Bearer", "expires_in": 3600 });
    assert_eq!(answer, json!({ "data": data }));
}

#[tokio::test]
async fn a_request_without_all_parameters_or_not_a_form_is_400013() {
    let bench = Bench::start().await;
    let post = || bench.http.post(bench.url("/v1/auth/token"));
    let (id, secret) = (
        ("client_id", SHOP.client_id),
        ("client_secret", SHOP.client_secret),
    );
    for request in [
        post().form(&[id]),
        post().form(&[secret]),
        post().form(&[id, ("client_secret", "")]),
        post().json(&json!({ "client_id": id.1, "client_secret": secret.1 })),
        post().body(format!("client_id={}&client_secret=x", id.1)),
    ] {
        let answer = json_of(request, StatusCode::BAD_REQUEST).await;
        let error = json!({
            "code": "400013",
            "code_reason": "invalid_request",
            "message": "Missing or invalid parameters",
        });
        assert_eq!(answer, json!({ "error": error }));
    }
}

#[tokio::test]
async fn wrong_credentials_are_401021() {
    let bench = Bench::start().await;
    for (id, secret) in [(SHOP.client_id, "wrong"), ("nobody", SHOP.client_secret)] {
        let form = [("client_id", id), ("client_secret", secret)];
        let request = bench.http.post(bench.url("/v1/auth/token")).form(&form);
        assert_eq!(
            json_of(request, StatusCode::UNAUTHORIZED).await,
            invalid_client()
        );
    }
}

#[tokio::test]
async fn orders_need_a_live_token() {
    let bench = Bench::start().await;
    let token = bench.shop_token().await;
    let answer = json_of(bench.orders(&token), StatusCode::OK).await;
    assert!(answer["data"]["orders"].is_array());
    let none = bench.http.get(bench.url("/v1/orders"));
    assert_eq!(
        json_of(none, StatusCode::UNAUTHORIZED).await,
        invalid_client()
    );
    assert_eq!(status_of(bench.orders("sk-0123")).await, 401);
    bench.clock.advance(LIFETIME);
    assert_eq!(
        json_of(bench.orders(&token), StatusCode::UNAUTHORIZED).await,
        invalid_client()
    );
}

#[tokio::test]
async fn an_unknown_path_is_answered_with_a_text() {
    let bench = Bench::start().await;
    let doubled = bench
        .http
        .post(bench.url("/v1/v1/auth/token"))
        .form(&[("client_id", "x")]);
    let answer = json_of(doubled, StatusCode::NOT_FOUND).await;
    assert_eq!(
        answer,
        json!({ "error": "Resource or endpoint not found." })
    );
    let wrong_method = bench.http.get(bench.url("/v1/auth/token"));
    assert!(json_of(wrong_method, StatusCode::METHOD_NOT_ALLOWED).await["error"].is_object());
}

fn invalid_client() -> Value {
    json!({ "error": {
        "code": "401021",
        "code_reason": "invalid_client",
        "message": "Invalid client_id, client_secret, or session_key",
    } })
}
