#![forbid(unsafe_code)]
//! What must hold for every input. Each function takes an input of the fuzzer
//! and panics if something does not hold.
//!
//! The targets of `cargo fuzz` only call these; the macro that they need writes unsafe code, which
//! is why it is kept apart.

mod cookies;
mod encoding;
mod links;
mod peer;
mod redirect;
mod resp;
mod response;

pub use cookies::cookies;
pub use encoding::encoding;
pub use links::links;
pub use redirect::redirect;
pub use resp::resp;
pub use response::{chunks, response};
