//! `biped serve`.

use std::time::Duration;

use biped::{
    Error,
    provider::{Clock, SystemClock},
};
use biped_serve::{Running, Serve, Server};
use clap::builder::styling::AnsiColor;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{
    signals::{Ending, endings, reloads},
    systemd::{self, Doing},
};
use crate::{args::serve as args, failure::Outcome, output, session::Session, threads};

/// How often samples are put into their buckets. Without a scraper they would pile up.
const UPKEEP: Duration = Duration::from_secs(5);

/// The buckets that OpenTelemetry advises for HTTP, in seconds.
const DURATIONS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// The buckets of the lives of tokens, in seconds.
const LIVES: [f64; 9] = [1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0];

pub(crate) fn run(session: &Session, args: &args::Serve) -> Outcome {
    if args.forward {
        let error = "--forward is reserved; this release does not support it yet";
        return Err(Error::configuration(error).into());
    }
    let biped = session.resident()?;
    let settings = biped.section::<Serve>("serve").cloned().unwrap_or_default();
    let runtime = threads::runtime(settings.threads())?;
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
    server = systemd::inherit(server)?;
    let handle = settings.metrics().then(recorder).flatten();
    if let Some(handle) = handle.clone() {
        server = server.metrics(move || handle.render());
    }
    let outcome = runtime.block_on(async {
        let upkeep = async {
            let Some(handle) = handle else {
                return std::future::pending().await;
            };
            loop {
                SystemClock.sleep(UPKEEP).await;
                handle.run_upkeep();
            }
        };
        tokio::select! {
            outcome = serve(session, server) => outcome,
            () = upkeep => Ok(()),
        }
    });
    runtime.shutdown_background();
    outcome
}

/// Installs the recorder of what is counted; `None` if an application has one of its own.
fn recorder() -> Option<PrometheusHandle> {
    let durations = Matcher::Suffix("_duration_seconds".into());
    let lives = Matcher::Suffix("_life_seconds".into());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(durations, &DURATIONS)
        .and_then(|builder| builder.set_buckets_for_metric(lives, &LIVES));
    let recorder = builder.ok()?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    Some(handle)
}

async fn serve(session: &Session, server: Server) -> Outcome {
    let mut ending = endings()?;
    let mut reload = reloads()?;
    let running = server.start().await?;
    // A reader of stdout that stands still is waited for apart from all else.
    let lines = addresses(&running);
    let mut printed = tokio::task::spawn_blocking(move || output::data(lines.as_bytes()));
    let mut is_printed = false;
    tell(session, &running);
    let mut is_told = false;
    let linger = loop {
        let heartbeat = async {
            match systemd::watchdog() {
                Some(time) => SystemClock.sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ending = ending() => break ending == Ending::Terminate,
            () = running.quit_requested() => break true,
            outcome = &mut printed, if !is_printed => {
                is_printed = true;
                match outcome {
                    // The sidecar serves on if stdout is closed.
                    Ok(Err(failure)) if !failure.is_broken_pipe() => return Err(failure),
                    _ => {}
                }
            }
            () = running.warmed(), if !is_told => {
                is_told = true;
                systemd::tell(Doing::Ready);
            }
            () = heartbeat => systemd::tell(Doing::Working),
            () = reload() => {
                systemd::tell(Doing::Reloading);
                tokio::select! {
                    biased;
                    // The end does not wait for the first tokens of the new configuration.
                    ending = ending() => break ending == Ending::Terminate,
                    outcome = running.reload() => tell_reload(outcome.as_ref().copied()),
                }
                systemd::tell(Doing::Ready);
            }
        }
    };
    systemd::tell(Doing::Stopping);
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
        Ok(()) => output::note("reloaded the configuration"),
        Err(error) => {
            let lines = error.to_string();
            let text =
                format!("the new configuration can't be used, so the old one stays: {lines}");
            output::marked("error", AnsiColor::Red, &text);
        }
    }
}

/// The addresses, a line each.
fn addresses(running: &Running) -> String {
    let addresses = running.addresses();
    let lines = addresses.iter().map(|address| format!("{address}\n"));
    lines.collect()
}

/// Prints what an operator should know to stderr.
fn tell(session: &Session, running: &Running) {
    if session.is_json() {
        return;
    }
    for address in running.probe_addresses() {
        output::note(&format!("answering probes at {address}"));
    }
    for note in running.notes() {
        output::note(note);
    }
}
