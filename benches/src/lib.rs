#![forbid(unsafe_code)]
//! mainspring measured against its peers, and all of them against the floor.
//!
//! The floor, called `bare`, is the same work done without any runtime: by a queue of boxed
//! closures, a binary heap, a loop over the poller, each written for that one piece of work. It
//! says what the machine takes at least, so that a figure can be read as a ratio on any machine.
//!
//! - [`scenario`]: what a scenario is; its goals.
//! - [`runtimes`]: what a scenario asks of a runtime, and one adaptor per runtime.
//! - [`clients`], [`servers`]: the same for HTTP clients, and whom they fetch from.
//! - [`scenarios`]: the floor by hand and the work, once, generic over the runtimes.
//! - [`compare`], [`stats`], [`results`], [`chart`], [`growth`]: rounds, table, files.
//!
//! `cargo run --release -p mainspring-benches --bin compare` measures them side by side.

pub mod chart;
pub mod clients;
pub mod compare;
pub mod growth;
pub mod results;
pub mod runtimes;
pub mod scenario;
pub mod scenarios;
pub mod servers;
pub mod stats;
