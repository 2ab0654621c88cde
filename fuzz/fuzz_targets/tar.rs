//! libFuzzer's way into `lathe_fuzz::tar`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lathe_fuzz::tar(data));
