//! How far a run has come: one line that renews itself on a terminal, plain lines in a pipe.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::rc::Rc;
use std::time::Duration;

use mainspring::JoinHandle;

use crate::crawl::account::Watch;
use crate::text::shortened;
use crate::value::{Count, Size, Took};

/// Characters of the bar proper.
const BAR: usize = 12;

/// The longest line on a terminal, in characters: one that wraps could not be renewed.
const LINE: usize = 79;

/// Takes away what stands on a terminal's line.
const CLEAR: &str = "\r\x1b[2K";

/// Where a crawl stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Pages that are over, failed ones included.
    pub over: u64,
    /// Of those, the ones that failed.
    pub failed: u64,
    /// Pages being fetched now.
    pub in_flight: u64,
    /// Pages known of and not yet begun.
    pub queued: u64,
    /// Bytes of bodies received.
    pub bytes: u64,
}

impl Standing {
    fn known(&self) -> u64 {
        self.over + self.in_flight + self.queued
    }

    /// One line on it, with a bar if it is for a terminal.
    #[must_use]
    pub fn line(&self, elapsed: Duration, with_bar: bool) -> String {
        let known = self.known();
        let bar = if with_bar {
            let full = (BAR as u64 * self.over).checked_div(known).unwrap_or(0) as usize;
            format!("{}{} ", "█".repeat(full), "░".repeat(BAR - full))
        } else {
            String::new()
        };
        let per_second = self.over as f64 / elapsed.as_secs_f64().max(1e-9);
        let rate = if self.over > 0 { format!(", {per_second:.0}/s") } else { String::new() };
        // How long the queue will last at the pace so far. What is in flight tells nothing yet, and
        // links that are yet to be found will take longer.
        let queue = match self.queued {
            0 => String::new(),
            n if self.over == 0 => format!(", {} queued", Count(n)),
            n => {
                let left = Duration::from_secs_f64(n as f64 / per_second);
                format!(", {} queued for {}", Count(n), brief(left))
            }
        };
        // A line on a terminal must not wrap: the bar takes the place of the bytes.
        let bytes = if with_bar { String::new() } else { format!(", {}", Size(self.bytes)) };
        let failed = match self.failed {
            0 => String::new(),
            n => format!(", {} failed", Count(n)),
        };
        format!(
            "{bar}{} of {} pages{failed}{rate}, {} in flight{queue}{bytes}, {}",
            Count(self.over),
            Count(known),
            Count(self.in_flight),
            brief(elapsed),
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

/// Writes progress to stderr, so that stdout holds results alone.
#[derive(Debug)]
pub struct Progress {
    on_terminal: bool,
    /// Results are printed to the same terminal.
    among_results: bool,
    last: Option<Standing>,
    /// What stands on the terminal, with what renews the line.
    shown: String,
}

impl Progress {
    /// Progress for this process's stderr.
    #[must_use]
    pub fn new() -> Progress {
        let on_terminal = io::stderr().is_terminal();
        let among_results = on_terminal && io::stdout().is_terminal();
        Progress { on_terminal, among_results, last: None, shown: String::new() }
    }

    /// How long to wait between two lines: a terminal can be renewed ten times a second, a log
    /// should not grow faster than a line a second.
    #[must_use]
    pub fn period(&self) -> Duration {
        if self.on_terminal { Duration::from_millis(100) } else { Duration::from_secs(1) }
    }

    /// Shows where things stand; in a pipe, only if that has changed.
    pub fn show(&mut self, standing: Standing, elapsed: Duration) {
        if !self.on_terminal && self.last == Some(standing) {
            return;
        }
        self.last = Some(standing);
        let line = standing.line(elapsed, self.on_terminal);
        if self.on_terminal {
            self.shown = format!("{CLEAR}{}", shortened(&line, LINE));
            say(&self.shown);
        } else {
            say(&format!("{line}\n"));
        }
    }

    /// Has results printed: on a terminal, above the line.
    fn print(&self, results: impl FnOnce()) {
        let line_is_in_the_way = self.among_results && self.last.is_some();
        if line_is_in_the_way {
            say(CLEAR);
        }
        results();
        if line_is_in_the_way {
            say(&self.shown);
        }
    }

    /// Takes the line away, so that what is printed next starts at the margin.
    pub fn clear(&mut self) {
        if self.on_terminal && self.last.take().is_some() {
            say(CLEAR);
        }
    }
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new()
    }
}

/// Shows a crawl's progress from a task of its own.
#[must_use]
pub fn show(watch: Watch) -> Shown {
    let progress = Rc::new(RefCell::new(Progress::new()));
    let shown = progress.clone();
    let task = mainspring::spawn_named("progress", async move {
        let start = mainspring::time::now();
        let mut ticks = mainspring::time::interval(progress.borrow().period());
        // The first tick comes at once, when there is nothing to tell.
        ticks.tick().await;
        loop {
            let now = ticks.tick().await;
            progress.borrow_mut().show(watch.standing(), now.duration_since(start));
        }
    });
    Shown { progress: shown, task }
}

/// Progress that is being shown: see [`show`].
#[derive(Debug)]
pub struct Shown {
    progress: Rc<RefCell<Progress>>,
    task: JoinHandle<()>,
}

impl Shown {
    /// Has results printed: where they share a terminal with the progress, above it.
    pub fn print(&self, results: impl FnOnce()) {
        self.progress.borrow().print(results);
    }

    /// Ends the task and takes the line away.
    pub async fn end(self) {
        self.task.cancel();
        match self.task.await {
            Ok(()) => {}
            Err(_cancelled) => {}
        }
        self.progress.borrow_mut().clear();
    }
}

/// Progress that nobody reads must not end the run: a closed stderr is ignored.
fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    if stderr.write_all(text.as_bytes()).is_ok() {
        stderr.flush().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_things_stand() {
        let standing = Standing { over: 57, failed: 0, in_flight: 40, queued: 8, bytes: 90_500 };
        let elapsed = Duration::from_secs(2);
        assert_eq!(
            standing.line(elapsed, false),
            "57 of 105 pages, 28/s, 40 in flight, 8 queued for 0.3 s, 90.5 kB, 2.0 s"
        );
        assert_eq!(
            Standing { failed: 3, queued: 0, ..standing }.line(elapsed, true),
            "███████░░░░░ 57 of 97 pages, 3 failed, 28/s, 40 in flight, 2.0 s"
        );
    }

    #[test]
    fn nothing_known_yet_is_no_division_by_zero() {
        assert_eq!(
            Standing::default().line(Duration::ZERO, true),
            "░░░░░░░░░░░░ 0 of 0 pages, 0 in flight, 0.0 s"
        );
    }
}
