//! A socket that accepts connections, of either family.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::event_loop::TRANSFER_BUDGET;
use crate::net::Family;
use crate::observe::event::{Direction, SourceKind};
use crate::reactor::Waiter;
use crate::reactor::registered::Registered;
use crate::time::sleep;

/// What one accept counts for in a task's transfer budget: sixteen, then others get a turn.
const ACCEPT_WEIGHT: usize = TRANSFER_BUDGET / 16;
/// The first pause when the process is out of descriptors; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A socket that accepts connections: [`TcpListener`](crate::net::TcpListener) or
/// [`UnixListener`](crate::net::UnixListener).
///
/// Several tasks may accept at once. Dropping it closes the socket, and the connections that wait in the
/// system's queue with it.
#[derive(Debug)]
pub struct Listener<F: Family> {
    pub(super) io: Registered<F::Listener>,
}

impl<F: Family> Listener<F> {
    #[track_caller]
    pub(super) fn new(listener: F::Listener, fd: i32) -> io::Result<Listener<F>> {
        Ok(Listener { io: Registered::new(listener, SourceKind::Listener, fd)? })
    }

    /// Accepts a connection.
    ///
    /// A connection that was reset while it waited is passed over. When the process or the system is out
    /// of descriptors, waits 10 ms, then twice as long each time up to 1 s, and tries again: the
    /// connections wait in the system's queue, and the loop does not spin.
    ///
    /// Cancel-safe: dropped before it is ready, it has taken no connection.
    ///
    /// # Errors
    /// If the system fails otherwise, for example for want of memory; and on another runtime than the listener's
    /// own, or after that was dropped, an error that names it.
    pub async fn accept(&self) -> io::Result<F::Accepted> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.io.operation(Direction::Read, poll_accept::<F>).await {
                // No new event comes for connections that wait already, so the direction stays ready.
                Err(error) if out_of_descriptors(&error) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                accepted => return accepted,
            }
        }
    }

    /// As [`accept`](Listener::accept), for a future of your own. It does not pause: that no descriptor is left
    /// is an error.
    ///
    /// # Errors
    /// As [`accept`](Listener::accept), and for want of descriptors.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<F::Accepted>> {
        poll_accept::<F>(&self.io, cx, self.io.own(Direction::Read))
    }

    /// As [`poll_accept`](Listener::poll_accept), without waiting.
    ///
    /// # Errors
    /// As [`poll_accept`](Listener::poll_accept); and [`WouldBlock`](ErrorKind::WouldBlock) if no connection
    /// waits: [`readable`](Listener::readable) then waits for one.
    pub fn try_accept(&self) -> io::Result<F::Accepted> {
        self.io.try_now(Direction::Read, 0, accept::<F>, |_| ACCEPT_WEIGHT)
    }

    readiness!(Read, is_readable, poll_readable, readable);
}

fn poll_accept<F: Family>(
    io: &Registered<F::Listener>,
    cx: &mut Context<'_>,
    waiter: &Waiter,
) -> Poll<io::Result<F::Accepted>> {
    io.poll_try(cx, waiter, Direction::Read, 0, accept::<F>, |_| ACCEPT_WEIGHT)
}

fn accept<F: Family>(listener: &F::Listener) -> io::Result<F::Accepted> {
    F::accept(listener).map_err(|error| match error.kind() {
        // Another may wait behind it.
        ErrorKind::ConnectionAborted => ErrorKind::Interrupted.into(),
        _ => error,
    })
}

/// `ENFILE` and `EMFILE` have no name in the standard library; they are 23 and 24 on every Unix.
fn out_of_descriptors(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}
