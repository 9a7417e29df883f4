//! The site in a thread of its own, with a runtime of its own: the crawler's loop shares nothing
//! with it but the machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use super::server::{self, Site};
use crate::stop::Stop;

/// A site that runs until this is dropped.
#[derive(Debug)]
pub struct SiteThread {
    address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl SiteThread {
    /// Starts a site on a free port of the loopback interface.
    ///
    /// # Errors
    /// One sentence, if there is no thread, no port or no poller to be had.
    pub fn start(site: Site) -> Result<SiteThread, String> {
        let stop = Stop::new();
        let (told, address) = mpsc::channel();
        let until = stop.clone();
        let body = move || run(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), site, until, &told);
        let thread = thread::Builder::new().name("site".to_owned()).spawn(body);
        let thread = thread.map_err(|error| format!("cannot start the site's thread: {error}"))?;
        let address = address.recv().unwrap_or_else(|_| Err("the site did not start".to_owned()))?;
        Ok(SiteThread { address, stop, thread: Some(thread) })
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
        if let Some(thread) = self.thread.take() {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => eprintln!("crawl: the site stopped early: {error}"),
                Err(_) => eprintln!("crawl: the site panicked"),
            }
        }
    }
}

/// Runs a site on a loop of its own until `stop` is asked for; tells `told` first where it listens,
/// or why it cannot.
///
/// # Errors
/// What accepting failed with.
pub fn run(
    listen: SocketAddr,
    site: Site,
    stop: Stop,
    told: &mpsc::Sender<Result<SocketAddr, String>>,
) -> io::Result<()> {
    let mut runtime = mainspring::Runtime::builder().name("site").build()?;
    runtime.block_on(async {
        let bound = server::bind(listen).and_then(|listener| {
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            Ok((listener, address))
        });
        let (listener, address) = match bound {
            Ok((listener, address)) => (Some(listener), Ok(address)),
            Err(sentence) => (None, Err(sentence)),
        };
        // Nobody listens any more only if the starting thread is gone; then there is nothing to do.
        if told.send(address).is_err() {
            return Ok(());
        }
        match listener {
            Some(listener) => server::serve(listener, site, stop).await,
            None => Ok(()),
        }
    })
}
