//! What an HTTP scenario asks of a client, and one short adaptor per client.
//!
//! As with the runtimes, the scenarios are written once, and an adaptor does nothing but call the
//! client's own functions. Every client reads the body piece by piece and counts its bytes.

use crate::runtimes::Spawns;
use std::future::Future;
use std::net::SocketAddr;

pub mod mainspring;

#[cfg(feature = "peers")]
pub mod hyper;
#[cfg(feature = "peers")]
pub mod hyper_util;
#[cfg(feature = "peers")]
pub mod reqwest;

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

    /// Gets ready for requests to `http://server/path`.
    fn session(
        shared: &Self::Shared,
        server: SocketAddr,
        path: &'static str,
    ) -> impl Future<Output = Self::Session>;

    /// Fetches once; returns the length of the body.
    fn get(session: &mut Self::Session) -> impl Future<Output = usize>;
}
