//! The gate that every request to a vendor passes: it is identified, counted, and subjected to faults.

use std::{error::Error, sync::Arc};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::LengthLimitError;

use crate::{
    body::{self, Ending},
    contentsquare, envelope,
    fault::{Effect, Fault, FaultPoint, Vendor},
    listen::End,
    shared::Shared,
    stats::{Caller, Counts},
    token::Presented,
};

pub(crate) async fn gate(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(end): ConnectInfo<End>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let Some((vendor, place)) = place(&path) else {
        return next.run(request).await;
    };
    let (caller, token, request) = match identify(&shared, vendor, place, request).await {
        Ok(identified) => identified,
        Err(refusal) => {
            shared.count(&Caller::unknown(vendor), |counts| {
                arrived(counts, place);
                ended(counts, place, Outcome::of(refusal.status()));
            });
            return refusal;
        }
    };
    shared.count(&caller, |counts| arrived(counts, place));

    let fault = shared.take_fault(vendor, &path);
    if let Some(fault) = &fault {
        shared.wait(fault.wait()).await;
        if let Some(answer) = instead(&shared, vendor, place, fault) {
            drain(request).await;
            shared.count(&caller, |counts| ended(counts, place, Outcome::Faulted));
            return answer;
        }
    }
    let effect = fault.map_or(Effect::None, |fault| fault.effect);
    if let (Effect::Revoke, FaultPoint::Api, Some(id)) = (effect, place, &token) {
        shared.revoke_one(id);
    }
    let mut answer = next.run(request).await;
    let mut outcome = Outcome::of(answer.status());
    match effect {
        Effect::Revoke if place == FaultPoint::Token && answer.status().is_success() => {
            shared.revoke_key(&caller);
        }
        Effect::WrongContentType => {
            answer.headers_mut().insert(header::CONTENT_TYPE, HTML);
        }
        Effect::Reset => {
            outcome = Outcome::Faulted;
            answer = cut(&shared, answer, Ending::Reset(end));
        }
        Effect::Stall => {
            outcome = Outcome::Faulted;
            answer = cut(&shared, answer, Ending::Stall);
        }
        _ => {}
    }
    shared.count(&caller, |counts| ended(counts, place, outcome));
    answer
}

/// The vendor of a path, and its kind; `None` for the sandbox's own paths.
pub(crate) fn place(path: &str) -> Option<(Vendor, FaultPoint)> {
    match path {
        "/v1/oauth/token" => Some((Vendor::Contentsquare, FaultPoint::Token)),
        "/v1/oauth/me" => Some((Vendor::Contentsquare, FaultPoint::Inspection)),
        "/v1/auth/token" => Some((Vendor::Envelope, FaultPoint::Token)),
        _ if path.starts_with("/_sandbox") => None,
        // A path close to a token endpoint gets the error in the vendor's own form.
        _ if path.ends_with("/auth/token") => Some((Vendor::Envelope, FaultPoint::Token)),
        _ if path.ends_with("/oauth/token") => Some((Vendor::Contentsquare, FaultPoint::Token)),
        _ if path.starts_with("/v1/orders") => Some((Vendor::Envelope, FaultPoint::Api)),
        _ => Some((Vendor::Contentsquare, FaultPoint::Api)),
    }
}

/// The largest request that is read whole.
const REQUEST_LIMIT: usize = 64 * 1024;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// A request, its client and its token.
async fn identify(
    shared: &Shared,
    vendor: Vendor,
    place: FaultPoint,
    request: Request,
) -> Result<(Caller, Option<String>, Request), Response> {
    let (mut parts, body) = request.into_parts();
    if place == FaultPoint::Api {
        let token = Presented::read(vendor, &parts.headers, shared.signer());
        let caller = shared.caller(vendor, &token);
        let id = token.id.clone();
        parts.extensions.insert(token);
        return Ok((caller, id, Request::from_parts(parts, body)));
    }
    let body = axum::body::to_bytes(body, REQUEST_LIMIT)
        .await
        .map_err(|error| failure(vendor, place, status_of(&error)))?;
    let caller = match vendor {
        Vendor::Contentsquare => contentsquare::caller(&body),
        Vendor::Envelope => envelope::caller(&body),
    };
    parts.extensions.insert(caller.clone());
    Ok((caller, None, Request::from_parts(parts, body.into())))
}

