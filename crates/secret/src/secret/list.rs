//! A reference to several places: one that can't be read is passed over.

use secrecy::SecretString;

use super::{SecretRef, Source, SourceContext, command, field, places, source};
use biped_error::Error;

impl SecretRef {
    /// Reads the secret at its first place that can be read at once, for settings that are read when a
    /// program starts. It may block for 10 s on each file or command.
    ///
    /// # Errors
    /// [`Secret`](biped_error::ErrorKind::Secret), as for [`resolve`](Self::resolve), if none can be read.
    pub fn read_now(&self) -> Result<SecretString, Error> {
        let mut unread = Vec::new();
        for source in self.sources.iter() {
            self.permit(source)?;
            let (place, pointer) = source.parts();
            let read = match place {
                Source::Inline(secret) => Ok(secret.clone()),
                Source::Env(name) => places::from_environment(name),
                Source::File(path) => places::from_file_now(path),
                Source::Template(text, directory) => places::expanded(text, directory.as_deref())
                    .and_then(|path| places::from_file_now(&path)),
                Source::Command(argv) => command::from_command_now(argv),
                Source::Custom(source) => source::read_now(&**source),
                Source::Field(..) => Err(Error::internal("a field of a field is not read")),
            };
            let read = read.and_then(|secret| field::of(secret, pointer, place, place.is_fixed()));
            match read {
                Ok(secret) => return Ok(secret),
                Err(error) => unread.push(error),
            }
        }
        Err(Self::all_unread(&unread))
    }

    /// Reads the secret at its first place that can be read.
    pub(super) async fn resolve_any(&self, cx: &SourceContext<'_>) -> Result<SecretString, Error> {
        let mut unread = Vec::new();
        for (candidate, source) in self.sources.iter().enumerate() {
            self.permit(source)?;
            match self.resolve_in(candidate, cx).await {
                Ok(secret) => return Ok(secret),
                Err(error) => unread.push(error),
            }
        }
        Err(Self::all_unread(&unread))
    }
}

impl SecretRef {
    /// Joins the errors of a list of secrets of which none can be read, for code that runs providers.
    #[must_use]
    pub fn all_unread(unread: &[Error]) -> Error {
        let mut messages: Vec<_> = unread.iter().map(Error::message).collect();
        messages.dedup();
        let Some(first) = unread.first() else {
            return Self::names_nothing();
        };
        if let [_] = messages[..] {
            return first.clone();
        }
        let message = format!("no secret of a list can be read: {}", messages.join("; "));
        let soonest = unread.iter().filter_map(Error::retry_after).min();
        let all_wait = unread.iter().all(|error| error.retry_after().is_some());
        first
            .clone()
            .with_message(message)
            .transient(unread.iter().any(Error::is_transient))
            .with_next_attempt(soonest.filter(|_| all_wait))
    }
}
