//! libFuzzer's way into `lathe_fuzz::reference`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lathe_fuzz::reference(data));
