//! Watching a loop while it runs, from a thread of its own that goes on when the loop is blocked.

mod gate;

pub use gate::Break;
