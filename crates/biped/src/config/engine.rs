//! `[engine]`.

use biped_config::{ConfigTable, Field, FieldType, Section};
use biped_core::Error;
use biped_engine::Settings;

pub(crate) const NAME: &str = "engine";

const FIELDS: &[Field] = &[
    Field::new("refresh_at", FieldType::Number).about(
        "The part of a token's lifetime after which it is renewed, while it is still used: between 0.1 \
         and 0.85. Default: 0.80, plus up to 0.05, drawn once per process.",
    ),
    Field::new("margin", FieldType::Duration).about(
        "How long before its expiry a token is no longer sent, at most a tenth of its lifetime. \
         Default: 30 s.",
    ),
    Field::new("max_wait", FieldType::Duration)
        .about("The longest that a call waits for a token. Default: 10 s."),
    Field::new("concurrent_fetches", FieldType::Integer)
        .about("How many token requests a token endpoint gets at a time. Default: 8."),
    Field::new("fetches_per_minute", FieldType::Integer).about(
        "How many token requests a token endpoint gets in a minute, evenly spread. Default: as \
         many as the vendor is known to allow, or else any number.",
    ),
    Field::new("max_keys", FieldType::Integer)
        .about("How many tokens are kept, not counting those in use. Default: 200000."),
    Field::new("idle", FieldType::Duration)
        .about("How long an unused token is kept. Default: 1 h."),
    Field::new("share_failures", FieldType::Bool).about(
        "Whether processes that share a store all pause requests to the vendor after one of them \
         failed. Default: true; false for the command.",
    ),
    Field::new("store_wait", FieldType::Duration).about(
        "The longest that a call waits for the store before it goes on without it, at least 200 ms. \
         Default: 250 ms.",
    ),
];

/// The section, read into [`Settings`].
pub(crate) fn section() -> Section {
    let section = Section::new(NAME, read).about("The settings of the token manager.");
    FIELDS.iter().cloned().fold(section, Section::field)
}

fn read(table: &ConfigTable) -> Result<Settings, Error> {
    let mut settings = Settings::default();
    let expected = "a number between 0.1 and 0.85";
    if let Some(part) = table.number("refresh_at")
        && let Some(part) = table.checked("refresh_at", Some(part), expected, |part| {
            (0.1..=0.85).contains(part)
        })
    {
        settings = settings.refresh_at(part);
    }
    if let Some(margin) = table.positive_duration("margin") {
        settings = settings.margin(margin);
    }
    if let Some(max_wait) = table.positive_duration("max_wait") {
        settings = settings.max_wait(max_wait);
    }
    if let Some(at_a_time) = table.count("concurrent_fetches") {
        settings = settings.concurrent_fetches(at_a_time);
    }
    if let Some(rate) = table.count("fetches_per_minute") {
        settings = settings.fetches_per_minute(Some(rate));
    }
    if let Some(keys) = table.count("max_keys") {
        settings = settings.max_keys(keys);
    }
    if let Some(idle) = table.positive_duration("idle") {
        settings = settings.idle(idle);
    }
    if let Some(share) = table.boolean("share_failures") {
        settings = settings.share_failures(share);
    }
    if let Some(store_wait) = table.positive_duration("store_wait") {
        settings = settings.store_wait(store_wait);
    }
    Ok(settings)
}
