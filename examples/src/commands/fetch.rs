//! `crawl fetch`: pages, their links if asked for, and what a selector finds in them.

use std::io::Write as _;
use std::process::ExitCode;

use url::Url;

use super::gather::{Plan, gather};
use crate::cli::Fetch;
use crate::crawl::account::Budget;
use crate::crawl::frontier::{Bounds, Frontier};
use crate::crawl::scope::Scope;
use crate::failure::Failure;
use crate::machine::raise_descriptor_limit;
use crate::output::OutDir;
use crate::polite::pace::Pace;
use crate::stop::Stop;
use crate::value::{Count, Size, Took};

/// Fetches what was asked for and prints it in the order in which it was found.
///
/// # Errors
/// One sentence: no loop, no place to write to, or nowhere to print.
pub fn run(args: &Fetch) -> Result<ExitCode, Failure> {
    raise_descriptor_limit()?;
    let out = args.asking.out.as_deref().map(OutDir::open).transpose()?;
    let stop = Stop::new();
    stop.on_ctrl_c()?;
    let mut urls: Vec<Url> = args.urls.iter().flat_map(|seeds| seeds.0.clone()).collect();
    let mut credentials = args.asking.credentials();
    urls.iter_mut().for_each(|url| credentials.meant_for(url));
    let concurrency = args.concurrency;
    let gathered = gather(&args.asking, credentials, "fetch", concurrency, &stop, async |_| {
        let scope = if args.any_host { Scope::any() } else { Scope::same_hosts(&urls) };
        let bounds = Bounds { depth: args.depth, pages: args.pages.max(urls.len()) };
        // Pages that were named one by one were meant; links that lead further are for crawlers.
        let pace = Pace { obey_robots: args.depth > 0 && !args.ignore_robots, ..Pace::unlimited() };
        let mut frontier = Frontier::new(bounds, pace, scope.widened_by("--any-host"));
        urls.into_iter().for_each(|url| frontier.seed(url));
        Ok(Plan {
            frontier,
            budget: Budget::unlimited(args.concurrency),
            assets: false,
            out,
            journal: None,
            earlier: Vec::new(),
            failures: Vec::new(),
            cuts: Vec::new(),
        })
    })?;
    gathered.tell();
    let totals = &gathered.totals;
    let mut summary = format!(
        "{} {}, {} failed, {}, {}",
        Count(totals.pages),
        if totals.pages == 1 { "page" } else { "pages" },
        Count(totals.failures),
        Size(totals.bytes),
        Took(totals.wall),
    );
    for (count, what) in [
        (totals.abandoned, "known of and not fetched"),
        (gathered.counts.left_out as u64, "links past the limit of pages"),
        (totals.forbidden, "forbidden by robots.txt"),
        (totals.led_away, "redirects to pages known already or out of scope"),
        (gathered.counts.unasked as u64, "links to hosts without a readable robots.txt"),
    ] {
        if count > 0 {
            summary.push_str(&format!(", {} {what}", Count(count)));
        }
    }
    writeln!(std::io::stderr(), "{summary}").unwrap_or_default();
    Ok(gathered.exit_code(&stop))
}
