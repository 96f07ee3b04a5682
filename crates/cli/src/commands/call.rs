//! `biped call`.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal as _, Read, Write},
    time::Duration,
};

use biped::{
    Error,
    config::read_file,
    provider::{redacted_url, wire},
    reqwest::{
        connection_error,
        reqwest::{
            Method, Response, StatusCode,
            header::{
                CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
                TRANSFER_ENCODING,
            },
        },
        reqwest_middleware,
    },
    token_error,
};

use crate::{
    args,
    failure::{Failure, Outcome},
    output,
    session::{Session, now},
};

pub(crate) fn run(session: &Session, args: &args::Call) -> Outcome {
    let method = &args.method;
    let mut headers = headers(&args.headers)?;
    let biped = session.biped()?;
    let body = args.data.as_deref().map(body).transpose()?;
    session.start_time();
    if let Some(body) = &body
        && !headers.contains_key(CONTENT_TYPE)
        && is_json(body)
    {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if body.as_ref().is_none_or(Vec::is_empty) && means_a_body(method) {
        // Some servers require the header (RFC 9110 §8.6).
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let client = args.selection.client(&biped, &args.name)?;
    session.warn(client.token_source());

    let mut request = client
        .request(method.clone(), &args.target)
        .headers(headers);
    if let Some(body) = body {
        request = request.body(body);
    }
    let mut out = Data::new();
    let called = async {
        let response = request
            .send()
            .await
            .map_err(|error| failed(&error, &args.name))?;
        let answered = Answered::of(&response);
        print(response, args, &mut out).await?;
        Ok::<_, Failure>(answered)
    };
    let outcome = session
        .block_on(session.limited(&args.name, called))
        .and_then(|answered| match answered.is_success() {
            true => Ok(()),
            false => Err(Failure::Api {
                provider: args.name.clone(),
                request: format!("{method} {}", answered.url),
                status: answered.status.as_u16(),
                retry_after: answered.retry_after,
            }),
        });
    if outcome.is_err() {
        out.end_line();
    }
    outcome
}

/// What is known of a response before its body.
struct Answered {
    status: StatusCode,
    retry_after: Option<Duration>,
    url: String,
}

impl Answered {
    fn of(response: &Response) -> Self {
        Self {
            status: response.status(),
            retry_after: wire::retry_after(response.headers(), now()),
            url: redacted_url(response.url()),
        }
    }

    fn is_success(&self) -> bool {
        let status = self.status;
        let is_redirect = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
        !(status.is_client_error() || status.is_server_error() || is_redirect)
    }
}

/// Prints a response.
async fn print(mut response: Response, args: &args::Call, out: &mut Data) -> Outcome {
    if args.include {
        out.write(&head(&response))?;
    }
    while let Some(bytes) = response.chunk().await.map_err(|error| {
        let error = error.without_url();
        unreachable("the API's response was cut off", &error, &args.name)
    })? {
        if !out.write(&bytes)? {
            break;
        }
    }
    Ok(())
}

/// Standard output. A reader that closes it does not change the result of the call.
struct Data {
    out: io::BufWriter<io::Stdout>,
    is_read: bool,
    /// Whether what was written ends within a line.
    is_in_line: bool,
}

impl Data {
    fn new() -> Self {
        let out = io::BufWriter::with_capacity(64 * 1024, io::stdout());
        Self {
            out,
            is_read: true,
            is_in_line: false,
        }
    }

    /// Ends a line on a terminal, so that what stderr says of it begins another. Files and pipes get the
    /// response as it is.
    fn end_line(&self) {
        if self.is_in_line && io::stdout().is_terminal() && io::stderr().is_terminal() {
            output::note("");
        }
    }

    /// Writes a chunk and flushes it, so that the reader of an endless response sees it at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.is_in_line = bytes.last().map_or(self.is_in_line, |last| *last != b'\n');
        let written = self.out.write_all(bytes);
        let written = written.and_then(|()| self.out.flush());
        self.seen(written)
    }

    fn seen(&mut self, written: io::Result<()>) -> io::Result<bool> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.is_read = false,
            written => written?,
        }
        Ok(self.is_read)
    }
}

