//! The arguments of the commands that crawl real sites: `crawl fetch` and `crawl site`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use regex_lite::Regex;
use scraper::Selector;
use url::Url;

use super::sending::Sending;
use super::values::{Seeds, at_least_one, regex, seed, seeds, selector, share, whole};
use super::workers::Sharing;
use crate::crawl::scope::Reach;
use crate::credentials::{Audience, Credentials};
use crate::links::Nofollow;
use crate::trace::asks_live;
use crate::value::{bytes, duration};

/// `crawl fetch`.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = include_str!("help/fetch.txt"))]
pub struct Fetch {
    /// What to fetch; [1-100] stands for each of these numbers
    #[arg(value_name = "URL", required = true, value_parser = seeds)]
    pub urls: Vec<Seeds>,
    /// How many links away from the beginning to go
    #[arg(long, value_name = "N", default_value = "0", value_parser = whole::<0, u32>)]
    pub depth: u32,
    /// Follow links and redirects to other hosts too
    #[arg(long)]
    pub any_host: bool,
    /// How many pages to fetch at most [default: 1000, or as many as are named]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub pages: Option<usize>,
    /// How many pages to fetch at once
    #[arg(long, value_name = "N", default_value = "10", value_parser = at_least_one)]
    pub concurrency: usize,
    /// Follow links to what robots.txt asks crawlers to leave alone
    #[arg(long)]
    pub ignore_robots: bool,
    /// How to ask for pages, and what to do with them.
    #[command(flatten)]
    pub asking: Asking,
}

/// `crawl site`.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = include_str!("help/site.txt"))]
pub struct Site {
    /// Where to begin
    #[arg(value_name = "URL", value_parser = seed)]
    #[arg(required_unless_present_any = ["seeds", "sitemap"])]
    pub urls: Vec<Url>,
    /// Begin at the URLs in this file, one in each line; - is standard input
    #[arg(long, value_name = "FILE")]
    pub seeds: Option<String>,
    /// Begin at the pages that this sitemap lists; may be given several times
    #[arg(long, value_name = "URL", value_parser = seed)]
    pub sitemap: Vec<Url>,
    /// Which links and redirects to follow: host, subdomains (of the beginning's hosts) or any
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Reach::Host)]
    #[arg(hide_possible_values = true)]
    pub scope: Reach,
    /// Follow only links that this matches
    #[arg(long, value_name = "REGEX", value_parser = regex)]
    pub include: Option<Regex>,
    /// Follow no links that this matches
    #[arg(long, value_name = "REGEX", value_parser = regex)]
    pub exclude: Option<Regex>,
    /// Fetch images, scripts and style sheets too
    #[arg(long)]
    pub assets: bool,
    /// How many links away from the beginning to go
    #[arg(long, value_name = "N", default_value = "20", value_parser = whole::<0, u32>)]
    pub depth: u32,
    /// How many pages to fetch at most
    #[arg(long, value_name = "N", default_value = "10000", value_parser = at_least_one)]
    pub pages: usize,
    /// Begin no more pages once this much has come
    #[arg(long, value_name = "BYTES", default_value = "1GB", value_parser = bytes)]
    pub bytes: u64,
    /// Begin no more pages after this time
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub time: Duration,
    /// How many pages to fetch at once, of all hosts together
    #[arg(long, value_name = "N", default_value = "50", value_parser = at_least_one)]
    pub concurrency: usize,
    /// How many pages to fetch at once, of each host
    #[arg(long, value_name = "N", default_value = "4", value_parser = at_least_one)]
    pub per_host: usize,
    /// How long to wait between two pages of one host; its robots.txt may ask for more
    #[arg(long, value_name = "TIME", default_value = "250ms", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub pause: Duration,
    /// By how much to vary pauses, as a share of them
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = share)]
    pub jitter: f64,
    /// Fetch what robots.txt asks crawlers to leave alone
    #[arg(long)]
    pub ignore_robots: bool,
    /// Keep a journal in this file, and go on from what it tells of earlier runs
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// How to ask for pages, and what to do with them.
    #[command(flatten)]
    pub asking: Asking,
}

/// How to ask for pages, and what to do with them.
#[derive(Clone, Args)]
#[command(next_help_heading = "Asking and keeping")]
pub struct Asking {
    /// Print what this CSS selector finds, instead of a line per page
    #[arg(long, value_name = "CSS", value_parser = selector)]
    pub select: Option<Selector>,
    /// Print this attribute of what was selected, instead of its text
    #[arg(long, value_name = "NAME", requires = "select")]
    pub attr: Option<String>,
    /// Which nofollow to obey: pages (robots meta and X-Robots-Tag), links (rel too) or ignore
    #[arg(long, value_name = "WHICH", value_enum, default_value_t, hide_possible_values = true)]
    pub nofollow: Nofollow,
    /// Write pages.jsonl and pages.csv, with timings and sizes, into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Keep the pages themselves there too
    #[arg(long, requires = "out")]
    pub bodies: bool,
    /// Check that the pages are JSON and keep each there, as {last part of its path}.json
    #[arg(long, requires = "out", conflicts_with = "bodies")]
    pub json: bool,
    /// Write the page of the run, which shows every step of the loop, to this file (.json: its data)
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Watch the loop at work: hold it, step it, ask it why; without a terminal, a line a second
    #[arg(long)]
    pub live: bool,
    /// What to send with a request, and through what.
    #[command(flatten)]
    pub sending: Sending,
    /// Send credentials to this host too: HOST, HOST:PORT or https://HOST; may be given several times
    #[arg(long, value_name = "HOST", value_parser = Audience::parse)]
    pub credentials_for: Vec<Audience>,
    /// Keep the cookies that sites set, and send them back, until the end of the run
    #[arg(long)]
    pub cookies: bool,
    /// DANGEROUS: take any certificate for good
    #[arg(long)]
    pub danger_accept_invalid_certs: bool,
    /// Give up on a page after this time; 0 never
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub timeout: Duration,
    /// Read no page that is larger than this
    #[arg(long, value_name = "BYTES", default_value = "10MiB", value_parser = bytes)]
    pub max_size: u64,
    /// Which workers fetch the pages, if any do.
    #[command(flatten)]
    pub sharing: Sharing,
}

impl Asking {
    /// Whether the loop is to be watched at work: the environment may ask for it, too.
    pub fn watches(&self) -> bool {
        self.live || asks_live()
    }

    /// The header fields to send; which origins the credentials among them are for is still to be
    /// told.
    pub fn credentials(&self) -> Credentials {
        let Sending { header, user, .. } = &self.sending;
        Credentials::new(header, user.as_ref(), &self.credentials_for)
    }
}
