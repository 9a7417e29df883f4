#![forbid(unsafe_code)]
//! From nothing to an event loop, in eight steps: each is a library of one file, complete in itself, and
//! the one before it plus one idea. README.md is where to begin.
#![expect(clippy::duplicate_mod, reason = "the sockets of steps 7 and 8 are one file: net.rs")]

pub mod step1;
pub mod step2;
pub mod step3;
pub mod step4;
pub mod step5;
pub mod step6;
pub mod step7;
pub mod step8;
