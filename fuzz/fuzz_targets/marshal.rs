//! Runs `execnet_fuzz::marshal` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| execnet_fuzz::marshal(data));
