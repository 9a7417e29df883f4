//! Waiting for more than one thing: small, hand-written, worth reading.
//!
//! One rule says what each of them takes. *Many* means tasks: [`gather`], [`gather_ok`],
//! [`gather_all`], [`wait`] and [`as_completed`] take [`JoinHandle`](crate::JoinHandle)s, so what
//! is to run at the same time is spawned first. Each then runs when it is woken, and not whenever
//! one of the others is; it can be cancelled, named and watched by itself; and its panic is its
//! own. *Two* means futures, polled in place within the task that awaits them: [`race`], as
//! [`timeout`](crate::time::timeout) does it, with nothing spawned and borrowing allowed.
//!
//! | | ends | gives | dropped, it |
//! |---|---|---|---|
//! | [`gather`] | with the last task, or the first error | values, in order | cancels |
//! | [`gather_ok`] | the same, a returned `Err` being an error | values, in order | cancels |
//! | [`gather_all`] | with the last task | results, in order | cancels |
//! | [`wait`] | as [`When`] says, or when time is up | handles: done, pending | detaches |
//! | [`as_completed`] | – | results, as they come | detaches |
//! | [`race`] | with the first of two futures | its output | drops both |
//!
//! Beside them, [`oneshot`] is a result that is set from elsewhere, and [`yield_now`] lets others
//! run. Locks, channels, semaphores and streams of the ecosystem (`async-lock`, `async-channel`,
//! `futures`) need no adapter here, so there are none of ours.
//!
//! ```
//! use mainspring::{future::gather, spawn};
//!
//! let values = mainspring::run(async { gather([1, 2, 3].map(|n| spawn(async move { 10 * n }))).await });
//! assert_eq!(values.unwrap(), [10, 20, 30]);
//! ```

mod abort_on_drop;
mod as_completed;
mod gather;
mod group;
mod oneshot;
mod race;
mod wait;
mod yield_now;

pub use abort_on_drop::AbortOnDrop;
pub use as_completed::{AsCompleted, as_completed};
pub use gather::{Gather, GatherAll, TaskError, gather, gather_all, gather_ok};
pub use oneshot::{Closed, Receiver, Sender, oneshot};
pub use race::{Race, race};
pub use wait::{Wait, Waited, When, wait};
pub use yield_now::{YieldNow, yield_now};
