//! A vendor file may be anything: loading returns problems with lines, or a dialect whose examples run.
#![no_main]

use biped_dialect::check_text;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = format!("{:?}", check_text(text, "any.toml"));
});
