//! Runs `execnet_fuzz::decode_cut` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| execnet_fuzz::decode_cut(data));
