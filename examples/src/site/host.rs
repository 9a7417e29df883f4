//! Where the site runs: in a thread of this process, or in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::server::Site;
use super::thread::SiteThread;
use crate::failure::Failure;

/// Descriptors that a process needs besides its connections, with room to spare.
const SPARE: u64 = 64;

/// How many connections a process may have that is allowed `limit` descriptors.
#[must_use]
pub fn room(limit: u64) -> usize {
    usize::try_from(limit.saturating_sub(SPARE)).unwrap_or(usize::MAX).max(1)
}

/// Checks that a process may have so many connections.
///
/// # Errors
/// One sentence that says how many it may have.
pub fn check_room(connections: usize, limit: u64) -> Result<(), Failure> {
    let room = room(limit);
    if connections <= room {
        return Ok(());
    }
    Err(Failure::Said(format!(
        "{connections} pages at once need more descriptors than this machine allows a process \
         ({limit}, ulimit -Hn); {room} at once is as far as it goes"
    )))
}

/// A site that runs until this is dropped.
#[derive(Debug)]
pub enum Host {
    /// In a thread of this process.
    Thread(SiteThread),
    /// In a process of its own.
    Process(SiteProcess),
}

impl Host {
    /// Starts a site for a crawl with so many connections: in a thread, or in a process of its own
    /// where this one may not hold both ends of all of them.
    ///
    /// # Errors
    /// One sentence on why it could not be started.
    pub fn start(site: Site, connections: usize, limit: u64) -> Result<Host, Failure> {
        if connections.saturating_mul(2) <= room(limit) {
            Ok(Host::Thread(SiteThread::start(site)?))
        } else {
            Ok(Host::Process(SiteProcess::start(site)?))
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self {
            Host::Thread(site) => site.address(),
            Host::Process(site) => site.address,
        }
    }
}

/// The site as a child process: `crawl serve`, with descriptors of its own. It ends when its
/// standard input does, so it cannot outlive this process, however that ends.
#[derive(Debug)]
pub struct SiteProcess {
    child: Child,
    address: SocketAddr,
}

impl SiteProcess {
    fn start(site: Site) -> Result<SiteProcess, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::Said(format!("cannot start the site as a child process: {error}"))
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--until-eof"])
            .args(["--pages", &site.count.to_string()])
            .args(["--delay", &format!("{}us", site.delay.as_micros())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| failed(&error))?;
        }
        let rest = line.strip_prefix("listening on http://");
        let address = rest.and_then(|rest| rest.split('/').next()?.parse().ok());
        let site = address.map(|address| SiteProcess { child, address });
        site.ok_or_else(|| failed(&"it did not say where it listens"))
    }
}

impl Drop for SiteProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            eprintln!("crawl: the site's process cannot be waited for: {error}");
        }
    }
}
