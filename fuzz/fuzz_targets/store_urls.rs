#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| biped_fuzz_targets::run("store_urls", data));
