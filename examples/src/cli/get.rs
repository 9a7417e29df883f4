//! The arguments of `crawl get`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::Method;
use url::Url;

use super::sending::Sending;
use super::values::{limit, seed};

/// `crawl get`.
#[derive(Args)]
#[command(after_help = include_str!("help/get.txt"))]
pub struct Get {
    /// What to ask for
    #[arg(value_name = "URL", value_parser = seed)]
    pub url: Url,
    /// Print the head of the answer too
    #[arg(short, long)]
    pub include: bool,
    /// Ask for the head alone
    #[arg(short = 'I', long)]
    pub head: bool,
    /// Use this method
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub request: Option<Method>,
    /// Send this as the body, and POST; @FILE for a file's content, @- for standard input
    #[arg(short, long, value_name = "DATA")]
    pub data: Vec<String>,
    /// What to send with a request, and through what.
    #[command(flatten)]
    pub sending: Sending,
    /// Ask for a compressed answer and unpack it; without this, the body is kept as it is sent
    #[arg(long)]
    pub compressed: bool,
    /// Write the body to this file, which appears once it is whole; - is standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Follow redirects, up to 50
    #[arg(short = 'L', long)]
    pub location: bool,
    /// Fail on a status from 400 on
    #[arg(short, long)]
    pub fail: bool,
    /// DANGEROUS: take any certificate for good
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// Show the request, the head of the answer and how long each part took
    #[arg(short, long)]
    pub verbose: bool,
    /// Print this at the end, with %{name} filled in
    #[arg(short, long, value_name = "FORMAT")]
    pub write_out: Option<String>,
    /// Give up after this time: seconds, or with a unit; 0 never
    #[arg(short = 'm', long, value_name = "TIME", default_value = "5m", value_parser = limit)]
    #[arg(allow_hyphen_values = true)]
    pub timeout: Duration,
}
