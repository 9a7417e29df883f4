//! The embedded demo site: slow on purpose, so that waiting for it is worth doing well.

pub mod answer;
pub mod host;
pub mod movies;
pub mod pages;
pub mod request;
pub mod server;
