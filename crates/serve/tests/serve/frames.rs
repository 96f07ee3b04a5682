//! HTTP/2 as bytes: heads beyond the limits, and floods of frames.

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::stage::Stage;

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET /shop/x` at `localhost`, in indexes of HPACK's static table.
pub(crate) fn get() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x44, 7];
    block.extend(b"/shop/x");
    block.extend([0x41, 9]);
    block.extend(b"localhost");
    block
}

/// A field that is not indexed.
fn field(name: &str, length: usize) -> Vec<u8> {
    let mut block = vec![0, u8::try_from(name.len()).unwrap()];
    block.extend(name.as_bytes());
    // HPACK's integers: seven bits, then seven bits a byte.
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
    block.extend(vec![b'a'; length]);
    block
}

pub(crate) async fn connect(stage: &Stage) -> TcpStream {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(&start()).await.unwrap();
    stream
}

/// What a caller's connection starts with.
pub(crate) fn start() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// The next frame: its kind, its stream and its payload; `None` at the end.
pub(crate) async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], number, payload))
}

/// Sends frames until the sidecar has had enough, and says whether it had before `count`.
async fn flood(stage: &Stage, count: u32, frames: impl Fn(u32) -> Vec<u8>) -> bool {
    let stream = connect(stage).await;
    let (mut reading, mut writing) = stream.into_split();
    let ended = tokio::spawn(async move {
        let mut seen = Vec::new();
        let _ = reading.read_to_end(&mut seen).await;
    });
    for number in 0..count {
        if writing.write_all(&frames(number)).await.is_err() || ended.is_finished() {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused_or_ends_the_connection() {
    let stage = Stage::new().await;
    let mut stream = connect(&stage).await;
    let mut block = get();
    for _ in 0..5 {
        block.extend(field("x-long", 16_000));
    }
    let mut frames = Vec::new();
    let mut pieces = block.chunks(16_000).peekable();
    frames.extend(frame(HEADERS, END_STREAM, 1, pieces.next().unwrap()));
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        frames.extend(frame(CONTINUATION, last, 1, piece));
    }
    stream.write_all(&frames).await.unwrap();
    loop {
        match next(&mut stream).await {
            Some((HEADERS, 1, payload)) => {
                // 0x88 is 200 in HPACK's static table.
                assert!(!payload.contains(&0x88), "{payload:?}");
                break;
            }
            Some((RST_STREAM, 1, _) | (GOAWAY, ..)) | None => break,
            Some(_) => {}
        }
    }
    assert!(stage.vendor.got().is_empty());
    assert_eq!(stage.get("/shop/x").await.status, 200);
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let stage = Stage::new().await;
    let reset = |number: u32| {
        let id = number * 2 + 1;
        let mut frames = frame(HEADERS, END_STREAM | END_HEADERS, id, &get());
        frames.extend(frame(RST_STREAM, 0, id, &8u32.to_be_bytes()));
        frames
    };
    assert!(flood(&stage, 200_000, reset).await);
    assert_eq!(stage.get("/shop/x").await.status, 200);
}

#[tokio::test]
async fn a_head_that_goes_on_and_on_ends_the_connection() {
    let stage = Stage::new().await;
    let more = |number: u32| match number {
        0 => frame(HEADERS, END_STREAM, 1, &get()),
        _ => frame(CONTINUATION, 0, 1, &field("x", 1000)),
    };
    assert!(flood(&stage, 100_000, more).await);
    assert_eq!(stage.get("/shop/x").await.status, 200);
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let stage = Stage::new().await;
    let stream = connect(&stage).await;
    // Requests with bodies that never come.
    let mut frames = Vec::new();
    for number in 0..10_000 {
        frames.extend(frame(HEADERS, END_HEADERS, number * 2 + 1, &get()));
    }
    let (mut stream, mut writing) = stream.into_split();
    let writing = tokio::spawn(async move {
        let _ = writing.write_all(&frames).await;
        writing
    });
    let mut refused = false;
    while let Some((kind, _, payload)) = next(&mut stream).await {
        // REFUSED_STREAM, or ENHANCE_YOUR_CALM for all.
        let code = payload.get(payload.len().saturating_sub(4)..);
        if kind == RST_STREAM && code == Some(&7u32.to_be_bytes()) {
            refused = true;
            break;
        }
        if kind == GOAWAY {
            refused = payload.get(4..8) == Some(&11u32.to_be_bytes());
            break;
        }
    }
    assert!(refused);
    drop(writing);
    // Without its body none of them is sent.
    assert!(stage.vendor.got().is_empty());
    assert_eq!(stage.get("/shop/x").await.status, 200);
}
