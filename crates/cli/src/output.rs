//! What goes where: data to stdout, everything else to stderr.

use std::{
    collections::HashSet,
    fmt,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt},
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
fn is_colorful() -> bool {
    matches!(
        ColorChoice::global(),
        ColorChoice::Always | ColorChoice::AlwaysAnsi
    )
}

/// Sends Biped's own events to stderr: all that were asked for, or what stores have to complain of,
/// unless a program reads it. Those of other crates never: who knows what they hold.
pub(crate) fn log(verbose: u8, json: bool) {
    let level = match verbose {
        0 if json => return,
        0 => return warn_of_stores(),
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

/// The command goes on without a store that doesn't work, but each run asks the vendor then, and
/// somebody should know why. Nor should a configuration go unnoticed that others may write.
fn warn_of_stores() {
    let stores = Targets::new().with_targets(
        [
            "biped::config",
            "biped_core::store",
            "biped_file",
            "biped_redis",
            "biped_sealed",
        ]
        .map(|store| (store, LevelFilter::WARN)),
    );
    let warnings = Warnings::default().with_filter(stores);
    let _ = tracing_subscriber::registry().with(warnings).try_init();
}

/// Shows each warning once, as one of the command's own.
#[derive(Default)]
struct Warnings(Mutex<HashSet<String>>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut warning = Warning::default();
        event.record(&mut warning);
        let Warning { provider, message } = warning;
        let text = match provider {
            Some(provider) => format!("{provider}: {message}"),
            None => message,
        };
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(text.clone()) {
            marked("warning", AnsiColor::Yellow, &text);
        }
    }
}

#[derive(Default)]
struct Warning {
    provider: Option<String>,
    message: String,
}

impl Visit for Warning {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "provider" {
            self.provider = Some(value.into());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
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

/// A table for people, a line a row whatever the terminal's width: an address that is broken in two
/// is none any more.
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if is_colorful() {
        table.enforce_styling();
    }
    table
}

/// The lines of a table, with nothing before the first column and after the last.
pub(crate) fn lines(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_line_however_narrow_the_terminal_and_its_columns_stand() {
        let mut table = table();
        table.set_width(20);
        table.add_row(["shop", "https://vendor.example/v1/auth/token", ""]);
        table.add_row(["", "x y", "z"]);
        assert_eq!(
            lines(table),
            "shop  https://vendor.example/v1/auth/token\n      x y                                   z\n"
        );
    }
}
