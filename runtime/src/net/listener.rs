//! A socket that accepts TCP connections.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::net::TcpStream;
use crate::net::io::{Registered, descriptor};
use crate::observe::event::{Direction, SourceKind};
use crate::time::sleep;

/// Connections that the system keeps for us until we accept them; it takes less if its own limit is
/// lower (on Linux `net.core.somaxconn`, 4096 by default).
const BACKLOG: i32 = 65_535;
/// What one accept counts for in a task's transfer budget: sixteen, then others get a turn.
const ACCEPT_WEIGHT: usize = crate::event_loop::TRANSFER_BUDGET / 16;
/// The first pause when the process is out of descriptors; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A socket that accepts TCP connections.
pub struct TcpListener {
    io: Registered<mio::net::TcpListener>,
}

impl TcpListener {
    /// Listens at `addr`; port 0 lets the system choose. On Unix an address that was in use a moment ago
    /// can be used again.
    ///
    /// # Errors
    /// If the address is in use, not of this machine, or not permitted.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn bind(addr: impl Into<SocketAddr>) -> io::Result<TcpListener> {
        let addr = addr.into();
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        // Elsewhere than on Unix the option means that anybody may take the address over. Where the
        // system chooses the port it comes last: earlier, it would let Linux choose one at which another
        // such socket is just about to listen, and one of the two would fail.
        let (reuse, chosen) = (cfg!(unix), addr.port() == 0);
        if reuse && !chosen {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        if reuse && chosen {
            socket.set_reuse_address(true)?;
        }
        TcpListener::from_std(socket.into())
    }

    /// Takes over a listener of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// If the system refuses that, or to register it.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        let listener = mio::net::TcpListener::from_std(listener);
        Ok(TcpListener { io: Registered::new(listener, SourceKind::Listener, descriptor)? })
    }

    /// Accepts a connection.
    ///
    /// A connection that was reset while it waited is passed over. When the process or the system is out
    /// of descriptors, waits 10 ms, then twice as long each time up to 1 s, and tries again: the
    /// connections wait in the system's queue, and the loop does not spin. Cancel-safe.
    ///
    /// # Errors
    /// What else the system says.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let mut pause = FIRST_PAUSE;
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await {
                // No new event comes for connections that wait already, so the direction stays ready.
                Err(error) if out_of_descriptors(&error) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                accepted => return accepted,
            }
        }
    }

    /// As [`accept`](TcpListener::accept), for a future of your own; lack of descriptors is an error.
    ///
    /// # Errors
    /// What the system says.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let weigh = |_: &_| ACCEPT_WEIGHT;
        loop {
            let accepted = ready!(self.io.poll_try(cx, Direction::Read, |io| io.accept(), weigh));
            match accepted {
                Ok((socket, peer)) => {
                    return Poll::Ready(TcpStream::register(socket).map(|stream| (stream, peer)));
                }
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// The address it listens at, with the port that the system chose.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr()
    }
}

/// `ENFILE` and `EMFILE` have no name in the standard library; they are 23 and 24 on every Unix.
fn out_of_descriptors(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.io.fmt(f)
    }
}
