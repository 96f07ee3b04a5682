//! A biped.toml may be anything: reading it returns an error or a configuration, and shows no secret.
#![no_main]

use biped::Biped;
use libfuzzer_sys::fuzz_target;

const PLANTED: &str = "pl4nted-secret-8d1f";

fuzz_target!(|text: &str| {
    let text = text.replace("SECRET", PLANTED);
    match Biped::builder().without_environment().toml(text).build() {
        Ok(biped) => assert!(!format!("{biped:?}").contains(PLANTED)),
        Err(error) => assert!(!format!("{error} {error:?}").contains(PLANTED)),
    }
});