/// The status line and the headers, as HTTP/1 writes them.
fn head(response: &Response) -> Vec<u8> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("{:?} {} {reason}", response.version(), status.as_u16());
    head.truncate(head.trim_end().len());
    let mut head = head.into_bytes();
    for (name, value) in response.headers() {
        head.extend([b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
    }
    head.extend(b"\r\n\r\n");
    head
}

/// Converts the error of a call to a [`Failure`].
fn failed(error: &reqwest_middleware::Error, provider: &str) -> Failure {
    use reqwest_middleware::Error::Reqwest;
    if let Some(error) = token_error(error) {
        return error.clone().with_provider(provider).into();
    }
    if let Reqwest(error) = error
        && let Some(error) = connection_error(error)
    {
        return error.with_provider(provider).into();
    }
    match error {
        Reqwest(error) if error.is_builder() => {
            let error = Error::configuration("the path or URL is not valid")
                .with_remedy("give a path such as /v1/exports, or a URL of the API's origin");
            error.with_provider(provider).into()
        }
        Reqwest(error) if error.is_timeout() => {
            unreachable("the API did not respond in time", error, provider)
        }
        error => unreachable("the API did not send a response", error, provider),
    }
}

/// Uses the innermost cause, which is the most precise. No cause contains a URL, and so a token.
fn unreachable(what: &str, error: &(dyn std::error::Error + 'static), provider: &str) -> Failure {
    let cause = std::iter::successors(error.source(), |error| error.source()).last();
    let what = cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"));
    Error::unreachable(what).with_provider(provider).into()
}

/// Whether a request of this method usually has a body.
fn means_a_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

/// The headers that Biped sets itself: other values could cut the body, or send the token to another
/// host on the same server.
const OURS: [HeaderName; 3] = [CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

/// Parses the headers. Their values may be secrets.
fn headers(written: &[String]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for line in written {
        let header = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) = header.ok_or_else(|| {
            Error::configuration("--header: expected a header such as 'NAME: VALUE'")
        })?;
        if OURS.contains(&name) {
            let message = format!("--header: {name} can't be set");
            return Err(Error::configuration(message)
                .with_remedy("remove it; Biped sets it from the URL and the body"));
        }
        headers.append(name, value);
    }
    Ok(headers)
}

/// The largest body that `-d` reads, in bytes. The body is kept in memory.
const MAX_BODY: usize = 256 * 1024 * 1024;

/// Reads the body that `-d` gives.
fn body(written: &OsStr) -> Result<Vec<u8>, Error> {
    let Some(file) = written.as_encoded_bytes().strip_prefix(b"@") else {
        return Ok(written.as_encoded_bytes().to_vec());
    };
    let read = match file {
        b"" => {
            return Err(Error::configuration(
                "--data: expected the name of a file after @, or - for stdin",
            ));
        }
        b"-" => to_end(io::stdin().lock(), MAX_BODY),
        file => read_file(&*String::from_utf8_lossy(file), MAX_BODY)
            .map(|mut content| std::mem::take(&mut *content)),
    };
    read.map_err(|error| {
        let name = String::from_utf8_lossy(file);
        let kind = error.kind();
        let error = Error::configuration(format!("the body can't be read from {name}: {error}"));
        match kind {
            io::ErrorKind::InvalidInput => error.with_remedy("pipe it to stdin, and use --data @-"),
            _ => error,
        }
    })
}

/// Reads to the end, up to a limit.
fn to_end(input: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    input.take(limit as u64 + 1).read_to_end(&mut all)?;
    if all.len() > limit {
        let message = format!("the input is larger than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(all)
}

fn is_json(body: &[u8]) -> bool {
    let start = body.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(start, Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let made = headers(&["X-A:1".into(), "x-a:  b: c ".into()]).unwrap();
        let values: Vec<_> = made.get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "b: c"]);
    }

    #[test]
    fn an_invalid_header_is_reported_without_its_value() {
        for line in ["pl4nted", "X pl4nted: v", "X: pl4nted\u{7}"] {
            let error = headers(&[line.into()]).unwrap_err();
            assert!(!format!("{error:?}").contains("pl4nted"), "{line}");
        }
    }

    #[test]
    fn stdin_is_read_up_to_a_limit() {
        assert_eq!(to_end(&b"12345"[..], 5).unwrap(), b"12345");
        let error = to_end(io::repeat(0), 5).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn only_objects_and_lists_are_labelled_as_json() {
        assert!(is_json(br#" {"a": 1}"#));
        assert!(is_json(b"[]"));
        assert!(!is_json(b"1"));
        assert!(!is_json(b"{a=1}"));
        assert!(!is_json(b""));
    }
}
