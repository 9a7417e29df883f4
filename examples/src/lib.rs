//! The crawl demo: a slow site and a crawler for it, both on the mainspring runtime.
#![forbid(unsafe_code)]

pub mod canonical;
pub mod extract;
pub mod output;
pub mod report;
pub mod site;
pub mod text;
pub mod value;
