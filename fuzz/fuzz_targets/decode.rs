//! Runs `execnet_fuzz::decode` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| execnet_fuzz::decode(data));
