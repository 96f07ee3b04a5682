//! What goes where: data to stdout, everything else to stderr.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Style};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::Outcome;

/// Decides on colour, by what `--color` says; what is no choice is told later.
pub(crate) fn choose_color(choice: Option<&str>) {
    match choice {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
    .write_global();
}

/// Whether colour was asked for, terminal or not.
pub(crate) fn is_colorful() -> bool {
    matches!(
        ColorChoice::global(),
        ColorChoice::Always | ColorChoice::AlwaysAnsi
    )
}

/// Sends Biped's own events to stderr. Those of other crates never: who knows what they hold.
pub(crate) fn log(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let color = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(color)
        .with_target(false)
        .without_time();
    let ours = Targets::new().with_target("biped", level);
    // An application may have a subscriber of its own already, which is as good.
    let _ = tracing_subscriber::registry()
        .with(ours)
        .with(lines)
        .try_init();
}

/// Writes data as it is.
pub(crate) fn data(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}

/// Writes text for people, whose colours go where they are wanted.
pub(crate) fn text(text: &str) -> Outcome {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Writes a value as JSON, a line of it, or several for a terminal.
pub(crate) fn json(value: &impl serde::Serialize) -> Outcome {
    let is_terminal = io::IsTerminal::is_terminal(&io::stdout());
    let text = if is_terminal {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    let text = text.map_err(|_| biped::Error::internal("the answer can't be written as JSON"))?;
    data(format!("{text}\n").as_bytes())
}

/// Tells something on stderr. Where nobody listens, nothing is lost.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Tells something on stderr behind a word in colour.
pub(crate) fn marked(word: &str, color: AnsiColor, text: &str) {
    let style = Style::new().bold().fg_color(Some(color.into()));
    note(&format!("{style}{word}{style:#}: {text}"));
}
