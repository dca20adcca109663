//! Runs `execnet_fuzz::core_ops` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| execnet_fuzz::core_ops(data));
