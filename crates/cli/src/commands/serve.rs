//! `biped serve`.

use biped::Error;
use biped_serve::{Running, Serve, Server};
use clap::builder::styling::AnsiColor;

use super::signals::{Ending, endings, reloads};
use crate::{args::serve as args, failure::Outcome, output, session::Session};

pub(crate) fn run(session: &Session, args: &args::Serve) -> Outcome {
    let biped = session.resident()?;
    let settings = biped.section::<Serve>("serve").cloned().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads())
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("the tokio runtime can't be started: {error}")))?;
    let (listen, tokens) = (args.listen.clone(), args.tokens);
    let change = move |serve: Serve| {
        let serve = serve.tokens(tokens);
        match &listen[..] {
            [] => serve,
            addresses => serve.listen(addresses),
        }
    };
    let mut server = Server::new(biped)
        .settings(change.clone())
        .access_log(output::log_line);
    if let Some(again) = session.rereading()? {
        let path = again.path.clone();
        server = server.reloading(Some(path), move || again.read(), change, tell_reload);
    }
    let outcome = runtime.block_on(serve(session, server));
    runtime.shutdown_background();
    outcome
}

async fn serve(session: &Session, server: Server) -> Outcome {
    let mut ending = endings()?;
    let mut reload = reloads()?;
    let running = server.start().await?;
    tell(session, &running)?;
    let linger = loop {
        tokio::select! {
            ending = ending() => break ending == Ending::Terminate,
            () = running.quit_requested() => break true,
            () = reload() => tell_reload(running.reload().await.as_ref().copied()),
        }
    };
    tokio::select! {
        biased;
        () = running.stop(linger) => {}
        // A second signal ends it at once.
        _ = ending() => {}
    }
    Ok(())
}

/// Says what came of a changed configuration.
fn tell_reload(outcome: Result<(), &Error>) {
    match outcome {
        Ok(()) => output::note("the configuration was read again"),
        Err(error) => {
            let lines = error.to_string();
            let text = format!("the configuration stays as it was: {lines}");
            output::marked("error", AnsiColor::Red, &text);
        }
    }
}

/// Prints the addresses to stdout, and everything else to stderr.
fn tell(session: &Session, running: &Running) -> Outcome {
    let lines: String = running
        .addresses()
        .iter()
        .map(|address| format!("{address}\n"))
        .collect();
    match output::data(lines.as_bytes()) {
        // The sidecar serves on if stdout is closed.
        Err(failure) if !failure.is_broken_pipe() => return Err(failure),
        _ => {}
    }
    if !session.is_json() {
        for address in running.probe_addresses() {
            output::note(&format!("probes are answered at {address}"));
        }
        for note in running.notes() {
            output::note(note);
        }
    }
    Ok(())
}
