//! How far a run has come: one line that renews itself on a terminal, plain lines in a pipe.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mainspring::JoinHandle;
use mainspring::time::{interval, now};

use crate::crawl::account::{Standing, Totals, Watch};
use crate::value::{Count, Size, Took};

impl Standing {
    fn known(&self) -> u64 {
        self.totals.pages + self.in_flight + self.queued
    }

    /// One line on it; `with_bytes` where there is room for them.
    pub fn line(&self, elapsed: Duration, with_bytes: bool) -> String {
        let Totals { pages, failures, bytes, .. } = self.totals;
        let per_second = pages as f64 / elapsed.as_secs_f64().max(1e-9);
        let rate = if pages > 0 { format!(", {per_second:.0}/s") } else { String::new() };
        // How long the queue will last at the pace so far. What is in flight tells nothing yet, and
        // links that are yet to be found will take longer.
        let queue = match self.queued {
            0 => String::new(),
            n if pages == 0 => format!(", {} queued", Count(n)),
            n => {
                let left = Duration::from_secs_f64(n as f64 / per_second);
                format!(", {} queued for {}", Count(n), brief(left))
            }
        };
        let bytes = if with_bytes { format!(", {}", Size(bytes)) } else { String::new() };
        let failed = match failures {
            0 => String::new(),
            n => format!(", {} failed", Count(n)),
        };
        let [over, known, in_flight] = [pages, self.known(), self.in_flight].map(Count);
        let elapsed = brief(elapsed);
        format!(
            "{over} of {known} pages{failed}{rate}, {in_flight} in flight{queue}{bytes}, {elapsed}"
        )
    }
}

/// A duration for a line that is gone a moment later.
fn brief(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 9.95 => format!("{seconds:.1} s"),
        seconds if seconds < 99.5 => format!("{seconds:.0} s"),
        _ => Took(duration).to_string(),
    }
}

/// Shows a crawl's progress from a task of its own, on stderr, so that stdout holds results alone: on
/// a terminal as a bar that renews itself ten times a second, in a pipe as a line a second, if anything
/// has changed.
pub fn show(watch: Watch) -> Shown {
    let bar = io::stderr().is_terminal().then(bar);
    let task = mainspring::spawn_named("progress", renew(watch, bar.clone()));
    Shown { bar, among_results: io::stdout().is_terminal(), task }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:12} {wide_msg}");
    let style = style.expect("a template written here").progress_chars("█░");
    ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
}

async fn renew(watch: Watch, bar: Option<ProgressBar>) {
    let start = now();
    let mut last = None;
    let period = Duration::from_millis(if bar.is_some() { 100 } else { 1_000 });
    let mut ticks = interval(period);
    // The first tick comes at once, when there is nothing to tell.
    ticks.tick().await;
    loop {
        let elapsed = ticks.tick().await.duration_since(start);
        let standing = watch.get();
        match &bar {
            Some(bar) => {
                bar.set_length(standing.known());
                bar.set_position(standing.totals.pages);
                bar.set_message(standing.line(elapsed, false));
            }
            None if last == Some(standing) => {}
            // Progress without a reader must not end the run: a closed stderr is ignored.
            None => writeln!(io::stderr(), "{}", standing.line(elapsed, true)).unwrap_or_default(),
        }
        last = Some(standing);
    }
}

/// Progress that is being shown: see [`show`].
pub struct Shown {
    bar: Option<ProgressBar>,
    /// Results are printed to a terminal.
    among_results: bool,
    task: JoinHandle<()>,
}

impl Shown {
    /// Has results printed: where they share a terminal with the progress, above it.
    pub fn print(&self, results: impl FnOnce()) {
        match &self.bar {
            Some(bar) if self.among_results => bar.suspend(results),
            _ => results(),
        }
    }

    /// Ends the task and takes the bar away, so that what is printed next starts at the margin.
    pub async fn end(self) {
        self.task.cancel();
        self.task.await.unwrap_or_default();
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_things_stand() {
        let totals = Totals { pages: 57, bytes: 90_500, ..Totals::default() };
        let standing = Standing { totals, in_flight: 40, queued: 8 };
        let elapsed = Duration::from_secs(2);
        assert_eq!(
            standing.line(elapsed, true),
            "57 of 105 pages, 28/s, 40 in flight, 8 queued for 0.3 s, 90.5 kB, 2.0 s"
        );
        assert_eq!(
            Standing { totals: Totals { failures: 3, ..totals }, queued: 0, ..standing }
                .line(elapsed, false),
            "57 of 97 pages, 3 failed, 28/s, 40 in flight, 2.0 s"
        );
    }

    #[test]
    fn nothing_known_yet_is_no_division_by_zero() {
        assert_eq!(
            Standing::default().line(Duration::ZERO, false),
            "0 of 0 pages, 0 in flight, 0.0 s"
        );
    }
}
