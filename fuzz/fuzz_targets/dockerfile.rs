//! libFuzzer's way into `lathe_fuzz::dockerfile`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lathe_fuzz::dockerfile(data));
