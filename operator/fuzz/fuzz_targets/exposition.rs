#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nightjar_tests::fuzz::exposition(bytes));
