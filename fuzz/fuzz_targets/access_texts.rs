#![no_main]
//! See the function.

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz_targets::access_texts(input));
