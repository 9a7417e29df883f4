//! What each subcommand does, a file for each.

pub mod compare;
pub mod demo;
pub mod fetch;
pub mod serve;
pub mod sweep;
