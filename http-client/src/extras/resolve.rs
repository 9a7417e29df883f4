//! From host names to addresses.
//!
//! A literal address never leaves the loop. Names go to the system's resolver, `getaddrinfo`, on
//! the blocking pool, so that `/etc/hosts` and the rest of the system's configuration hold; or to
//! a [`Resolve`] of the user's. One lookup serves all requests that wait for the same name, and
//! its answer is kept for a while: `getaddrinfo` does not tell for how long it is good.

use crate::shared::{self, Shared};
use crate::target;
use mainspring::spawn_blocking;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Names kept in the cache. When it is full, the answers that are too old make room, or else all.
const CACHED_NAMES: usize = 1024;

/// What a resolver's lookup gives.
pub type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>>>>;

/// Finds the addresses of hosts.
pub trait Resolve {
    /// Looks a name up. The addresses are tried in the order given.
    ///
    /// A lookup is run by a task of its own, and goes on when the request that asked is given up.
    fn resolve(&self, host: &str) -> Lookup;
}

/// The system's resolver.
struct System;

impl Resolve for System {
    fn resolve(&self, host: &str) -> Lookup {
        let host = host.to_owned();
        let lookup = spawn_blocking(move || -> io::Result<Vec<IpAddr>> {
            let mut found: Vec<IpAddr> = Vec::new();
            for address in (host.as_str(), 0).to_socket_addrs()? {
                // getaddrinfo repeats an address for each type of socket.
                if !found.contains(&address.ip()) {
                    found.push(address.ip());
                }
            }
            Ok(found)
        });
        Box::pin(async move { lookup.await.unwrap_or_else(|error| Err(io::Error::other(error))) })
    }
}

/// The resolver of a client: overrides first, then the cache, then a lookup.
pub(crate) struct Resolver {
    pub(crate) resolve: Rc<dyn Resolve>,
    pub(crate) overrides: HashMap<String, Rc<[IpAddr]>>,
    /// How long the answer of a lookup is used.
    pub(crate) keep: Duration,
    cache: RefCell<HashMap<Rc<str>, Rc<Entry>>>,
}

struct Entry {
    asked: Instant,
    answer: Shared<Answer>,
}

/// `io::Error` cannot be cloned: its kind and text are what all who wait get.
type Answer = Result<Rc<[IpAddr]>, (io::ErrorKind, String)>;

impl Default for Resolver {
    fn default() -> Self {
        let (resolve, keep) = (Rc::new(System), Duration::from_secs(60));
        Self { resolve, overrides: HashMap::new(), keep, cache: RefCell::default() }
    }
}

impl Resolver {
    /// The addresses of a host, if they are known without a lookup.
    pub(crate) fn known(&self, host: &str) -> Option<Rc<[IpAddr]>> {
        if let Some(addresses) = self.overrides.get(host) {
            return Some(addresses.clone());
        }
        if let Ok(address) = target::bare(host).parse::<IpAddr>() {
            return Some([address].into());
        }
        let cache = self.cache.borrow();
        let entry = cache.get(host).filter(|entry| self.is_fresh(entry))?;
        shared::get(&entry.answer)?.ok()
    }

    fn is_fresh(&self, entry: &Entry) -> bool {
        shared::get(&entry.answer).is_none() || entry.asked.elapsed() < self.keep
    }

    /// The addresses of a host that are not known; never an empty list.
    pub(crate) async fn lookup(&self, host: &str) -> io::Result<Rc<[IpAddr]>> {
        let entry = self.entry(host);
        let answer = entry.answer.clone().await;
        answer.map_err(|(kind, text)| {
            // A failure is told to those who waited for it, and not kept for those who come later.
            self.cache.borrow_mut().retain(|_, kept| !Rc::ptr_eq(kept, &entry));
            io::Error::new(kind, text)
        })
    }

    fn entry(&self, host: &str) -> Rc<Entry> {
        let mut cache = self.cache.borrow_mut();
        if let Some(entry) = cache.get(host).filter(|entry| self.is_fresh(entry)) {
            return entry.clone();
        }
        if cache.len() >= CACHED_NAMES {
            cache.retain(|_, entry| self.is_fresh(entry));
        }
        if cache.len() >= CACHED_NAMES {
            cache.clear();
        }
        let lookup = self.resolve.resolve(host);
        let work = async move {
            match lookup.await {
                Ok(addresses) if addresses.is_empty() => {
                    Err((io::ErrorKind::NotFound, "it has no address".to_owned()))
                }
                Ok(addresses) => Ok(addresses.into()),
                Err(error) => Err((error.kind(), error.to_string())),
            }
        };
        let lost = Err((io::ErrorKind::Interrupted, "the lookup was given up".to_owned()));
        let answer = shared::find("http: resolve", work, lost);
        let entry = Rc::new(Entry { asked: Instant::now(), answer });
        cache.insert(host.into(), entry.clone());
        entry
    }
}
