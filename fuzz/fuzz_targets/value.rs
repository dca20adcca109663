//! Runs `execnet_fuzz::value` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| execnet_fuzz::value(data));
