#![forbid(unsafe_code)]
//! See the loop, step it, ask it why.

mod schema;
pub mod model;
mod text;

pub use model::Model;
pub use text::{Nanos, TaskText, Texts, harmless};
