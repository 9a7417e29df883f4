//! `crawl site`: whole sites, with manners, budgets and a journal to resume from.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use mainspring::future::race;
use mainspring::time::{now, timeout};
use url::Url;

use super::gather::{Gathered, Plan, gather};
use crate::cli::{Scope, Site, seed};
use crate::crawl::account::{Budget, End};
use crate::crawl::frontier::{Bounds, Frontier};
use crate::crawl::journal::{Entry, Journal};
use crate::crawl::{scope, sitemap};
use crate::failure::Failure;
use crate::machine::raise_descriptor_limit;
use crate::output::OutDir;
use crate::polite::pace::Pace;
use crate::report::table::Table;
use crate::stop::Stop;
use crate::value::{Count, Size, Took};
use crate::web::Web;

/// Crawls until nothing is left, a budget is spent or Ctrl-C comes.
///
/// # Errors
/// One sentence: seeds, journal or directory cannot be used, a sitemap cannot be had, no loop.
pub fn run(args: &Site) -> Result<ExitCode, Failure> {
    raise_descriptor_limit()?;
    let out = args.asking.out.as_deref().map(OutDir::open).transpose()?;
    let mut seeds = args.urls.clone();
    if let Some(file) = &args.seeds {
        seeds.extend(read_seeds(file)?);
    }
    let (journal, entries) = match &args.resume {
        Some(path) => {
            let (journal, entries) = Journal::open(path)?;
            (Some(journal), entries)
        }
        None => (None, Vec::new()),
    };
    if let Some(out) = &out {
        put_in_place(out, &entries)?;
    }
    let stop = Stop::new();
    stop.on_ctrl_c()?;
    let gathered = gather(&args.asking, "site", args.concurrency, &stop, async |web| {
        let start = now();
        if !args.sitemap.is_empty() {
            seeds.extend(listed(args, web, &stop).await?);
        }
        let time = args.time.saturating_sub(now().duration_since(start));
        Ok(Plan {
            frontier: frontier(args, seeds, &entries),
            budget: Budget { concurrency: args.concurrency, bytes: args.bytes, time },
            assets: args.assets,
            out,
            journal,
            earlier: entries.into_iter().map(|entry| entry.record).collect(),
        })
    })?;
    gathered.tell_failures();
    let report = report(&gathered);
    std::io::stderr().write_all(report.as_bytes()).unwrap_or_default();
    Ok(gathered.exit_code(&stop))
}

/// The pages that the sitemaps list, or as many of them as were read when a stop was asked for or
/// the time for the run was over.
async fn listed(args: &Site, web: &Web, stop: &Stop) -> Result<Vec<Url>, Failure> {
    let mut pages = Vec::new();
    let reading = async {
        for url in &args.sitemap {
            sitemap::read(web, url, args.pages, &mut pages).await?;
        }
        Ok::<_, Failure>(())
    };
    let interrupted = async {
        stop.asked().await;
        Ok(())
    };
    timeout(args.time, race(reading, interrupted)).await.unwrap_or(Ok(()))?;
    Ok(pages)
}

/// What is to be fetched: the seeds and the links of earlier runs, without the pages of earlier
/// runs.
fn frontier(args: &Site, seeds: Vec<Url>, entries: &[Entry]) -> Frontier {
    let in_scope: Box<dyn Fn(&Url) -> bool> = match args.scope {
        Scope::Host => Box::new(scope::same_hosts(&seeds)),
        Scope::Subdomains => Box::new(scope::subdomains(&seeds)),
        Scope::Any => Box::new(|_| true),
    };
    let in_scope = scope::narrowed(in_scope, args.include.clone(), args.exclude.clone());
    let pace = Pace {
        per_host: args.per_host,
        pause: args.pause,
        jitter: args.jitter,
        obey_robots: !args.ignore_robots,
    };
    let bounds = Bounds { depth: args.depth, pages: args.pages };
    let mut frontier = Frontier::new(bounds, pace, in_scope);
    for entry in entries {
        frontier.restore(&entry.record.url);
    }
    for url in entries.iter().filter_map(|entry| entry.record.moved_to.as_ref()) {
        frontier.alias(url);
    }
    for url in seeds {
        frontier.seed(url);
    }
    for entry in entries {
        frontier.follow(entry.record.depth, 0, entry.leads_to.clone());
    }
    frontier
}

/// Finishes what a kill may have left half done: bodies that the journal tells of and that are not
/// in their place yet.
fn put_in_place(out: &OutDir, entries: &[Entry]) -> Result<(), Failure> {
    for file in entries.iter().filter_map(|entry| entry.record.file.as_deref()) {
        out.reveal(file).map_err(|error| format!("cannot write {file}: {error}"))?;
    }
    Ok(())
}

/// The URLs in a file, one in each line; empty lines and those that begin with `#` say nothing.
fn read_seeds(file: &Path) -> Result<Vec<Url>, Failure> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let at = file.display();
    let text = text.map_err(|error| format!("cannot read {at}: {error}"))?;
    let mut seeds = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if !line.is_empty() && !line.starts_with('#') {
            let url = seed(line).map_err(|error| format!("{at}, line {number}: {error}"))?;
            seeds.push(url);
        }
    }
    if seeds.is_empty() {
        return Err(Failure::Said(format!("{at} holds no URL")));
    }
    Ok(seeds)
}

/// The statistics at the end.
fn report(gathered: &Gathered) -> String {
    let Gathered { totals, connections, .. } = gathered;
    let seconds = totals.wall.as_secs_f64();
    let mut table = Table::new(["", "", ""], 1);
    let mut row = |name: &str, value: String, note: String| {
        table.row([name.to_owned(), value, note]);
    };
    let earlier = match gathered.earlier {
        0 => String::new(),
        n => format!("and {} in earlier runs", Count(n as u64)),
    };
    row("pages", Count(totals.pages).to_string(), earlier);
    row("failures", Count(totals.failures).to_string(), String::new());
    row("bytes", Size(totals.bytes).to_string(), String::new());
    let rate = if seconds > 0.0 { totals.pages as f64 / seconds } else { 0.0 };
    row("wall time", Took(totals.wall).to_string(), format!("{rate:.1} pages/s"));
    row("in flight", Count(totals.most_in_flight).to_string(), "the most at once".into());
    row(
        "connections",
        Count(connections.opened).to_string(),
        format!("opened; reused {} times", Count(connections.reused)),
    );
    let mut took: Vec<f64> = gathered.records[gathered.earlier..]
        .iter()
        .filter(|record| record.error.is_none())
        .map(|record| record.took_ms / 1e3)
        .collect();
    took.sort_by(f64::total_cmp);
    if let (Some(median), Some(most)) = (quantile(&took, 0.5), took.last()) {
        let most_but_few = quantile(&took, 0.95).unwrap_or(*most);
        let shown = |seconds| Took(Duration::from_secs_f64(seconds));
        row(
            "a page",
            shown(median).to_string(),
            format!("half of them; 95 %: {}; all: {}", shown(most_but_few), shown(*most)),
        );
    }
    for (count, name, note) in [
        (totals.retries, "tried again", "since their host was busy"),
        (totals.forbidden, "forbidden", "by robots.txt"),
        (gathered.left_out as u64, "left out", "links past the limit of pages"),
        (totals.abandoned, "not fetched", why(totals.end)),
    ] {
        if count > 0 {
            row(name, Count(count).to_string(), note.to_owned());
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
