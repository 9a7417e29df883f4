//! `crawl site`: whole sites, politely, with budgets and a journal to resume from.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use mainspring::future::race;
use mainspring::time::{now, timeout};
use mainspring_http::take_userinfo;
use url::Url;

use super::gather::{Gathered, Plan, gather};
use crate::cli::{Site, seed};
use crate::crawl::account::{Budget, End};
use crate::crawl::frontier::{Bounds, Frontier};
use crate::crawl::journal::{Entry, Journal};
use crate::crawl::scope::Scope;
use crate::crawl::sitemap::{self, Listed};
use crate::credentials::Credentials;
use crate::failure::{Failure, read_input};
use crate::polite::pace::Pace;
use crate::report::table::Table;
use crate::value::{Count, Size, Took};

/// Crawls until nothing is left, a budget is spent or Ctrl-C comes.
///
/// # Errors
/// One sentence: seeds, journal or directory cannot be used, no sitemap of those to begin at can be
/// had, no loop.
pub fn run(args: &Site) -> Result<ExitCode, Failure> {
    let (mut seeds, mut sitemaps) = (args.urls.clone(), args.sitemap.clone());
    let mut credentials = args.asking.credentials();
    seeds.iter_mut().chain(&mut sitemaps).for_each(|url| credentials.meant_for(url));
    if let Some(file) = &args.seeds {
        let mut listed = read_seeds(file)?;
        listed.iter_mut().for_each(|url| credentials.take_from(url));
        seeds.append(&mut listed);
    }
    let mut notes = without_credentials(&seeds, &credentials);
    let (journal, entries) = args.resume.as_deref().map(Journal::open).transpose()?.unzip();
    let mut entries = entries.unwrap_or_default();
    for entry in &mut entries {
        // As a version before this one may have kept them.
        let record = &mut entry.record;
        let urls = entry.leads_to.iter_mut().chain(&mut record.moved_to).chain([&mut record.url]);
        urls.for_each(|url| drop(take_userinfo(url)));
    }
    let gathered =
        gather(&args.asking, credentials, "site", args.concurrency, async |web, stop| {
            let start = now();
            let (mut listed, scope) =
                (Listed::default(), scope(args, &[&*seeds, &*sitemaps].concat()));
            let reading = async {
                for url in &sitemaps {
                    sitemap::read(web, url, args.pages, &scope, &mut listed).await;
                }
            };
            // What has been read counts, also where a stop or the time for the run was the end of it.
            timeout(args.time, race(reading, stop.asked())).await.unwrap_or_default();
            let Listed { mut pages, mut told } = listed;
            pages.iter_mut().for_each(|page| drop(take_userinfo(page)));
            seeds.append(&mut pages);
            if seeds.is_empty() && entries.is_empty() && !told.failures.is_empty() {
                return Err(Failure::Said(told.failures.swap_remove(0)));
            }
            told.notes.append(&mut notes);
            let time = args.time.saturating_sub(now().duration_since(start));
            let budget = Budget { concurrency: args.concurrency, bytes: args.bytes, time };
            Ok(Plan {
                expects_pages: !args.time.is_zero(),
                assets: args.assets,
                journal,
                told,
                earlier: entries.iter().map(|entry| entry.record.clone()).collect(),
                ..Plan::new(frontier(args, seeds, &entries), budget)
            })
        })?;
    gathered.tell();
    let report = report(&gathered);
    std::io::stderr().write_all(report.as_bytes()).unwrap_or_default();
    Ok(gathered.exit_code())
}

/// Which beginnings get no credentials though there are some, for the person who wonders why.
fn without_credentials(seeds: &[Url], credentials: &Credentials) -> Vec<String> {
    let hosts = seeds.iter().filter(|url| credentials.are_kept_from(url));
    let hosts: BTreeSet<&str> = hosts.filter_map(Url::host_str).collect();
    let note = |host: &str| {
        format!("{host} gets none of the credentials; --credentials-for {host} sends them")
    };
    hosts.into_iter().map(note).collect()
}

fn scope(args: &Site, seeds: &[Url]) -> Scope {
    let mut scope = Scope::new(args.scope, seeds);
    scope.ignores_robots = args.ignore_robots;
    scope.narrowed(args.include.clone(), args.exclude.clone())
}