/// The status for a request that could not be read whole.
fn status_of(error: &axum::Error) -> StatusCode {
    match error
        .source()
        .is_some_and(<dyn Error>::is::<LengthLimitError>)
    {
        true => StatusCode::PAYLOAD_TOO_LARGE,
        false => StatusCode::BAD_REQUEST,
    }
}

/// The response that replaces the vendor's own.
fn instead(shared: &Shared, vendor: Vendor, place: FaultPoint, fault: &Fault) -> Option<Response> {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    const PAGE: &str = "<!doctype html><title>Sign in</title><p>Please sign in to the network.";
    match fault.effect {
        Effect::Status(status) => {
            let status = StatusCode::from_u16(status)
                .ok()
                .filter(|status| (200..=599).contains(&status.as_u16()))
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut answer = failure(vendor, place, status);
            let retry_after = fault
                .retry_after
                .as_ref()
                .map(|value| value.text(shared.now()));
            if let Some(value) = retry_after.and_then(|text| HeaderValue::try_from(text).ok()) {
                answer.headers_mut().insert(header::RETRY_AFTER, value);
            }
            Some(answer)
        }
        Effect::Html => Some(([(header::CONTENT_TYPE, HTML)], PAGE).into_response()),
        Effect::Empty => Some(([(header::CONTENT_TYPE, JSON)], Bytes::new()).into_response()),
        Effect::Endless => {
            let body = body::endless(shared.stopped());
            Some(([(header::CONTENT_TYPE, JSON)], body).into_response())
        }
        _ => None,
    }
}

/// A vendor's error response for a status.
pub(crate) fn failure(vendor: Vendor, place: FaultPoint, status: StatusCode) -> Response {
    match vendor {
        Vendor::Contentsquare => contentsquare::failure(status, place),
        Vendor::Envelope => envelope::failure(status),
    }
}

fn cut(shared: &Shared, answer: Response, ending: Ending) -> Response {
    let (mut parts, body) = answer.into_parts();
    // The length of the whole body, so that the client notices what is missing.
    if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(parts, body::cut(body, ending, shared.stopped()))
}

/// Reads a request to its end and returns its length, `None` if it breaks off. Otherwise a client that
/// is still sending would get a broken connection instead of the response.
pub(crate) async fn drain(request: Request) -> Option<u64> {
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(frame) = next_frame(&mut body).await {
        length += frame.ok()?.map_or(0, |data| data.len() as u64);
    }
    Some(length)
}

async fn next_frame(body: &mut Body) -> Option<Result<Option<Bytes>, axum::Error>> {
    let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await?;
    Some(frame.map(|frame| frame.into_data().ok()))
}

enum Outcome {
    Success,
    Unauthorized,
    Error,
    Faulted,
}

impl Outcome {
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            status if status.is_success() => Self::Success,
            _ => Self::Error,
        }
    }
}

fn arrived(counts: &mut Counts, place: FaultPoint) {
    match place {
        FaultPoint::Token => counts.token_requests.total += 1,
        FaultPoint::Inspection => counts.inspections += 1,
        FaultPoint::Api => counts.api_calls.total += 1,
    }
}

fn ended(counts: &mut Counts, place: FaultPoint, outcome: Outcome) {
    let (tokens, calls) = (&mut counts.token_requests, &mut counts.api_calls);
    match (place, outcome) {
        (FaultPoint::Token, Outcome::Success) => tokens.issued += 1,
        (FaultPoint::Token, Outcome::Unauthorized | Outcome::Error) => tokens.refused += 1,
        (FaultPoint::Token, Outcome::Faulted) => tokens.faulted += 1,
        (FaultPoint::Inspection, _) => {}
        (FaultPoint::Api, Outcome::Success) => calls.accepted += 1,
        (FaultPoint::Api, Outcome::Unauthorized) => calls.rejected += 1,
        (FaultPoint::Api, Outcome::Error) => calls.refused += 1,
        (FaultPoint::Api, Outcome::Faulted) => calls.faulted += 1,
    }
}
