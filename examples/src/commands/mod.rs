//! What each subcommand does, a file for each.

pub mod compare;
pub mod demo;
pub mod fetch;
pub(crate) mod fetcher;
pub mod gather;
pub mod get;
pub mod result_writer;
pub mod send;
pub mod serve;
pub mod site;
pub mod sweep;
mod verbose;
pub mod worker;
