#![forbid(unsafe_code)]
//! mainspring measured against its peers, and all of them against the floor.
//!
//! The floor, called `bare`, is the same work done without any runtime: by a queue of closures, a
//! binary heap, a loop over the poller, each written for that one piece of work. It says what the
//! machine takes at least. It spares itself all that the work does not ask for, also what a runtime
//! cannot do without: so most goals are ratios to the peers, which carry the same.
//!
//! - [`scenario`]: what a scenario is; its goals.
//! - [`runtimes`]: what a scenario asks of a runtime, and one adaptor per runtime.
//! - [`clients`], [`servers`]: the same for HTTP clients, and whom they fetch from.
//! - [`scenarios`]: the floor by hand and the work, once, generic over the runtimes.
//! - [`compare`], [`stats`], [`results`], [`chart`], [`growth`]: rounds, table, files.
//!
//! `cargo run --release -p mainspring-benches --bin compare` measures them side by side: in every
//! round each contestant has its turn. `cargo bench` cannot: criterion takes all samples of one
//! function before it calls the next, and has no place at which to go from one to another. What the
//! machine does in one of those seconds then hits one contestant alone, so its figures are no ratios.
//! It is here for what it does well: the statistics of one contestant, and its change since last time.

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
