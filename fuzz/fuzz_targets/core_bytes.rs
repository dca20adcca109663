//! Runs `execnet_fuzz::core_bytes` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| execnet_fuzz::core_bytes(data));
