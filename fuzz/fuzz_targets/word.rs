//! libFuzzer's way into `lathe_fuzz::word`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lathe_fuzz::word(data));
