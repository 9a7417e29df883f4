#![forbid(unsafe_code)]
//! A small non-blocking HTTP/1.1 client on the mainspring runtime.

pub mod proto;
