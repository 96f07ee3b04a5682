//! `biped sandbox`.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use biped::{
    Error,
    config::{MAX_FILE_SIZE, read_file},
};
use biped_sandbox::{Environment, Platforms, Sandbox};

use super::signals::endings;
use crate::{args, destination, failure::Outcome, output, session::Session};

/// The start of a file that this command has written and may replace.
const OURS: &str = "# Works against a Biped sandbox";

pub(crate) fn run(session: &Session, args: &args::Sandbox) -> Outcome {
    if let Some(path) = &args.write {
        destination::check(path)?;
    }
    session.block_on(async {
        let lifetime = Duration::from_secs(args.lifetime);
        let builder = Sandbox::builder().port(args.port).lifetime(lifetime);
        let sandbox = builder
            .start()
            .await
            .map_err(|error| taken(args.port, &error))?;
        let platforms = match args.platform {
            true => Some(platforms(args).await?),
            false => None,
        };
        let mut endings = endings()?;
        if let Some(path) = &args.write {
            let more = platforms.as_ref().map(Platforms::config_toml);
            let toml = sandbox.config_toml() + more.as_deref().unwrap_or_default();
            write(path, &toml)?;
            session.trust_own(path);
        }
        let [first, second] = sandbox.clouds();
        let url = sandbox.url();
        let mut told = format!(
            "{url}  token endpoints, the envelope vendor's API, /_sandbox/stats\n\
             {first}  Contentsquare's first cloud\n\
             {second}  Contentsquare's second cloud\n"
        );
        if let Some(platforms) = &platforms {
            let at = platforms.url();
            told += &format!("{at}  platforms, an issuer that trusts them, and an API\n");
            told.extend(platforms.environments().iter().map(exports));
        }
        let told = output::data(told.as_bytes());
        match told {
            // The sandbox runs on if stdout is closed.
            Err(failure) if !failure.is_broken_pipe() => return Err(failure),
            _ => {}
        }
        if let Some(path) = &args.write {
            let path = path.display();
            output::note(&format!("wrote {path}; try: biped --config {path} check"));
        }
        endings().await;
        sandbox.stop().await;
        if let Some(platforms) = platforms {
            platforms.stop().await;
        }
        Ok(())
    })
}

/// Starts the platforms on the port after the sandbox's three, or on a free one.
async fn platforms(args: &args::Sandbox) -> Result<Platforms, Error> {
    let port = match args.port {
        0 => 0,
        port => port.checked_add(3).ok_or_else(|| {
            Error::configuration(
                "--port: the sandbox needs this port and the three after it, up to 65535",
            )
            .with_remedy("choose a lower port with --port")
        })?,
    };
    let builder = Platforms::builder()
        .port(port)
        .lifetime(Duration::from_secs(args.lifetime));
    builder.start().await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "choose another port with --port, or 0 for free ports",
            _ => {
                "check the temporary directory, which TMPDIR names: its path must be short \
                  enough for a socket"
            }
        };
        Error::configuration(format!(
            "the platforms can't be started on port {port}: {error}"
        ))
        .with_remedy(remedy)
    })
}

/// The variables of a platform, for a shell.
fn exports(environment: &Environment) -> String {
    let mut lines = format!("\n# {}\n", environment.about);
    for name in environment.unset {
        lines += &format!("unset {name}\n");
    }
    for (name, value) in &environment.variables {
        lines += &format!("export {name}='{value}'\n");
    }
    lines
}

fn taken(port: u16, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "choose another with --port, or 0 for free ports",
        _ => "choose another with --port",
    };
    Error::configuration(format!(
        "the sandbox can't use port {port} and the two ports after it: {error}"
    ))
    .with_remedy(remedy)
}

/// Writes the configuration, but never replaces a file that this command has not written.
fn write(path: &Path, toml: &str) -> Result<(), Error> {
    let shown = path.display();
    let failed =
        |error: io::Error| Error::configuration(format!("{shown} can't be written: {error}"));
    let is_ours = match read_file(path, MAX_FILE_SIZE) {
        Ok(found) => found.is_empty() || found.starts_with(OURS.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => false,
        Err(error) => return Err(failed(error)),
    };
    if !is_ours {
        return Err(Error::configuration(format!(
            "{shown} exists already and was not written by the sandbox"
        ))
        .with_remedy("name another file with --write"));
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    super::init::readable_by_all(&mut options)
        .open(path)
        .and_then(|mut file| file.write_all(toml.as_bytes()))
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sandbox_starts_its_files_as_expected() {
        let sandbox = Sandbox::builder().start().await.unwrap();
        assert!(sandbox.config_toml().starts_with(OURS));
    }
}
