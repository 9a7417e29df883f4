#![forbid(unsafe_code)]
//! Under construction.
fn main() {}
