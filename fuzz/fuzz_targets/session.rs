//! libFuzzer's side of one target; see the testkit for what it checks.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pointsman_testkit::fuzz::attack("session", data));
