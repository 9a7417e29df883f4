//! What a run shows on the terminal: progress while it lasts, tables and bars once it is over.

pub mod bars;
pub mod progress;
pub mod table;