/// What is to be fetched: the seeds and the links of earlier runs, without the pages of earlier
/// runs.
fn frontier(args: &Site, seeds: Vec<Url>, entries: &[Entry]) -> Frontier {
    let pace = Pace {
        per_host: args.per_host,
        pause: args.pause,
        jitter: args.jitter,
        obey_robots: !args.ignore_robots,
    };
    let bounds = Bounds { depth: args.depth, pages: args.pages };
    let mut frontier = Frontier::new(bounds, pace, scope(args, &seeds));
    for entry in entries {
        frontier.restore(&entry.record.url);
    }
    // Where a page has been had: itself, and every address that has led to it.
    for record in entries.iter().map(|entry| &entry.record).filter(|record| record.is_had()) {
        let hops = record.redirects.iter().map(|hop| &hop.url);
        record.moved_to.iter().chain(hops).for_each(|url| frontier.alias(url));
    }
    for url in seeds {
        frontier.seed(url);
    }
    for entry in entries {
        frontier.follow(entry.record.depth, 0, entry.leads_to.clone());
    }
    frontier
}

/// The URLs in a file, one in each line; empty lines and those that begin with `#` say nothing.
fn read_seeds(file: &str) -> Result<Vec<Url>, Failure> {
    let bytes = read_input(file)?;
    // A byte order mark says which Unicode it is; editors on Windows write one.
    let text = mainspring_http::decode_text(&bytes, None);
    let mut seeds = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if !line.is_empty() && !line.starts_with('#') {
            let url = seed(line).map_err(|error| format!("{file}, line {number}: {error}"))?;
            seeds.push(url);
        }
    }
    if seeds.is_empty() {
        return Err(Failure::Said(format!("{file} holds no URL")));
    }
    Ok(seeds)
}

/// The statistics at the end.
fn report(gathered: &Gathered) -> String {
    let Gathered { totals, connections, counts, .. } = gathered;
    let seconds = totals.wall.as_secs_f64();
    let rate = if seconds > 0.0 { totals.pages as f64 / seconds } else { 0.0 };
    let earlier = match gathered.earlier {
        0 => String::new(),
        n => format!("and {} in earlier runs", Count(n as u64)),
    };
    let reused = format!("opened; reused {} times", Count(connections.reused));
    let mut table = Table::new(["", "", ""], 1);
    table.row([&"pages", &Count(totals.pages), &earlier]);
    table.row([&"failures", &Count(totals.failures), &""]);
    table.row([&"bytes", &Size(totals.bytes), &""]);
    table.row([&"wall time", &Took(totals.wall), &format!("{rate:.1} pages/s")]);
    table.row([&"in flight", &Count(totals.most_in_flight), &"the most at once"]);
    table.row([&"connections", &Count(connections.opened), &reused]);
    let records = &gathered.records[gathered.earlier..];
    let had = records.iter().filter(|record| record.error.is_none());
    let mut took: Vec<f64> = had.map(|record| record.took_ms / 1e3).collect();
    took.sort_by(f64::total_cmp);
    let shown = |share| quantile(&took, share).map(|s| Took(Duration::from_secs_f64(s)));
    if let [Some(half), Some(most), Some(all)] = [0.5, 0.95, 1.0].map(shown) {
        table.row([&"a page", &half, &format!("half of them; 95 %: {most}; all: {all}")]);
    }
    let nofollow: usize = records.iter().map(|record| record.nofollow).sum();
    let unasked = "links to hosts without a readable robots.txt";
    let unfollowed = "links not followed as their pages ask; --nofollow ignore does";
    for (count, name, note) in [
        (totals.retries, "tried again", "since their host was busy"),
        (totals.forbidden, "forbidden", "by robots.txt"),
        (totals.led_away, "led away", "redirects to pages known already or out of scope"),
        (counts.unasked as u64, "not asked for", unasked),
        (nofollow as u64, "nofollow", unfollowed),
        (counts.left_out as u64, "left out", "links past the limit of pages"),
        (totals.abandoned, "not fetched", why(totals.end)),
    ] {
        if count > 0 {
            table.row([&name, &Count(count), &note]);
        }
    }
    table.to_string()
}

fn why(end: End) -> &'static str {
    match end {
        End::Nothing => "",
        End::Asked => "since a stop was asked for",
        End::Bytes => "since the bytes were spent",
        End::Time => "since the time was spent",
    }
}

/// The smallest value that is not below this share of all values, which are sorted.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), Some(10.0));
        assert_eq!(quantile(&values, 0.95), Some(19.0));
        assert_eq!(quantile(&[7.0], 0.5), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
