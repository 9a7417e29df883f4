//! Feeds the oracle of this name.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mainspring_http_fuzz::links(data));
