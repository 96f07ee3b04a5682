//! `biped serve`.

use biped::Error;
use biped_serve::{Running, Serve, Server};

use super::signals::{Ending, endings};
use crate::{args::serve as args, failure::Outcome, output, session::Session};

pub(crate) fn run(session: &Session, args: &args::Serve) -> Outcome {
    let biped = session.resident()?;
    let settings = biped.section::<Serve>("serve").cloned().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads())
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("the tokio runtime can't be started: {error}")))?;
    let outcome = runtime.block_on(async {
        let mut ending = endings()?;
        let server = Server::new(biped)
            .settings(|serve| {
                let serve = serve.tokens(args.tokens);
                match &args.listen[..] {
                    [] => serve,
                    addresses => serve.listen(addresses),
                }
            })
            .access_log(output::log_line);
        let running = server.start().await?;
        tell(session, &running)?;
        let linger = tokio::select! {
            ending = ending() => ending == Ending::Terminate,
            () = running.quit_requested() => true,
        };
        tokio::select! {
            biased;
            () = running.stop(linger) => {}
            // A second signal ends it at once.
            _ = ending() => {}
        }
        Ok(())
    });
    runtime.shutdown_background();
    outcome
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
