//! Futures made of futures: small, hand-written, worth reading.

mod yield_now;

pub use yield_now::{YieldNow, yield_now};
