#![forbid(unsafe_code)]
//! See the loop, step it, ask it why.
//!
//! A [`Recorder`] keeps what a runtime tells of itself. A [`Trace`] is what it has kept: with the
//! state before its first event, so that it decodes exactly however much was forgotten before.
//!
//! ```
//! use std::time::Duration;
//! use mainspring::{Runtime, spawn_named, time::sleep};
//! use mainspring_microscope::{Recorder, Trace};
//!
//! let recorder = Recorder::ring(1 << 16);
//! let mut runtime = Runtime::builder().observer(recorder.observer()).build()?;
//! runtime.block_on(async {
//!     let nap = spawn_named("nap", sleep(Duration::from_millis(2)));
//!     nap.await.unwrap();
//! });
//! let trace = Trace::from(&recorder).titled("a nap");
//! let page = std::env::temp_dir().join("nap.html");
//! trace.write_html(&page)?; // one file, for any browser
//! # std::fs::remove_file(&page)?;
//!
//! let model = trace.model(); // the state at the end; `model_after(n)`: after n events
//! assert_eq!(model.totals.polls, 4);
//! assert_eq!(model.why(2).why.to_string(), "finished: done");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! In the order of reading:
//!
//! 1. [`model`]: the only code that says what an event means, and why a task is not running;
//! 2. [`findings`]: what is wrong with a program, as exact predicates over its events;
//! 3. [`json`]: the format of traces, [`page`]: the page that draws them.

mod chrome;
mod determinism;
mod dump;
mod env;
mod file;
pub mod findings;
pub mod json;
pub mod live;
pub mod model;
pub mod page;
mod pauses;
mod recorder;
mod schema;
mod source;
mod stream;
mod tape;
mod text;
mod trace;

pub use determinism::{Difference, OrderBug, check_determinism, explore};
pub use env::from_env;
pub use model::Model;
pub use recorder::{Recorder, RecorderObserver};
pub use tape::DEFAULT_EVENTS;
pub use text::{LabelText, MAX_TEXT, Nanos, Place, TaskText, Texts, harmless};
pub use trace::Trace;
