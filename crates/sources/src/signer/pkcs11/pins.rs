//! PINs that a token refused. A token locks after a few, so that each is sent once.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use aws_lc_rs::{hmac, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{ExposeSecret, SecretString};

use crate::key::sha256;

/// Where they are remembered beyond the process.
static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// The refused PIN of each token, as its file would hold it.
static REFUSED: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Remembers PINs that tokens refuse in this directory, as keyed digests, for processes that don't last.
/// Each process remembers them for as long as it lives in any case. Only the first call counts.
pub fn remember_refused_pins(directory: impl Into<PathBuf>) {
    let _ = DIRECTORY.set(directory.into());
}

/// Whether the token refused this PIN the last time.
pub(super) fn is_refused(token: &str, pin: &SecretString) -> bool {
    let mut all = all();
    let known = all.get(token).cloned().or_else(|| {
        let read = fs::read_to_string(file_of(token)?).ok()?;
        all.insert(token.to_owned(), read.clone());
        Some(read)
    });
    known.is_some_and(|known| is_of(&known, pin))
}

/// Notes that the token refused a PIN.
pub(super) fn note(token: &str, pin: &SecretString) {
    let mut key = [0; 32];
    if rand::fill(&mut key).is_err() {
        return;
    }
    let text = format!("{} {}", URL_SAFE_NO_PAD.encode(key), digest(&key, pin));
    if let Some(file) = file_of(token) {
        // What can't be written is remembered by this process all the same.
        let _ = write(&file, &text);
    }
    all().insert(token.to_owned(), text);
}

/// Notes that the token accepted a PIN.
pub(super) fn forget(token: &str) {
    all().remove(token);
    if let Some(file) = file_of(token) {
        let _ = fs::remove_file(file);
    }
}

fn all() -> MutexGuard<'static, BTreeMap<String, String>> {
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file_of(token: &str) -> Option<PathBuf> {
    Some(DIRECTORY.get()?.join(sha256(token)))
}

fn write(file: &std::path::Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}

fn is_of(known: &str, pin: &SecretString) -> bool {
    let Some((key, known)) = known.split_once(' ') else {
        return false;
    };
    let key = URL_SAFE_NO_PAD.decode(key).unwrap_or_default();
    digest(&key, pin) == known
}

fn digest(key: &[u8], pin: &SecretString) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, pin.expose_secret().as_bytes()))
}
