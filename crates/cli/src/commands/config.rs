//! `biped config schema` and `biped config show`.

use biped::config::Origin;
use serde::Serialize;

use crate::{
    args::{Config, Format},
    failure::Outcome,
    output,
    session::Session,
};

pub(crate) fn run(session: &Session, command: &Config) -> Outcome {
    match command {
        Config::Schema => {
            let schema = session.builder_without_file().json_schema();
            output::data(format!("{schema:#}\n").as_bytes())
        }
        Config::Show(report) => show(session, report.format),
    }
}

/// Shows the configuration even if it is invalid, because then it is most needed.
fn show(session: &Session, format: Format) -> Outcome {
    let settings = session.builder()?.config()?;
    if settings
        .iter()
        .all(|setting| setting.origin == Origin::Default)
    {
        return Err(session.nothing_configured().into());
    }
    match format {
        Format::Json => {
            let shown = settings.iter().map(|setting| Shown {
                key: &setting.key,
                value: &setting.value,
                origin: setting.origin.to_string(),
            });
            output::json(&shown.collect::<Vec<_>>())
        }
        Format::Text => {
            let lines = settings.iter().map(|setting| format!("{setting}\n"));
            output::data(lines.collect::<String>().as_bytes())
        }
    }
}

/// A setting as JSON. The value is written as in TOML, or `[redacted]`.
#[derive(Serialize)]
struct Shown<'s> {
    key: &'s str,
    value: &'s str,
    origin: String,
}
