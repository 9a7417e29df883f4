#![forbid(unsafe_code)]
//! An async runtime with its case back open.
//!
//! One thread, one loop. It polls tasks that are ready, fires timers that are due, and otherwise waits for
//! the operating system; that is [`runtime.rs`](Runtime), the file to read first. Then, in this order:
//!
//! 1. `task/state.rs`: the life of a task, pending, running, done or cancelled, as a machine of one byte;
//! 2. `task/waker.rs` and `inbox.rs`: how a wake reaches the ready queue, from this thread and from others;
//! 3. `context.rs`: what a loop consists of, and how a sleep or a socket finds it;
//! 4. `time/queue.rs` and `reactor/mod.rs`: what can wake a task when nobody else does;
//! 5. `task/join.rs`: how a result gets out.
//!
//! ```
//! use std::time::Duration;
//! use mainspring::{spawn, time::sleep};
//!
//! let sum = mainspring::run(async {
//!     let slow = spawn(async {
//!         sleep(Duration::from_millis(2)).await;
//!         40
//!     });
//!     let quick = spawn(async { 2 });
//!     slow.await.unwrap() + quick.await.unwrap()
//! });
//! assert_eq!(sum, 42);
//! ```

mod blocking;
mod builder;
mod event_loop;
pub mod future;
pub mod net;
pub mod observe;
mod reactor;
mod remote;
mod runtime;
mod stats;
mod task;
pub mod time;

pub use blocking::spawn_blocking;
pub use builder::{
    Builder, DEFAULT_BLOCKING_IDLE, DEFAULT_BLOCKING_THREADS, DEFAULT_POLL_INTERVAL,
};
pub use event_loop::current_task;
pub use event_loop::ready::Scheduler;
pub use event_loop::stall::{Outside, StallReason, Stalled, StalledTask};
pub use remote::{Remote, RuntimeDropped};
pub use runtime::{Runtime, run, spawn, spawn_named};
pub use stats::{Stats, Turn};
pub use task::{
    AbortOnDrop, CallbackId, JoinError, JoinHandle, Pending, StillPending, TaskId, TaskState,
};
