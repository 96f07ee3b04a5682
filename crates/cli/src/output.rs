//! Output: data goes to stdout, everything else to stderr. Text from outside is escaped before people
//! see it: a name with a line break stays on one line.

mod queue;
mod table;

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use biped::provider::{
    Clock, SystemClock,
    wire::{Escaped, escaped},
};
use clap::builder::styling::{AnsiColor, Style};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets, filter_fn},
    fmt::format::{self, FormatFields, Writer},
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use self::queue::Stderr;
pub(crate) use self::{
    queue::flush,
    table::{Table, hanging},
};
use crate::failure::Outcome;

/// Chooses colour by `--color`. An invalid value is reported later.
pub(crate) fn choose_color(choice: Option<&str>) {
    match choice {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
    .write_global();
}

/// From now on nothing that is printed to stderr waits for its reader: calls, probes and signals never wait for
/// a log. Lines are dropped while the reader stands still; [`flush`] writes the last ones.
pub(crate) fn never_wait() {
    queue::start();
}

/// Whether stderr gets colours.
fn has_color() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Whether `--color` requires colour, even without a terminal.
fn is_colorful() -> bool {
    matches!(
        ColorChoice::global(),
        ColorChoice::Always | ColorChoice::AlwaysAnsi
    )
}

/// Prints Biped's own events to stderr: those that `--verbose` asks for, or else the warnings of
/// stores, or all if the command `serves`; no warnings if the output is JSON. Events of other
/// crates may contain secrets and are never printed.
pub(crate) fn log(verbose: u8, json: bool, serves: bool) {
    let level = match verbose {
        0 if json => return,
        0 => return warn(serves),
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Stderr)
        .with_ansi(has_color())
        .with_target(false)
        .fmt_fields(fields())
        .without_time();
    let ours = Targets::new().with_target("biped", level);
    // Spans are for tracing systems; each event names its provider itself.
    let lines = lines.with_filter(filter_fn(|of| !of.is_span()));
    // An application may have installed its own subscriber.
    let _ = tracing_subscriber::registry()
        .with(ours)
        .with(lines)
        .try_init();
}

/// Formats the fields of an event, except when this process would ask the vendor again: it ends before.
fn fields() -> impl for<'w> FormatFields<'w> {
    let one = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| match field.name() {
        "retry_in_ms" => Ok(()),
        "message" => write!(writer, "{value:?} "),
        name => write!(writer, "{name}={value:?} "),
    };
    format::debug_fn(one)
}

/// The targets of warnings that are printed by every command: of stores, of the configuration and of
/// credentials.
const OF_EVERY_COMMAND: [&str; 7] = [
    "biped::config",
    "biped::credential",
    "biped::store",
    "biped_file",
    "biped_postgres",
    "biped_redis",
    "biped_sealed",
];

/// Prints the warnings of stores, of the configuration and of credentials. Without a working store the command goes
/// on, but each run asks the vendor; the user should know why. The user should also know that others
/// can write the configuration. A command that serves ends with no error of its own, so all warnings are
/// printed.
fn warn(serves: bool) {
    let all = [("biped", LevelFilter::WARN)];
    let few = OF_EVERY_COMMAND.map(|target| (target, LevelFilter::WARN));
    let targets = match serves {
        true => Targets::new().with_targets(all),
        false => Targets::new().with_targets(few),
    };
    let warnings = Warnings::default().with_filter(targets);
    let _ = tracing_subscriber::registry().with(warnings).try_init();
}

/// Prints each warning in the form of the command's own warnings, and one that every command prints once in a
/// while.
#[derive(Default)]
struct Warnings(Mutex<Told>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut warning = Warning::default();
        event.record(&mut warning);
        let Warning { provider, message } = warning;
        let text = match provider {
            Some(provider) => format!("{provider}: {message}"),
            None => message,
        };
        let target = event.metadata().target();
        let may_repeat = !OF_EVERY_COMMAND.iter().any(|of| target.starts_with(of));
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if may_repeat || told.is_new(&text, SystemClock.now().mono) {
            marked("warning", AnsiColor::Yellow, &text);
        }
    }
}

