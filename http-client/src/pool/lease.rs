//! Waiting for a connection, and holding one.

use super::Pool;
use super::state::{Grant, Waiter, WaiterState};
use crate::connection::Connection;
use crate::proto::CloseReason;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

impl Pool {
    /// A connection to the host of this name, or the permission to open one. Waits its turn.
    pub(crate) async fn acquire(self: &Rc<Self>, name: &str) -> Lease {
        if let Some(lease) = self.try_acquire(name) {
            return lease;
        }
        let waiter = Rc::new(Waiter::default());
        let host = {
            let mut state = self.state.borrow_mut();
            let host = state.host(name);
            state.hosts[host].waiters.push_back(waiter.clone());
            state.note_starved(host, &self.limits);
            host
        };
        let queued = Queued { pool: self, host, waiter };
        poll_fn(|cx| match queued.waiter.state.take() {
            WaiterState::Granted(grant) => {
                queued.waiter.state.set(WaiterState::Gone);
                Poll::Ready(self.lease(host, grant))
            }
            state => {
                queued.waiter.state.set(state);
                queued.waiter.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

/// A place in the queue of a host.
struct Queued<'a> {
    pool: &'a Pool,
    host: usize,
    waiter: Rc<Waiter>,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        match self.waiter.state.replace(WaiterState::Gone) {
            WaiterState::Waiting => {
                let mut state = self.pool.state.borrow_mut();
                let entry = &mut state.hosts[self.host];
                entry.gone += 1;
                if entry.gone * 2 > entry.waiters.len() {
                    entry.waiters.retain(|waiter| waiter.is_waiting());
                    entry.gone = 0;
                }
                state.forget_if_unused(self.host);
            }
            // Granted, and given up before it was told: the next in the queue gets it.
            WaiterState::Granted(Some(connection)) => self.pool.release(self.host, connection),
            WaiterState::Granted(None) => self.pool.close(self.host, None),
            WaiterState::Gone => {}
        }
    }
}

/// A connection, or the permission to open one, held by one request.
pub(crate) struct Lease {
    pub(super) pool: Rc<Pool>,
    pub(super) host: usize,
    pub(super) connection: Grant,
}

impl Lease {
    /// Whether there is a connection yet.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Puts the connection that was opened in its place.
    pub(crate) fn connect(&mut self, mut connection: Box<Connection>) {
        connection.expires = Instant::now().checked_add(self.pool.limits.lifetime);
        self.pool.count(|stats| stats.opened += 1);
        self.connection = Some(connection);
    }

    /// Closes the connection, but keeps the permission to open another in its place.
    pub(crate) fn reopen(&mut self, reason: CloseReason) {
        if self.connection.take().is_some() {
            self.pool.count(|stats| stats.closed[reason as usize] += 1);
        }
    }

    /// Takes the connection out for good: it is no HTTP connection any more.
    pub(crate) fn into_connection(mut self) -> Option<Box<Connection>> {
        let connection = self.connection.take();
        self.pool.count(|stats| stats.closed[CloseReason::Upgraded as usize] += 1);
        connection
    }
}

impl Deref for Lease {
    type Target = Connection;

    #[inline]
    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("an exchange has a connection")
    }
}

impl DerefMut for Lease {
    #[inline]
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("an exchange has a connection")
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        self.pool.count(|stats| stats.in_flight -= 1);
        match self.connection.take() {
            None => self.pool.close(self.host, None),
            Some(mut connection) => {
                if !connection.is_over() {
                    connection.drain();
                }
                self.pool.release(self.host, connection);
            }
        }
    }
}
