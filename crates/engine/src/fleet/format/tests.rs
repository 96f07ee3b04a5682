//! What is written for a store, and read again.

use super::*;

#[test]
fn a_token_is_written_in_one_go_however_much_there_is_beside_it() {
    let refresh = "r".repeat(5_000);
    let extra = [("refresh_token".to_owned(), refresh.into())];
    let token = Token::new("t-1", Timestamp::from_unix_seconds(1_800_000_000))
        .extra(extra.into_iter().collect())
        .build()
        .unwrap();
    let bytes = encode(&token);
    assert!(bytes.len() > 5_000);
    // A buffer that had grown would have room left, and copies of it elsewhere.
    assert_eq!(bytes.capacity(), bytes.len());
    let read = decode(&bytes, token.requested_at()).unwrap();
    assert_eq!(read.extra("refresh_token"), token.extra("refresh_token"));
}

#[test]
fn a_failure_that_an_earlier_version_wrote_is_read() {
    for (old, kind) in [
        // As they were written, whatever the constants say.
        ("failing", ErrorKind::Unavailable),
        ("unusable", ErrorKind::InvalidResponse),
    ] {
        let written = format!(r#"{{"kind":"{old}","message":"m","client":false}}"#);
        let (error, _) = read_failure(written.as_bytes());
        assert_eq!(error.kind(), kind, "{old}");
        let (again, _) = read_failure(&write_failure(&error, Vec::new()));
        assert_eq!(again.kind(), kind, "{old}");
    }
}
