//! Secrets in environment variables and in files.

use std::{
    env::VarError,
    io,
    path::{Path, PathBuf},
};

use biped_io::{FILE_TIMEOUT, MAX_FILE_SIZE, read_file, read_file_async};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use biped_error::{Clock, Error};

use crate::pem_blocks;

pub(super) fn from_environment(name: &str) -> Result<SecretString, Error> {
    const SET: &str = "set it in the environment of this process";

    let (problem, remedy) = match std::env::var(name) {
        Ok(value) if !value.is_empty() => return Ok(value.into()),
        Ok(_) => ("empty", SET),
        Err(VarError::NotPresent) => ("not set", SET),
        // The standard library's error contains the value.
        Err(VarError::NotUnicode(value)) => match text(value.as_encoded_bytes()) {
            Some(pem) => return Ok(pem),
            None => ("not UTF-8", "set it to a text in UTF-8"),
        },
    };
    let error = Error::secret(format!("the environment variable {name} is {problem}"));
    Err(error.with_remedy(remedy))
}

/// A path with the values of its variables.
pub(super) fn expanded(text: &str, directory: Option<&Path>) -> Result<PathBuf, Error> {
    let mut path = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        let value = from_environment(name)?;
        path.push_str(before);
        path.push_str(value.expose_secret());
        rest = after;
    }
    path.push_str(rest);
    Ok(directory.map_or_else(|| path.clone().into(), |directory| directory.join(&path)))
}

pub(super) async fn from_file(path: &Path, clock: &dyn Clock) -> Result<SecretString, Error> {
    let timeout = clock.sleep(FILE_TIMEOUT);
    secret(path, read_file_async(path, MAX_FILE_SIZE, timeout).await)
}

pub(super) fn from_file_now(path: &Path) -> Result<SecretString, Error> {
    secret(path, read_file(path, MAX_FILE_SIZE))
}

/// The text of a file, if it can be read.
pub(super) fn value_of_file(path: &Path) -> Option<String> {
    let content = read_file(path, MAX_FILE_SIZE).ok()?;
    Some(text(&content)?.expose_secret().to_owned())
}

fn secret(path: &Path, read: io::Result<Zeroizing<Vec<u8>>>) -> Result<SecretString, Error> {
    let shown = path.display();
    let content = read.map_err(|error| {
        let kind = error.kind();
        let error = Error::secret(format!("the file {shown} can't be read: {error}"));
        match kind {
            io::ErrorKind::NotFound => error.with_remedy(meant(&shown.to_string())).transient(true),
            io::ErrorKind::PermissionDenied => {
                error.with_remedy("let the user that runs this process read it")
            }
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => error.transient(true),
            io::ErrorKind::InvalidInput => {
                error.with_remedy("use a regular file, or a command (cmd) that prints the secret")
            }
            _ => error,
        }
    })?;
    let secret =
        text(&content).ok_or_else(|| Error::secret(format!("the file {shown} is not UTF-8")))?;
    if secret.expose_secret().is_empty() {
        let error = Error::secret(format!("the file {shown} is empty"));
        let remedy = "write the secret into it, or name another file";
        return Err(error.with_remedy(remedy).transient(true));
    }
    Ok(secret)
}

/// What to do about a file that is not there: its path may look like something else.
fn meant(path: &str) -> &'static str {
    if path.contains('#') {
        return "a field of JSON begins with a slash: file:PATH#/FIELD";
    }
    let is_variable = |rest: &str| rest.starts_with(|it: char| it.is_ascii_uppercase());
    let mut after = path.split('$').skip(1);
    if after.any(is_variable) {
        return "write a variable in a path with braces: ${NAME}";
    }
    match path.starts_with("~/") {
        true => "write the whole path, or ${HOME} for ~",
        false => "create the file, or correct its path",
    }
}

/// The text of a secret. Of text in another encoding, the PEM blocks in it.
pub(super) fn text(bytes: &[u8]) -> Option<SecretString> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(without_newline(text).to_owned().into());
    }
    let blocks = pem_blocks(bytes);
    let text = std::str::from_utf8(&blocks).ok()?;
    Some(without_newline(text).to_owned().into())
}

/// Removes one newline at the end (`\n` or `\r\n`), and nothing else.
fn without_newline(text: &str) -> &str {
    text.strip_suffix('\n')
        .map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}