/// After this time a warning is printed again. A command that stays must also tell the next outage of a store.
const AGAIN: Duration = Duration::from_secs(60);

/// The warnings of the last minute, each with the time when it was printed.
#[derive(Default)]
struct Told(HashMap<String, Duration>);

impl Told {
    /// Whether a warning was not printed lately. `now` is on the monotonic clock.
    fn is_new(&mut self, text: &str, now: Duration) -> bool {
        self.0.retain(|_, at| now.saturating_sub(*at) < AGAIN);
        let is_new = !self.0.contains_key(text);
        if is_new {
            self.0.insert(text.to_owned(), now);
        }
        is_new
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

/// Writes data unchanged.
pub(crate) fn data(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}

/// Writes text for people, with colours where they are wanted. The caller escapes text from outside.
pub(crate) fn text(text: &str) -> Outcome {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Writes a value as JSON: on one line, or on several for a terminal.
pub(crate) fn json(value: &impl serde::Serialize) -> Outcome {
    let is_terminal = io::IsTerminal::is_terminal(&io::stdout());
    let text = if is_terminal {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    let text = text.map_err(|_| biped::Error::internal("the output can't be written as JSON"))?;
    data(format!("{}\n", for_terminals(&text)).as_bytes())
}

/// Prints an error to stderr, as one line of JSON.
pub(crate) fn json_note(value: &impl serde::Serialize) {
    // Serializing texts and numbers can't fail.
    let text = serde_json::to_string(value).unwrap_or_default();
    tell(&for_terminals(&text));
}

/// Escapes the control characters that serde leaves in JSON and that a terminal would obey.
fn for_terminals(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        let mut buffer = [0; 4];
        let text = &*character.encode_utf8(&mut buffer);
        if character == '\n' || escaped(text) == text {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

/// Prints a line that is complete already, such as one of an access log, to stderr.
pub(crate) fn log_line(line: &str) {
    let _ = Stderr.write_all(format!("{line}\n").as_bytes());
}

/// Prints a line to stderr.
pub(crate) fn note(text: &str) {
    tell(&escaped(text));
}

/// Prints a line to stderr, after a word in colour.
pub(crate) fn marked(word: &str, color: AnsiColor, text: &str) {
    marked_lines(word, color, &[text.to_owned()]);
}

/// Prints several lines to stderr, the first after a word in colour.
pub(crate) fn marked_lines(word: &str, color: AnsiColor, lines: &[String]) {
    let style = Style::new().bold().fg_color(Some(color.into()));
    let mut text = format!("{style}{word}{style:#}:");
    for (at, line) in lines.iter().enumerate() {
        let separator = if at == 0 { " " } else { "\n  " };
        text.push_str(&format!("{separator}{}", Escaped(line)));
    }
    tell(&text);
}

/// Prints to stderr. Errors are ignored: a closed stderr has no reader.
fn tell(text: &str) {
    let line = match has_color() {
        true => format!("{text}\n"),
        false => format!("{}\n", strip_str(text)),
    };
    let _ = Stderr.write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_printed_again_after_a_minute_and_is_not_kept_longer() {
        let mut told = Told::default();
        let at = Duration::from_secs;
        assert!(told.is_new("the store failed", at(5)));
        assert!(!told.is_new("the store failed", at(64)));
        assert!(told.is_new("another", at(64)));
        assert!(told.is_new("the store failed", at(65)));
        assert!(!told.is_new("the store failed", at(66)));
        assert!(told.is_new("a third", at(1000)));
        assert_eq!(told.0.len(), 1);
    }

    #[test]
    fn json_says_the_same_without_what_a_terminal_would_obey() {
        let value = serde_json::json!({ "é\n": "a\u{9b}2J\u{202e}b\u{e0041}\u{7f}" });
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let shown = for_terminals(&pretty);
        assert_eq!(shown.lines().count(), 3);
        assert!(
            shown.contains('é') && !shown.contains(['\u{9b}', '\u{202e}', '\u{e0041}', '\u{7f}'])
        );
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, value);
    }
}
