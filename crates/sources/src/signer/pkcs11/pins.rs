//! PINs that a token refused. A token locks after a few, so each is sent once.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use aws_lc_rs::{hmac, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::{ExposeSecret, SecretString};

use crate::key::sha256;

/// Where they are remembered beyond the process.
static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// How many refused PINs of a token are remembered. A token locks long before.
const REMEMBERED: usize = 16;

/// The PINs that each token refused since it last accepted one, each as a line of its file holds it.
static REFUSED: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Remembers PINs that tokens refuse in this directory, as keyed digests, for processes that don't last.
/// Each process remembers them for as long as it lives in any case. Only the first call counts.
pub fn remember_refused_pins(directory: impl Into<PathBuf>) {
    let _ = DIRECTORY.set(directory.into());
}

/// Whether the token refused this PIN since it last accepted one.
pub(super) fn is_refused(token: &str, pin: &SecretString) -> bool {
    let known = all().get(token).cloned().unwrap_or_default();
    // Another process may have sent it meanwhile.
    let kept = file_of(token).map(|file| read(&file)).unwrap_or_default();
    known.iter().chain(&kept).any(|known| is_of(known, pin))
}

/// Notes that the token refused a PIN. This process remembers it in any case.
///
/// # Errors
/// If the file for other processes can't be written.
pub(super) fn note(token: &str, pin: &SecretString) -> io::Result<()> {
    let mut key = [0; 32];
    rand::fill(&mut key).map_err(|_| io::Error::other("there is no randomness"))?;
    let line = format!("{} {}", URL_SAFE_NO_PAD.encode(key), digest(&key, pin));
    add(all().entry(token.to_owned()).or_default(), line.clone());
    let Some(file) = file_of(token) else {
        return Ok(());
    };
    let mut kept = read(&file);
    add(&mut kept, line);
    write(&file, &kept.join("\n"))
}

fn add(known: &mut Vec<String>, line: String) {
    known.push(line);
    known.drain(..known.len().saturating_sub(REMEMBERED));
}

/// Notes that the token accepted a PIN.
pub(super) fn forget(token: &str) {
    all().remove(token);
    if let Some(file) = file_of(token) {
        let _ = fs::remove_file(file);
    }
}

fn all() -> MutexGuard<'static, BTreeMap<String, Vec<String>>> {
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file_of(token: &str) -> Option<PathBuf> {
    Some(DIRECTORY.get()?.join(sha256(token)))
}

/// The lines of a file; none if there is no file.
fn read(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn write(file: &Path, text: &str) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_refused_pins_is_remembered_until_one_is_accepted() {
        let (one, other) = (SecretString::from("111111"), SecretString::from("222222"));
        let token = "each_of_several";
        for pin in [&one, &other] {
            assert!(!is_refused(token, pin));
            note(token, pin).unwrap();
        }
        for pin in [&one, &other] {
            assert!(is_refused(token, pin));
            assert!(!is_refused("another token", pin));
        }
        forget(token);
        assert!(!is_refused(token, &one));
    }

    #[test]
    fn the_last_refused_pins_are_remembered() {
        let pin = |number: usize| SecretString::from(number.to_string());
        let token = "the_last";
        for number in 0..=REMEMBERED {
            note(token, &pin(number)).unwrap();
        }
        assert!(!is_refused(token, &pin(0)));
        assert!(is_refused(token, &pin(1)));
        assert!(is_refused(token, &pin(REMEMBERED)));
    }
}
