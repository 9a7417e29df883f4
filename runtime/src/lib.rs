#![forbid(unsafe_code)]
//! Under construction.

pub mod observe;
