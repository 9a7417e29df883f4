//! Waiting for a connection, and holding one.

use super::Pool;
use super::state::{Grant, Waiter, WaiterState};
use crate::connection::Connection;
use crate::proto::CloseReason;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

/// Waits for a connection.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Acquire<'a> {
    pub(super) pool: &'a Rc<Pool>,
    pub(super) name: &'a str,
    pub(super) waiting: Option<(usize, Rc<Waiter>)>,
}

impl Future for Acquire<'_> {
    type Output = Lease;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Lease> {
        let this = &mut *self;
        let Some((host, waiter)) = &this.waiting else {
            if let Some(lease) = this.pool.try_acquire(this.name) {
                return Poll::Ready(lease);
            }
            let waiter = Rc::new(Waiter::default());
            waiter.waker.set(Some(cx.waker().clone()));
            let mut state = this.pool.state.borrow_mut();
            let host = state.host(this.name);
            state.hosts[host].waiters.push_back(waiter.clone());
            state.note_starved(host, &this.pool.limits);
            drop(state);
            this.waiting = Some((host, waiter));
            return Poll::Pending;
        };
        match waiter.state.take() {
            WaiterState::Granted(grant) => {
                waiter.state.set(WaiterState::Gone);
                let lease = this.pool.lease(*host, grant);
                this.waiting = None;
                Poll::Ready(lease)
            }
            state => {
                waiter.state.set(state);
                waiter.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        let Some((host, waiter)) = self.waiting.take() else { return };
        match waiter.state.replace(WaiterState::Gone) {
            WaiterState::Waiting => {
                let mut state = self.pool.state.borrow_mut();
                let entry = &mut state.hosts[host];
                entry.gone += 1;
                if entry.gone * 2 > entry.waiters.len() {
                    entry.waiters.retain(|waiter| waiter.is_waiting());
                    entry.gone = 0;
                }
                state.forget_if_unused(host);
            }
            // Granted, and given up before it was told: the next in the queue gets it.
            WaiterState::Granted(Some(connection)) => self.pool.release(host, connection),
            WaiterState::Granted(None) => self.pool.close(host, None),
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
