//! Runs `execnet_fuzz::hello_server` under cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| execnet_fuzz::hello_server(data));
