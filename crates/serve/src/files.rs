//! `[[serve.files]]`: tokens in files, for programs that can read them nowhere else.

use std::{fs, io, sync::Arc, time::Duration};

use biped::{
    CachedToken, Error, ExposeSecret, TokenRef, TokenSource,
    config::replace_file_durably,
    provider::{Clock, SystemClock},
};

use futures_util::future::join_all;

use crate::{
    config::{FileFormat, FileSettings},
    live::Live,
    meter,
    shared::Shared,
    tokens::described,
    variable::variable_prefix,
};

/// How often a token is checked.
const LOOK: Duration = Duration::from_secs(1);

/// A token that is kept in a file.
pub(crate) struct TokenFile {
    source: TokenSource,
    settings: FileSettings,
    /// What is in the file.
    written: Option<Arc<CachedToken>>,
    /// Whether that is as the settings say.
    is_as_set: bool,
    /// Why it can't be written, so that it is told once.
    failed: Option<String>,
}

impl TokenFile {
    /// The files of a configuration.
    pub(crate) fn all(live: &Live) -> Result<Vec<Self>, Error> {
        let file = |settings: &FileSettings| {
            let provider = live.biped.provider(&settings.provider)?;
            let mut source = live.biped.token_source(&settings.provider)?;
            for (name, value) in &settings.params {
                source = source.param(name, provider.param(name, value)?);
            }
            if let Some(scope) = &settings.scope {
                source = source.with_scopes(scope);
            }
            Ok(Self {
                source,
                settings: settings.clone(),
                written: None,
                is_as_set: true,
                failed: None,
            })
        };
        live.serve.files.iter().map(file).collect()
    }

    /// Writes the file if there is another token, and removes it if its token has expired.
    async fn refresh(&mut self) {
        // A tenth of its life must be left for the reader.
        let tenth = |token: &CachedToken| token.lifetime().map_or(Duration::ZERO, |life| life / 10);
        let least = self.written.as_deref().map_or(Duration::ZERO, tenth);
        let token = self
            .source
            .token_with(least)
            .await
            .map(TokenRef::into_owned);
        let outcome = match token {
            Ok(token) if self.is_written(&token) => Ok(()),
            Ok(token) => {
                let text = text(&self.settings, &self.source, &token);
                let written = self.write(text).await;
                if written.is_ok() {
                    self.written = Some(token);
                    self.is_as_set = true;
                }
                written
            }
            Err(_) => self.expire(),
        };
        let expiry = self.written.as_ref().and_then(|token| token.expires_at());
        let name = self.settings.path.file_name().unwrap_or_default();
        let seconds = expiry.map(biped::Timestamp::unix_seconds);
        meter::file_expires(&self.settings.provider, &name.to_string_lossy(), seconds);
        let failed = outcome.err().map(|error| error.to_string());
        if let Some(why) = failed.as_ref().filter(|_| failed != self.failed) {
            let path = self.settings.path.display();
            tracing::warn!("{path} can't be written: {why}");
        }
        self.failed = failed;
    }

    /// Writes off the runtime: a file system may take its time.
    async fn write(&self, text: String) -> io::Result<()> {
        let (path, mode) = (self.settings.path.clone(), self.settings.mode);
        let written =
            tokio::task::spawn_blocking(move || replace_file_durably(&path, text.as_bytes(), mode));
        written.await.map_err(io::Error::other)?
    }

    fn is_written(&self, token: &CachedToken) -> bool {
        let written = self.written.as_ref();
        self.is_as_set
            && written.is_some_and(|it| it.generation() == token.generation())
            && self.settings.path.exists()
    }

    /// A failed refresh leaves a token that is good.
    fn expire(&mut self) -> io::Result<()> {
        let now = self.source.clock().now().wall;
        let expiry = self.written.as_ref().and_then(|token| token.expires_at());
        if expiry.is_none_or(|expiry| expiry > now) {
            return Ok(());
        }
        self.written = None;
        match fs::remove_file(&self.settings.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// At the end the file stays, unless the configuration says otherwise.
impl Drop for TokenFile {
    fn drop(&mut self) {
        if self.settings.remove && self.written.is_some() {
            let _ = fs::remove_file(&self.settings.path);
        }
    }
}

fn text(settings: &FileSettings, source: &TokenSource, token: &CachedToken) -> String {
    match settings.format {
        FileFormat::Token => token.expose_secret().to_owned(),
        FileFormat::Header => {
            let header = token.header().to_str().unwrap_or_default();
            format!("Authorization: {header}\n")
        }
        FileFormat::Json => format!("{}\n", described(&settings.provider, source, token)),
        FileFormat::Env => {
            let name = variable_prefix(&settings.provider);
            let text = token.expose_secret().replace('\'', r"'\''");
            format!("{name}_ACCESS_TOKEN='{text}'\n")
        }
    }
}

/// Keeps all files up to date, also when the configuration changes; completes never. The sidecar is not
/// ready before each of the first files was tried once.
pub(crate) async fn keep_all(mut files: Vec<TokenFile>, shared: Arc<Shared>) {
    let mut reloads = shared.reloads.subscribe();
    join_all(files.iter_mut().map(|file| async {
        file.refresh().await;
        shared.step_done();
    }))
    .await;
    loop {
        tokio::select! {
            changed = reloads.changed() => match changed {
                // The configuration was checked before it was taken.
                Ok(()) => files = follow(files, &shared.live.load()),
                Err(_) => return,
            },
            () = SystemClock.sleep(LOOK) => {}
        }
        join_all(files.iter_mut().map(TokenFile::refresh)).await;
    }
}

/// The files of another configuration. Those that stay know what is in them.
fn follow(mut old: Vec<TokenFile>, live: &Live) -> Vec<TokenFile> {
    let mut files = TokenFile::all(live).unwrap_or_default();
    for file in &mut files {
        let path = &file.settings.path;
        let known = old.iter_mut().find(|old| old.settings.path == *path);
        if let Some(known) = known {
            file.is_as_set = known.is_as_set && known.settings == file.settings;
            // With its token an old file would be removed here.
            file.written = known.written.take();
            file.failed = known.failed.take();
        }
    }
    files
}
