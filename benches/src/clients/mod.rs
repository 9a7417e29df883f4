//! What an HTTP scenario asks of a client, and one short adaptor per client.
//!
//! As with the runtimes, the scenarios are written once, and an adaptor does nothing but call the
//! client's own functions. Every client reads the body piece by piece and counts its bytes.

use crate::runtimes::Spawns;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

pub mod mainspring;

#[cfg(feature = "peers")]
pub mod hyper;
#[cfg(feature = "peers")]
pub mod hyper_util;
#[cfg(feature = "peers")]
pub mod reqwest;

/// A page, and its address as a client's user has it: written once, since that is no work of the client's.
#[derive(Debug)]
pub struct Page {
    /// Where its server listens.
    pub server: SocketAddr,
    /// The server, as `Host` names it.
    pub host: String,
    /// Its path on the server.
    pub path: &'static str,
    /// All of its URL.
    pub url: String,
}

impl Page {
    /// The page at this path of this server, for all tasks to share.
    pub fn new(server: SocketAddr, path: &'static str) -> Rc<Self> {
        let url = format!("http://{server}{path}");
        Rc::new(Self { server, host: server.to_string(), path, url })
    }
}

/// An HTTP client.
pub trait Fetches: 'static {
    /// The runtime it runs on.
    type Runtime: Spawns;
    /// What all tasks share: its pool of connections.
    type Shared: Clone + 'static;
    /// What one task fetches with: one connection, or its way to the pool.
    type Session: 'static;

    /// A client for up to `connections` at once.
    fn shared(connections: usize) -> Self::Shared;

    /// Gets ready for requests for this page.
    fn session(shared: &Self::Shared, page: &Page) -> impl Future<Output = Self::Session>;

    /// Fetches once; returns the length of the body.
    fn get(session: &mut Self::Session) -> impl Future<Output = usize>;
}
