//! What each subcommand does, a file for each.

pub mod compare;
pub mod demo;
pub mod fetch;
pub mod gather;
pub mod get;
pub mod keeper;
pub mod send;
pub mod serve;
pub mod site;
pub mod sweep;
pub mod worker;
