//! `crawl sweep`: more and more pages at once, each a delay away. The time should stay the same.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mainspring::{spawn_named, time::sleep};

use super::compare::{all_at_once, urls};
use crate::cli::Sweep;
use crate::failure::{Failure, print, success_if};
use crate::machine::{raise_descriptor_limit, resident};
use crate::report::bars::bar;
use crate::report::table::Table;
use crate::site::host::{Host, room};
use crate::site::server::Site;
use crate::trace;
use crate::value::{Count, Size, Took};

/// One step of the sweep, measured.
struct Step {
    at_once: usize,
    took: Duration,
    failures: usize,
    /// Resident memory per fetch while all of them were in flight.
    memory: Option<u64>,
}

/// Runs the sweep and prints a table with bars.
///
/// # Errors
/// One sentence: no site could be started, or no loop.
pub fn run(args: &Sweep) -> Result<ExitCode, Failure> {
    let limit = raise_descriptor_limit()?;
    let room = room(limit);
    let mut steps: Vec<usize> = args.at.iter().map(|at| (*at).min(room)).collect();
    steps.dedup();
    let most = steps.iter().copied().max().unwrap_or(1);
    let site = Site { count: u32::try_from(most).unwrap_or(u32::MAX), delay: args.delay };
    let site = Host::start(site, most, limit)?;
    let base = resident();
    let mut measured = Vec::new();
    for at_once in steps {
        let step = measure(&site, at_once, args, base)?;
        let (took, failures) = (Took(step.took), step.failures);
        writeln!(io::stderr(), "{} at once: {took}, {failures} failed", Count(at_once as u64))
            .unwrap_or_default();
        measured.push(step);
    }
    print(&report(args, &site, limit, &measured))?;
    Ok(success_if(measured.iter().all(|step| step.failures == 0)))
}

/// Fetches `at_once` different pages, all of them at once.
fn measure(site: &Host, at_once: usize, args: &Sweep, base: Option<u64>) -> Result<Step, Failure> {
    let (site, delay) = (site.address(), args.delay);
    trace::run("crawl", async {
        // By then all requests are on their way and no answer has come: the moment to weigh them.
        let weighing = spawn_named("weigh", async move {
            sleep(delay * 4 / 5).await;
            resident()
        });
        let start = Instant::now();
        let failures = all_at_once(urls(site, at_once).collect()).await;
        let took = start.elapsed();
        let memory = match (weighing.await, base) {
            (Ok(Some(weight)), Some(base)) => Some(weight.saturating_sub(base) / at_once as u64),
            _ => None,
        };
        Ok(Step { at_once, took, failures, memory })
    })?
}

fn report(args: &Sweep, site: &Host, limit: u64, steps: &[Step]) -> String {
    let delay = args.delay;
    let longest = steps.iter().map(|step| step.took).max().unwrap_or_default().as_secs_f64();
    let head = ["at once", "time", "over delay", "pages/s", "failed", "one by one", "memory", ""];
    let mut table = Table::new(head, 0);
    for step in steps {
        let seconds = step.took.as_secs_f64();
        let one_by_one = delay.saturating_mul(u32::try_from(step.at_once).unwrap_or(u32::MAX));
        let memory = step.memory.map(|bytes| Size(bytes).to_string()).unwrap_or_default();
        table.row([
            &Count(step.at_once as u64),
            &Took(step.took),
            &Took(step.took.saturating_sub(delay)),
            &Count((step.at_once as f64 / seconds) as u64),
            &Count(step.failures as u64),
            &Took(one_by_one),
            &memory,
            &bar(seconds, longest),
        ]);
    }
    let (where_it_runs, weighed) = match site.is_process() {
        false => ("a thread of this process", "fetch, the site's side included"),
        true => ("a process of its own", "fetch, the crawler's side alone"),
    };
    let delay = Took(delay);
    let mut report = format!(
        "  {delay} before each answer; the site runs in {where_it_runs}\n\n{table}\n  memory: what \
         this process grew by (resident), per {weighed},\n  while all were in flight; small steps \
         share too few fetches to tell\n"
    );
    let (wanted, room) = (args.at.iter().copied().max().unwrap_or(1), room(limit));
    if wanted > room {
        let (wanted, limit) = (Count(wanted as u64), Count(limit));
        report += &format!(
            "  {wanted} at once were asked for; this machine allows a process {limit} descriptors \
             (ulimit -Hn)\n"
        );
    }
    report
}
