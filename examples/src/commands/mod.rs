//! What each subcommand does, a file for each.

pub mod compare;
pub mod demo;
pub mod fetch;
pub mod gather;
pub mod get;
pub mod keeper;
pub mod page;
pub mod serve;
pub mod site;
pub mod sweep;
