//! The command line of `crawl`: what it takes, what it explains, how it complains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use http::{HeaderName, HeaderValue, Method};
use mainspring_http::Proxy;
use regex_lite::Regex;
use scraper::Selector;
use url::Url;

mod complaint;
mod values;

use crate::value::{bytes, duration};
pub use complaint::complaint;
pub use values::{Seeds, seed};
use values::{
    at_least_one, header, header_value, page_count, proxy, regex, seeds, selector, share, user,
};

const EXAMPLES: &str = "\
Examples:
  crawl                                     crawl the demo site: 100 movies, each a second late
  crawl --pages 1000 --concurrency 1000     the same with a thousand
  crawl --out movies                        keep them: movies.jsonl, movies.csv, {id}.json
  crawl --delay 50ms --states | less        watch every task change its state
  crawl --trace run.html                    every step of the loop, on a page for the browser
  crawl --delay 2s --live                   watch the loop at work, hold it, step it
  crawl compare                             five ways of waiting, side by side
  crawl sweep                               from 1 to 10,000 pages at once
  crawl serve --listen 127.0.0.1:8080       the slow site alone
  crawl fetch http://127.0.0.1:8080/ --depth 1 --select 'a.title'
  crawl site http://127.0.0.1:8080/ --out mirror --bodies --resume crawl.journal
  crawl get -v http://127.0.0.1:8080/hello/World";

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
    /// Fetch the same pages in five ways and show why some of them win
    Compare(Compare),
    /// Fetch more and more pages at once and show what each step costs
    Sweep(Sweep),
    /// Fetch pages, follow their links if asked to, select from them
    Fetch(Box<Fetch>),
    /// Crawl whole sites, with manners: robots.txt, pauses, budgets, a journal to resume from
    Site(Box<Site>),
    /// Send one request and print what comes, as with curl
    Get(Box<Get>),
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
    /// Write a page that shows the loops of three ways side by side to this file
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
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
  crawl fetch http://localhost:8000/ -H 'Accept-Language: de' --timeout 5s
  crawl fetch 'http://localhost:8080/api/movie/[1-100]' --out movies --json")]
pub struct Fetch {
    /// What to fetch; [1-100] stands for each of these numbers
    #[arg(value_name = "URL", required = true, value_parser = seeds)]
    pub urls: Vec<Seeds>,
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
    /// Follow links to what robots.txt asks crawlers to leave alone
    #[arg(long)]
    pub ignore_robots: bool,
    /// How to ask for pages, and what to do with them.
    #[command(flatten)]
    pub asking: Asking,
}

/// `crawl site`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  crawl site http://localhost:8000/ --out mirror --bodies
  crawl site http://localhost:8000/ --sitemap http://localhost:8000/sitemap.xml --depth 0
  crawl site --seeds urls.txt --scope subdomains --exclude '\\?print=' --for 10m
  crawl site http://localhost:8000/ --resume crawl.journal --out mirror
                                   a run that was stopped or killed goes on where it was")]
pub struct Site {
    /// Where to begin
    #[arg(value_name = "URL", value_parser = seed)]
    #[arg(required_unless_present_any = ["seeds", "sitemap"])]
    pub urls: Vec<Url>,
    /// Begin at the URLs in this file, one in each line; - is standard input
    #[arg(long, value_name = "FILE")]
    pub seeds: Option<PathBuf>,
    /// Begin at the pages that this sitemap lists; may be given several times
    #[arg(long, value_name = "URL", value_parser = seed)]
    pub sitemap: Vec<Url>,
    /// Which links to follow: host, subdomains (of the beginning's hosts) or any
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Scope::Host)]
    #[arg(hide_possible_values = true)]
    pub scope: Scope,
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
    #[arg(long, value_name = "N", default_value = "20")]
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

/// `crawl get`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  crawl get -i http://localhost:8080/hello
  crawl get -v -d name=value http://localhost:8000/form
  crawl get -o page.html -w '%{http_code} %{time_total}\\n' http://localhost:8080/detail/7
