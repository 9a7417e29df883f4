//! `crawl fetch`: pages, their links if asked for, and what a selector finds in them.

use std::io::Write as _;
use std::process::ExitCode;

use url::Url;

use super::gather::{Plan, gather};
use crate::cli::Fetch;
use crate::crawl::account::Budget;
use crate::crawl::frontier::{Bounds, Frontier};
use crate::crawl::scope::{Reach, Scope};
use crate::failure::Failure;
use crate::polite::pace::Pace;
use crate::value::{Count, Size, Took};

/// Fetches what was asked for and prints it in the order in which it was found.
///
/// # Errors
/// One sentence: no loop, no place to write to, or nowhere to print.
pub fn run(args: &Fetch) -> Result<ExitCode, Failure> {
    let mut urls: Vec<Url> = args.urls.iter().flat_map(|seeds| seeds.0.clone()).collect();
    let mut credentials = args.asking.credentials();
    urls.iter_mut().for_each(|url| credentials.meant_for(url));
    let gathered = gather(&args.asking, credentials, "fetch", args.concurrency, async |_, _| {
        let reach = if args.any_host { Reach::Any } else { Reach::Host };
        let pages = args.pages.unwrap_or(urls.len().max(1000));
        let bounds = Bounds { depth: args.depth, pages };
        // Pages that were named one by one were meant; links that lead further are for crawlers.
        let pace = Pace { obey_robots: args.depth > 0 && !args.ignore_robots, ..Pace::unlimited() };
        let mut frontier =
            Frontier::new(bounds, pace, Scope::new(reach, &urls).widened_by("--any-host"));
        urls.into_iter().for_each(|url| frontier.seed(url));
        Ok(Plan::new(frontier, Budget::unlimited(args.concurrency)))
    })?;
    gathered.tell();
    let (totals, counts) = (&gathered.totals, gathered.counts);
    let pages = if totals.pages == 1 { "page" } else { "pages" };
    let [fetched, failed] = [totals.pages, totals.failures].map(Count);
    let (bytes, wall) = (Size(totals.bytes), Took(totals.wall));
    let mut summary = format!("{fetched} {pages}, {failed} failed, {bytes}, {wall}");
    for (count, what) in [
        (totals.abandoned, "known of and not fetched"),
        (counts.left_out as u64, "links past the limit of pages"),
        (totals.forbidden, "forbidden by robots.txt"),
        (totals.led_away, "redirects to pages known already or out of scope"),
        (counts.unasked as u64, "links to hosts without a readable robots.txt"),
    ] {
        if count > 0 {
            summary += &format!(", {} {what}", Count(count));
        }
    }
    writeln!(std::io::stderr(), "{summary}").unwrap_or_default();
    Ok(gathered.exit_code())
}
