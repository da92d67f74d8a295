//! Bytes that come as a message.
#![no_main]

#[path = "gates.rs"]
#[allow(dead_code, reason = "each target calls one of them")]
mod gates;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gates::wire(bytes));