What -w knows: http_code http_version url_effective num_redirects content_type remote
               size_download time_namelookup time_connect time_appconnect time_pretransfer
               time_starttransfer time_total")]
pub struct Get {
    /// What to ask for
    #[arg(value_name = "URL", value_parser = seed)]
    pub url: Url,
    /// Print the head of the answer too
    #[arg(short, long)]
    pub include: bool,
    /// Ask for the head alone
    #[arg(short = 'I', long)]
    pub head: bool,
    /// Use this method
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub request: Option<Method>,
    /// Send this as the body, and POST; @FILE for a file's content, @- for standard input
    #[arg(short, long, value_name = "DATA")]
    pub data: Vec<String>,
    /// Send this header; may be given several times
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// Call yourself this
    #[arg(short = 'A', long, value_name = "TEXT", value_parser = header_value)]
    pub user_agent: Option<HeaderValue>,
    /// Authenticate with a name and a password
    #[arg(short, long, value_name = "NAME:PASSWORD", value_parser = user)]
    pub user: Option<(String, String)>,
    /// Write the body to this file, which appears once it is whole
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Send requests through this proxy: http://, socks5:// or socks5h://
    #[arg(short = 'x', long, value_name = "URL", value_parser = proxy)]
    pub proxy: Option<Proxy>,
    /// Write what was asked and answered, with timings, to this file as HAR 1.2
    #[arg(long, value_name = "FILE")]
    pub har: Option<PathBuf>,
    /// Follow redirects
    #[arg(short = 'L', long)]
    pub location: bool,
    /// Fail on a status from 400 on
    #[arg(short, long)]
    pub fail: bool,
    /// DANGEROUS: take any certificate for good
    #[arg(short = 'k', long)]
    pub insecure: bool,
    /// Show the request, the head of the answer and how long each part took
    #[arg(short, long)]
    pub verbose: bool,
    /// Print this at the end, with %{name} filled in
    #[arg(short, long, value_name = "FORMAT")]
    pub write_out: Option<String>,
    /// Give up after this time
    #[arg(short = 'm', long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub timeout: Duration,
}

/// Which links to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// Those to the hosts and ports of the beginning
    Host,
    /// Those to the hosts of the beginning and to whatever is below them
    Subdomains,
    /// All
    Any,
}

/// How to ask for pages, and what to do with them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Asking and keeping")]
pub struct Asking {
    /// Print what this CSS selector finds, instead of a line per page
    #[arg(long, value_name = "CSS", value_parser = selector)]
    pub select: Option<Selector>,
    /// Print this attribute of what was selected, instead of its text
    #[arg(long, value_name = "NAME", requires = "select")]
    pub attr: Option<String>,
    /// Write pages.jsonl and pages.csv, with timings and sizes, into this directory
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Keep the pages themselves there too
    #[arg(long, requires = "out")]
    pub bodies: bool,
    /// Check that the pages are JSON and keep each there, as {last part of its path}.json
    #[arg(long, requires = "out", conflicts_with = "bodies")]
    pub json: bool,
    /// Write the page of the run, which shows every step of the loop, to this file
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Send this header with every request; may be given several times
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<(HeaderName, HeaderValue)>,
    /// Call yourself this
    #[arg(short = 'A', long, value_name = "TEXT", value_parser = header_value)]
    pub user_agent: Option<HeaderValue>,
    /// Send requests through this proxy: http://, socks5:// or socks5h://
    #[arg(short = 'x', long, value_name = "URL", value_parser = proxy)]
    pub proxy: Option<Proxy>,
    /// Write what was asked and answered, with timings, to this file as HAR 1.2
    #[arg(long, value_name = "FILE")]
    pub har: Option<PathBuf>,
    /// DANGEROUS: take any certificate for good
    #[arg(long)]
    pub danger_accept_invalid_certs: bool,
    /// Give up on a page after this time
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    #[arg(allow_hyphen_values = true)]
    pub timeout: Duration,
    /// Give up on a page that is larger than this
    #[arg(long, value_name = "BYTES", default_value = "10MiB", value_parser = bytes)]
    pub max_size: u64,
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
