//! Runs `execnet_fuzz::xspec` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| execnet_fuzz::xspec(data));
