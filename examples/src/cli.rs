//! The command line of `crawl`: what it takes, what it explains, how it complains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use http::{HeaderName, HeaderValue};
use scraper::Selector;
use url::Url;

use crate::value::{bytes, duration};

const EXAMPLES: &str = "\
Examples:
  crawl                                     crawl the demo site: 100 movies, each a second late
  crawl --pages 1000 --concurrency 1000     the same with a thousand
  crawl --out movies                        keep them: movies.jsonl, movies.csv, {id}.json
  crawl --delay 50ms --states | less        watch every task change its state
  crawl compare                             four ways of waiting, side by side
  crawl sweep                               from 1 to 10,000 pages at once
  crawl serve --listen 127.0.0.1:8080       the slow site alone
  crawl fetch http://127.0.0.1:8080/ --depth 1 --select 'a.title'";

/// Crawls a slow site on one thread, and shows what that takes
#[derive(Debug, Parser)]
#[command(name = "crawl", version, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do; nothing means the demo.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How the demo is to run.
    #[command(flatten)]
    pub demo: Demo,
}

/// What `crawl` can do besides the demo.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the slow site alone, until Ctrl-C
    Serve(Serve),
    /// Fetch the same pages in four ways and show why one of them wins
    Compare(Compare),
    /// Fetch more and more pages at once and show what each step costs
    Sweep(Sweep),
    /// Fetch pages of any site, follow their links, select from them
    Fetch(Fetch),
}

/// The demo: crawls the embedded site from its front page to the last movie.
#[derive(Debug, Args)]
pub struct Demo {
    /// The site.
    #[command(flatten)]
    pub site: SiteArgs,
    /// How many pages to fetch at once
    #[arg(long, value_name = "N", default_value = "100", value_parser = at_least_one)]
    pub concurrency: usize,
    /// Write movies.jsonl, movies.csv and one {id}.json per movie into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print each task's changes of state as they happen
    #[arg(long)]
    pub states: bool,
}

/// What the embedded site is like.
#[derive(Clone, Copy, Debug, Args)]
pub struct SiteArgs {
    /// How many movies the site has
    #[arg(long, value_name = "N", default_value = "100", value_parser = page_count)]
    pub pages: u32,
    /// How long the site waits before each answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub delay: Duration,
}

/// `crawl serve`.
#[derive(Debug, Args)]
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
#[derive(Debug, Args)]
pub struct Compare {
    /// How many pages to fetch in each way
    #[arg(long, value_name = "N", default_value = "100", value_parser = page_count)]
    pub pages: u32,
    /// How long the site waits before each answer
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub delay: Duration,
    /// How many threads the pool has
    #[arg(long, value_name = "N", default_value = "10", value_parser = at_least_one)]
    pub threads: usize,
}

/// `crawl sweep`.
#[derive(Debug, Args)]
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

/// `crawl fetch`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  crawl fetch http://localhost:8000/a http://localhost:8000/b
  crawl fetch http://localhost:8000/ --depth 2 --pages 50 --select 'h1, h2'
  crawl fetch http://localhost:8000/ --select a --attr href
  crawl fetch http://localhost:8000/ -H 'Accept-Language: de' --timeout 5s")]
pub struct Fetch {
    /// Where to begin
    #[arg(value_name = "URL", required = true, value_parser = url)]
    pub urls: Vec<Url>,
    /// How many links away from the beginning to go
    #[arg(long, value_name = "N", default_value = "0")]
    pub depth: u32,
    /// Follow links to other hosts too
    #[arg(long)]
    pub any_host: bool,
    /// How many pages to fetch at most
    #[arg(long, value_name = "N", default_value = "1000", value_parser = at_least_one)]
    pub pages: usize,
    /// How many pages to fetch at once
    #[arg(long, value_name = "N", default_value = "10", value_parser = at_least_one)]
    pub concurrency: usize,
    /// Print what this CSS selector finds, instead of a line per page
    #[arg(long, value_name = "CSS", value_parser = selector)]
    pub select: Option<Selector>,
    /// Print this attribute of what was selected, instead of its text
    #[arg(long, value_name = "NAME", requires = "select")]
    pub attr: Option<String>,
    /// Send this header with every request; may be given several times
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// Call yourself this
    #[arg(short = 'A', long, value_name = "TEXT")]
    #[arg(value_parser = header_value)]
    pub user_agent: Option<HeaderValue>,
    /// Give up on a page after this time
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub timeout: Duration,
    /// Give up on a page that is larger than this
    #[arg(long, value_name = "BYTES", default_value = "10MiB", value_parser = bytes)]
    pub max_size: u64,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    within(text, 1_000_000)
}

fn page_count(text: &str) -> Result<u32, String> {
    within(text, 1_000_000)
}

/// A whole number from 1 to `most`.
fn within<N: TryFrom<u64>>(text: &str, most: u64) -> Result<N, String> {
    let number: Option<u64> = text.parse().ok().filter(|n| (1..=most).contains(n));
    number
        .and_then(|number| N::try_from(number).ok())
        .ok_or_else(|| format!("needs a whole number from 1 to {most}"))
}

/// An http or https URL; without a scheme it is taken for http.
fn url(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&whole).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(format!("{other} is not http or https")),
    }
}

fn selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|error| format!("no CSS selector: {error}"))
}

/// A header field, written as on the wire.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it like 'Name: value'")?;
    let bad_name = |_| format!("{name:?} is no name of a header");
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(bad_name)?;
    Ok((name, header_value(value.trim())?))
}

fn header_value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "holds a character that no header may".to_owned())
}

/// What to print, and the exit code, for a command line that was not taken.
///
/// Help and version go out as they are, with code 0; a mistake becomes one line with code 2.
#[must_use]
pub fn complaint(error: &clap::Error) -> (String, u8) {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => (error.render().to_string(), 0),
        _ => (one_line(&error.render().to_string()), 2),
    }
}

/// The first paragraph and the tip of one of clap's messages, on one line.
fn one_line(message: &str) -> String {
    let mut line = String::new();
    for paragraph in message.split("\n\n") {
        let words = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(mistake) = words.strip_prefix("error: ") {
            line.push_str(mistake.trim_end_matches('.'));
        } else if let Some(tip) = words.strip_prefix("tip: ") {
            line.push_str("; ");
            line.push_str(tip);
        }
    }
    line.push_str("; see crawl --help");
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn complaint_of(line: &str) -> (String, u8) {
        let words = line.split(' ');
        complaint(&Cli::try_parse_from(words).expect_err("a mistake"))
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
                 see crawl --help",
            ),
            (
                "crawl fetch ftp://h/",
                "invalid value 'ftp://h/' for '<URL>...': ftp is not http or https; \
                 see crawl --help",
            ),
            (
                "crawl fetch h -H x",
                "invalid value 'x' for '--header <NAME: VALUE>': write it like 'Name: value'; \
                 see crawl --help",
            ),
            (
                "crawl fetch h --select a[",
                "invalid value 'a[' for '--select <CSS>': no CSS selector: Unexpected EOL; \
                 see crawl --help",
            ),
            (
                "crawl serve --listen nowhere",
                "invalid value 'nowhere' for '--listen <ADDR>': invalid socket address \
                 syntax; see crawl --help",
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
