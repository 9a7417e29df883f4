//! The command line of `crawl`: what it takes, what it explains, how it complains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

mod complaint;
mod gathering;
mod get;
mod proxies;
mod sending;
mod values;
mod workers;

use crate::value::duration;
pub use complaint::complaint;
pub use gathering::{Asking, Fetch, Site};
pub use get::Get;
pub use values::{Seeds, seed};
use values::{at_least_one, whole};
pub use workers::{Redis, Send, Sharing, Worker};

/// Crawls a slow site on one thread, and shows what that takes
#[derive(Parser)]
#[command(name = "crawl", version, after_help = include_str!("help/crawl.txt"))]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[command(allow_negative_numbers = true)]
pub struct Cli {
    /// What to do; nothing means the demo.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How the demo is to run.
    #[command(flatten)]
    pub demo: Demo,
}

/// What `crawl` can do besides the demo.
#[derive(Subcommand)]
pub enum Command {
    /// Run the slow site alone, until Ctrl-C
    Serve(Serve),
    /// Fetch the same pages in five ways and show why some of them win
    Compare(Compare),
    /// Fetch more and more pages at once and show what each step costs
    Sweep(Sweep),
    /// Fetch pages, follow their links if asked to, select from them
    Fetch(Box<Fetch>),
    /// Crawl whole sites politely: robots.txt, pauses, budgets, a journal to resume from
    Site(Box<Site>),
    /// Send one request and print what comes, as with curl
    Get(Box<Get>),
    /// Make a page of a trace that was saved as JSON, or of up to three beside each other
    Page(Page),
    /// Fetch for others: tasks of Celery's, with Redis between
    Worker(Box<Worker>),
    /// Have workers fetch
    Send(Box<Send>),
}

/// The demo: crawls the embedded site from its front page to the last movie.
#[derive(Args)]
pub struct Demo {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// How many pages to fetch at once
    #[arg(long, value_name = "N", default_value = "100", value_parser = at_least_one)]
    pub concurrency: usize,
    /// Write movies.jsonl, movies.csv and {id}.json for each movie into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print each task's changes of state as they happen
    #[arg(long)]
    pub states: bool,
    /// Write the page of the run here (.json: its data) [default: mainspring-crawl.html in the
    /// directory for temporary files]
    #[arg(long, value_name = "FILE", conflicts_with = "no_trace")]
    pub trace: Option<PathBuf>,
    /// Run unobserved
    #[arg(long)]
    pub no_trace: bool,
    /// Watch the loop at work: hold it, step it, ask it why; without a terminal, a line a second
    #[arg(long, conflicts_with_all = ["no_trace", "states"])]
    pub live: bool,
}

/// What the embedded site is like.
#[derive(Clone, Copy, Args)]
pub struct SiteArgs {
    /// How many movies the site has
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole::<1, u32>)]
    pub pages: u32,
    /// How long the site waits before each answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub delay: Duration,
}

/// `crawl serve`.
#[derive(Args)]
pub struct Serve {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// Stop when standard input ends: for a parent process that must not leave a child behind.
    #[arg(long, hide = true)]
    pub until_eof: bool,
}

/// `crawl compare`.
#[derive(Args)]
pub struct Compare {
    /// How many pages to fetch in each way
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole::<1, u32>)]
    pub pages: u32,
    /// How long the site waits before each answer
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub delay: Duration,
    /// How many threads the pool has
    #[arg(long, value_name = "N", default_value = "10", value_parser = at_least_one)]
    pub threads: usize,
    /// Write a page that shows the loops of three ways side by side to this file
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// `crawl sweep`.
#[derive(Args)]
pub struct Sweep {
    /// How many pages to fetch at once, one run for each
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', value_parser = at_least_one)]
    #[arg(default_value = "1,3,5,10,15,30,50,75,100,200,500,1000,10000")]
    pub at: Vec<usize>,
    /// How long the site waits before each answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub delay: Duration,
}

