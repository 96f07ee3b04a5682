//! Decoding responses that are compressed although no request asked for it, as some content networks do.

use std::io::{self, Read};

use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// What a gzip member starts with. No JSON and no readable text does.
const GZIP_START: [u8; 2] = [0x1f, 0x8b];

const BROTLI_BUFFER: usize = 4096;

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// The decoded body is larger than the limit.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// Decodes the body of a response. A body that is not what its headers say, or in an unknown coding, is
/// left as it is.
pub(crate) fn in_place(response: &mut http::Response<Bytes>, limit: usize) -> Result<(), TooLarge> {
    let Some(mut codings) = codings(response.headers()) else {
        return Ok(());
    };
    if codings.is_empty() {
        // A proxy may have removed the header.
        if !response.body().starts_with(&GZIP_START) {
            return Ok(());
        }
        codings.push(Coding::Gzip);
    }
    let mut body = response.body().clone();
    while let Some(coding) = codings.pop() {
        let Ok(decoded) = decoded(coding, &body, limit) else {
            return Ok(());
        };
        if decoded.len() > limit {
            return Err(TooLarge);
        }
        body = decoded.into();
    }
    *response.body_mut() = body;
    response.headers_mut().remove(header::CONTENT_ENCODING);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    Ok(())
}

/// How many codings one response may have; a second one is unheard of.
const MAX_CODINGS: usize = 2;

/// Returns the codings in the order in which they were applied, or `None` if one is unknown.
fn codings(headers: &HeaderMap) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.to_str().ok()?.split(',') {
            codings.push(match &*name.trim().to_ascii_lowercase() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                _ => return None,
            });
        }
    }
    (codings.len() <= MAX_CODINGS).then_some(codings)
}

/// Decodes up to one byte more than the limit.
fn decoded(coding: Coding, body: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Gzip => up_to(limit, MultiGzDecoder::new(body)),
        // RFC 9110 §8.4.1.2: zlib; some servers send the bare stream.
        Coding::Deflate => up_to(limit, ZlibDecoder::new(body))
            .or_else(|_| up_to(limit, DeflateDecoder::new(body))),
        Coding::Brotli => up_to(limit, Decompressor::new(body, BROTLI_BUFFER)),
    }
}

fn up_to(limit: usize, decoder: impl Read) -> io::Result<Vec<u8>> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut decoded = Vec::new();
    decoder.take(most).read_to_end(&mut decoded)?;
    Ok(decoded)
}
