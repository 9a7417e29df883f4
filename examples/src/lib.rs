//! The crawl demo: a slow site and a crawler for it, both on the mainspring runtime.
//!
//! What to read, in this order:
//!
//! 1. `site/server.rs`: a server on the runtime, with a task for each connection;
//! 2. `crawl/engine.rs`: so many fetches in flight and no more, until nothing is left to fetch;
//! 3. `crawl/frontier.rs`: which page is next, and when its host lets it begin;
//! 4. `commands/demo.rs`, which puts these together, and `commands/compare.rs`, which shows why
//!    waiting together pays;
//! 5. `stop.rs` and `states.rs`: how to reach a loop from another thread, and how to listen to it.
//!
//! `experiments` is by itself: fifteen wrong ideas about event loops, each to be predicted and then seen.
//!
//! The rest is what any crawler needs: `web.rs` asks (`answer.rs`) within the limits of `options.rs`,
//! `credentials.rs` decides what is sent where, `reader.rs` reads (HTML by
//! `extract.rs`, XML by `xml.rs`, links by `links.rs`, lists by `crawl/listing.rs`), `polite/` knows
//! robots.txt and pauses, `output/` keeps, `report/` and `text.rs` tell, and `cli/` says what `crawl`
//! takes.
//! `celery/` shares the work over machines.
#![forbid(unsafe_code)]

pub mod answer;
pub mod canonical;
pub mod celery;
pub mod cli;
pub mod commands;
pub mod crawl;
pub mod credentials;
pub mod experiments;
pub mod extract;
pub mod failure;
pub mod har;
pub mod links;
pub mod live;
pub mod machine;
pub mod media_type;
pub mod options;
pub mod output;
pub mod polite;
pub mod reader;
pub mod report;
pub mod site;
pub mod states;
pub mod stop;
#[cfg(test)]
mod tests;
pub mod text;
pub mod timings;
pub mod trace;
pub mod value;
pub mod web;
pub mod xml;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
