//! Runs `execnet_fuzz::known_hosts` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| execnet_fuzz::known_hosts(data));
