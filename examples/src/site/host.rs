//! Where the site runs: in a thread of this process, or in a process of its own.

use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use mainspring::{Builder, Runtime};

use super::server::{self, Site};
use crate::failure::Failure;
use crate::stop::Stop;

/// Descriptors that a process needs besides its connections, with room to spare.
const SPARE: u64 = 64;

/// How many connections a process may have that is allowed `limit` descriptors.
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
pub struct Host {
    address: SocketAddr,
    running: Running,
}

enum Running {
    /// On a loop of its own, which shares nothing with the crawler's but the machine.
    Thread(Stop, Option<JoinHandle<Result<(), String>>>),
    /// `crawl serve`, with descriptors of its own. It ends when its standard input does, so it cannot
    /// outlive this process, however that ends.
    Process(Child),
}

impl Host {
    /// Starts a site for a crawl with so many connections: in a thread, or in a process of its own
    /// where this one may not hold both ends of all of them.
    ///
    /// # Errors
    /// One sentence on why it could not be started.
    pub fn start(site: Site, connections: usize, limit: u64) -> Result<Host, Failure> {
        let started = match connections.saturating_mul(2) <= room(limit) {
            true => in_a_thread(site),
            false => in_a_process(site)
                .map_err(|error| format!("cannot start the site as a child process: {error}")),
        };
        started.map_err(Failure::Said)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it has a process of its own.
    pub fn is_process(&self) -> bool {
        matches!(self.running, Running::Process(_))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let ended = match &mut self.running {
            Running::Thread(stop, thread) => {
                stop.ask();
                thread.take().map_or(Ok(()), ended)
            }
            Running::Process(child) => {
                drop(child.stdin.take());
                let ended = child.wait().map(drop);
                ended.map_err(|error| format!("the site's process cannot be waited for: {error}"))
            }
        };
        if let Err(sentence) = ended {
            eprintln!("crawl: {sentence}");
        }
    }
}

/// Starts a site on a free port of the loopback interface.
fn in_a_thread(site: Site) -> Result<Host, String> {
    let stop = Stop::new();
    let (listening, address) = mpsc::channel();
    let until = stop.clone();
    let body = move || {
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // The other end waits below; should it be gone, so is the need for an address.
        let told = |address| listening.send(address).unwrap_or_default();
        run(Runtime::builder(), free_port, site, until, told)
    };
    let thread = thread::Builder::new().name("site".to_owned()).spawn(body);
    let thread = thread.map_err(|error| format!("cannot start the site's thread: {error}"))?;
    match address.recv() {
        Ok(address) => Ok(Host { address, running: Running::Thread(stop, Some(thread)) }),
        Err(_) => Err(ended(thread).err().unwrap_or_else(|| "the site did not start".into())),
    }
}

fn ended(thread: JoinHandle<Result<(), String>>) -> Result<(), String> {
    thread.join().unwrap_or_else(|_| Err("the site's thread panicked".to_owned()))
}

fn in_a_process(site: Site) -> io::Result<Host> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve", "--listen", "127.0.0.1:0", "--until-eof"])
        .args(["--pages", &site.count.to_string()])
        .args(["--delay", &format!("{}us", site.delay.as_micros())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let rest = line.strip_prefix("listening on http://");
    let address = rest.and_then(|rest| rest.split('/').next()?.parse().ok());
    let address = address.ok_or_else(|| io::Error::other("it did not say where it listens"))?;
    Ok(Host { address, running: Running::Process(child) })
}

/// Runs a site on a loop of its own until `stop` is asked for; `listening` is told where, once.
///
/// # Errors
/// One sentence: no poller, an address that cannot be had, or accepting failed.
pub fn run(
    builder: Builder,
    listen: SocketAddr,
    site: Site,
    stop: Stop,
    listening: impl FnOnce(SocketAddr),
) -> Result<(), String> {
    let runtime = builder.name("site").build();
    let mut runtime = runtime.map_err(|error| format!("cannot start a loop: {error}"))?;
    runtime.block_on(async {
        let (listener, address) = server::bind(listen)?;
        listening(address);
        let served = server::serve(listener, site, stop).await;
        served.map_err(|error| format!("the site cannot accept connections: {error}"))
    })
}
