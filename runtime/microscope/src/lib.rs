#![forbid(unsafe_code)]
//! See the loop, step it, ask it why.

mod chrome;
mod determinism;
mod dump;
pub mod experiments;
pub mod findings;
pub mod json;
pub mod live;
mod marks;
pub mod model;
pub mod page;
mod perfetto;
mod recorder;
mod schema;
mod stream;
mod text;
mod trace;

pub use determinism::{Difference, OrderBug, check_determinism, explore};
pub use model::Model;
pub use recorder::Recorder;
pub use text::{Nanos, TaskText, Texts, harmless};
pub use trace::Trace;
