//! Celery's side of the crawl: tasks that any Celery producer sends, on workers on any machine, with
//! Redis between them. Python's Celery may stand on either side.
//!
//! What to read, in this order: `worker.rs` takes tasks and has them run, `tasks.rs` does what they ask for;
//! `scripts.rs` and `scripts/` are what is done in Redis at one stroke, so that nothing is lost;
//! `message.rs` and `canvas.rs` are what is written there; `redis.rs`, `connection.rs` and `resp` are the
//! way to it. `coordinator.rs` is where tasks are sent, and where a crawl asks workers for its pages.

mod canvas;
mod connection;
mod control;
mod coordinator;
mod guard;
mod message;
mod redis;
pub mod resp;
mod scripts;
mod tasks;
mod worker;

use std::io::Write as _;

pub use connection::{Address, Place};
pub use coordinator::{Producer, Workers};
pub use message::Call;
pub use tasks::FETCH;
pub use worker::work;

/// The queue that Celery sends to unless it is told otherwise.
pub const QUEUE: &str = "celery";

/// Tells a person something on standard error.
fn say(text: &str) {
    // With that closed, there is no way to tell.
    writeln!(std::io::stderr(), "crawl: {text}").unwrap_or_default();
}

/// Tells of progress on standard output.
fn tell(text: &str) {
    writeln!(std::io::stdout(), "{text}").unwrap_or_default();
}
