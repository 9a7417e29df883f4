//! The site in a thread of its own, with a runtime of its own: the crawler's loop shares nothing
//! with it but the machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use mainspring::{Builder, Runtime};

use super::server::{self, Site};
use crate::stop::Stop;

/// A site that runs until this is dropped.
#[derive(Debug)]
pub struct SiteThread {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl SiteThread {
    /// Starts a site on a free port of the loopback interface.
    ///
    /// # Errors
    /// One sentence, if there is no thread, no port or no poller to be had.
    pub fn start(site: Site) -> Result<SiteThread, String> {
        let stop = Stop::new();
        let (listening, address) = mpsc::channel();
        let until = stop.clone();
        let body = move || {
            let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            // The other end waits below; should it be gone, so is the need for an address.
            let builder = Runtime::builder();
            let told = |address| listening.send(address).unwrap_or_default();
            run(builder, free_port, site, until, told)
        };
        let thread = thread::Builder::new().name("site".to_owned()).spawn(body);
        let thread = thread.map_err(|error| format!("cannot start the site's thread: {error}"))?;
        match address.recv() {
            Ok(address) => Ok(SiteThread { address, stop, thread: Some(thread) }),
            Err(_) => Err(ended(thread).err().unwrap_or_else(|| "the site did not start".into())),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SiteThread {
    fn drop(&mut self) {
        self.stop.ask();
        if let Some(Err(sentence)) = self.thread.take().map(ended) {
            eprintln!("crawl: {sentence}");
        }
    }
}

fn ended(thread: JoinHandle<Result<(), String>>) -> Result<(), String> {
    thread.join().unwrap_or_else(|_| Err("the site's thread panicked".to_owned()))
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
