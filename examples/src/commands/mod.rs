//! What each subcommand does, a file for each.

pub mod compare;
pub mod demo;
pub mod fetch;
mod fetcher;
pub mod gather;
pub mod get;
pub mod result_writer;
pub mod serve;
pub mod site;
pub mod sweep;
mod verbose;
