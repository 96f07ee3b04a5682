//! PEM as people have it.
#![allow(clippy::unwrap_used)]

use biped_core::{ExposeSecret, SecretRef, SystemClock, pem_blocks};

const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\nBQYDK2Vw\n-----END PRIVATE KEY-----\n";

#[test]
fn written_out_line_breaks_and_surrounding_text_are_read() {
    let _limit = biped_testing::TimeLimit::start();
    let latin1 = [
        b"Schl\xfcssel von M\xfcller\n".as_slice(),
        KEY.as_bytes(),
        b"\xe9",
    ]
    .concat();
    for text in [
        KEY.as_bytes(),
        KEY.trim().as_bytes(),
        KEY.replace('\n', "\\n").as_bytes(),
        KEY.replace('\n', "\\r\\n").as_bytes(),
        KEY.replace('\n', "\\\\n").as_bytes(),
        format!("\"{}\"", KEY.replace('\n', "\\n")).as_bytes(),
        format!("Bag Attributes\n    friendlyName: a\\nb\n{KEY}").as_bytes(),
        &latin1,
    ] {
        let shown = String::from_utf8_lossy(text).into_owned();
        assert_eq!(&pem_blocks(text)[..], KEY.as_bytes(), "{shown}");
    }
    let two = format!("one:\n{KEY}two:\n{KEY}");
    assert_eq!(
        &pem_blocks(two.as_bytes())[..],
        [KEY, KEY].concat().as_bytes()
    );
}

#[test]
fn a_text_without_a_whole_block_stays_as_it_is() {
    let _limit = biped_testing::TimeLimit::start();
    for text in [
        "",
        "hunter2",
        "a\\nb",
        &KEY[..40],
        "-----END X-----",
        "-----BEGIN X-----\n-----END X",
    ] {
        assert_eq!(&pem_blocks(text.as_bytes())[..], text.as_bytes(), "{text}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_utf_8_is_a_secret_if_it_has_pem_in_it() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, [b"M\xfcller\n".as_slice(), KEY.as_bytes()].concat()).unwrap();
    let read = SecretRef::file(&path).resolve(0, &SystemClock).await;
    assert_eq!(read.unwrap().expose_secret(), KEY.trim_end());
    std::fs::write(&path, b"M\xfcller").unwrap();
    assert!(
        SecretRef::file(&path)
            .resolve(0, &SystemClock)
            .await
            .is_err()
    );
}
