//! The crawl demo: a slow site and a crawler for it, both on the mainspring runtime.
#![forbid(unsafe_code)]

pub mod canonical;
pub mod cli;
pub mod commands;
pub mod crawl;
pub mod extract;
pub mod failure;
#[cfg(test)]
mod hostile;
pub mod live;
pub mod machine;
pub mod output;
pub mod phases;
pub mod polite;
pub mod report;
pub mod site;
pub mod states;
pub mod stop;
pub mod text;
pub mod trace;
pub mod value;
pub mod web;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
