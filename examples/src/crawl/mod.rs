//! The crawl engine: which page next, how many at once, and what came of them.
//!
//! It knows no HTTP: a fetch is any future that ends with a page's links and whatever its caller
//! wants of it. That is what makes the engine testable on a virtual clock, without a socket.

pub mod account;
pub mod engine;
pub mod frontier;
pub mod job;
pub mod journal;
pub mod listing;
pub mod record;
pub mod redirect;
pub mod scope;
pub mod sitemap;
#[cfg(test)]
mod tests;
