#![forbid(unsafe_code)]
//! An async runtime with its case back open.
//!
//! One thread, one loop. It polls tasks that are ready, fires timers that are due, and otherwise waits for
//! the operating system. All that one must read to know it is in four folders, as a path of 14 numbered files; each says
//! which question it answers and which comes next. Start with `event_loop/mod.rs`. `event_loop/turn.rs` has the loop itself.
//!
//! The rest of the crate stands on these: `runtime.rs` (the way in), `net`, `future`, `blocking.rs`, `remote.rs`, `observe`.
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
mod stalled;
mod stats;
mod task;
pub mod time;

pub use blocking::spawn_blocking;
pub use builder::{
    Builder, DEFAULT_BLOCKING_IDLE, DEFAULT_BLOCKING_THREADS, DEFAULT_POLL_INTERVAL,
};
pub use event_loop::current_task;
pub use event_loop::ready::Scheduler;
pub use event_loop::stall::{Outside, StallReason};
pub use future::AbortOnDrop;
pub use remote::{Remote, RuntimeDropped};
pub use runtime::{Runtime, run, spawn, spawn_named};
pub use stalled::{Stalled, StalledTask};
pub use stats::{Stats, Turn};
pub use task::{CallbackId, JoinError, JoinHandle, Pending, StillPending, TaskId, TaskState};