/// `crawl page`.
#[derive(Args)]
pub struct Page {
    /// Traces, as written by `--trace run.json` or `MAINSPRING_TRACE=run.json`
    #[arg(value_name = "TRACE", required = true, num_args = 1..=3)]
    pub traces: Vec<PathBuf>,
    /// Where to write the page [default: beside the first trace, as .html]; of one trace also .json, for
    /// Perfetto and chrome://tracing, or .txt: its tasks at the end, why each waits, and what was found
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Quote the lines in which tasks were spawned and spans written, of the source below this directory
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
}

/// It may hold a secret, and shows nothing of itself.
impl std::fmt::Debug for Cli {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cli").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::ffi::OsStr;

    fn complaint_of(line: &str) -> (String, u8) {
        let words = line.split(' ');
        let error = Cli::try_parse_from(words.clone()).expect_err("a mistake");
        complaint(&error, words.map(OsStr::new).nth(1))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_demo_as_described() {
        let cli = Cli::try_parse_from(["crawl"]).expect("no argument is fine");
        assert!(cli.command.is_none());
        assert_eq!((cli.demo.site.pages, cli.demo.concurrency), (100, 100));
        assert_eq!(cli.demo.site.delay, Duration::from_secs(1));
    }

    #[test]
    fn every_mistake_is_one_line_and_code_2() {
        for (line, text) in [
            (
                "crawl --delay -1s",
                "invalid value '-1s' for '--delay <TIME>': a duration cannot be negative; \
                 write it like 250ms, 1.5s or 2m; see crawl --help",
            ),
            (
                "crawl --dealy 1s",
                "unexpected argument '--dealy' found; a similar argument exists: '--delay'; \
                 see crawl --help",
            ),
            (
                "crawl --pages 0",
                "invalid value '0' for '--pages <N>': needs a whole number from 1 to \
                 1000000; see crawl --help",
            ),
            (
                "crawl fetch",
                "the following required arguments were not provided: <URL>; \
                 see crawl fetch --help",
            ),
            (
                "crawl fetch ftp://h/",
                "invalid value 'ftp://h/' for '<URL>...': ftp is not http or https; \
                 see crawl fetch --help",
            ),
            (
                "crawl fetch h -H x",
                "invalid value '***' for '--header <NAME: VALUE>': write it like 'Name: value'; \
                 see crawl fetch --help",
            ),
            (
                "crawl fetch h --select a[",
                "invalid value 'a[' for '--select <CSS>': no CSS selector: Unexpected EOL; \
                 see crawl fetch --help",
            ),
            (
                "crawl serve --listen nowhere",
                "invalid value 'nowhere' for '--listen <ADDR>': invalid socket address \
                 syntax; see crawl serve --help",
            ),
            (
                "crawl fetch h --depth -1",
                "invalid value '-1' for '--depth <N>': needs a whole number from 0 to 1000000; \
                 see crawl fetch --help",
            ),
            (
                "crawl site h --via env --noproxy h",
                "the argument '--via <URL>' cannot be used with '--noproxy <HOSTS>'; \
                 see crawl site --help",
            ),
            (
                "crawl fecth",
                "unrecognized subcommand 'fecth'; a similar subcommand exists: 'fetch'; \
                 see crawl --help",
            ),
        ] {
            assert_eq!(complaint_of(line), (text.to_owned(), 2));
        }
    }

    #[test]
    fn what_was_given_is_not_to_be_seen_in_debug_text() {
        for line in [
            "crawl get http://me:s3cr3t@h/ -u me:s3cr3t -H Cookie:s3cr3t -x me:s3cr3t@h:1",
            "crawl fetch http://me:s3cr3t@h/[1-2] -u me:s3cr3t -H X-Api-Key:s3cr3t",
            "crawl site http://s3cr3t@h/ --sitemap http://me:s3cr3t@h/ -x http://me:s3cr3t@h:1",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert!(!format!("{cli:?}").contains("s3cr3t"), "{cli:?}");
        }
    }

    #[test]
    fn help_is_no_mistake() {
        let (text, code) = complaint_of("crawl --help");
        assert_eq!(code, 0);
        assert!(text.contains("Examples:\n"), "{text}");
        assert_eq!(
            complaint_of("crawl --version").0,
            format!("crawl {}\n", env!("CARGO_PKG_VERSION"))
        );
    }
}
