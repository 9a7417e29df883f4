//! Opening a TCP connection, for whoever speaks first and for others.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(target_os = "linux")]
use socket2::{Domain, Protocol, Socket, Type};

use crate::net::TcpStream;
use crate::observe::Direction;
use crate::time::timeout;

impl TcpStream {
    /// Connects to `addr`.
    ///
    /// Cancel-safe: dropping the future closes the half-open socket.
    ///
    /// # Errors
    /// What the system says: refused, unreachable, out of descriptors. There is no limit on the time but
    /// the system's, which is minutes; see [`connect_timeout`](TcpStream::connect_timeout).
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn connect(addr: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        let stream = TcpStream::connecting(mio::net::TcpStream::connect(addr.into())?)?;
        // To a near peer the connection is often there by now, which saves a trip around the loop.
        if !stream.is_connected()? {
            stream.connected().await?;
        }
        Ok(stream)
    }

    /// Connects to `addr` for a protocol in which this side speaks first, and does so at once.
    ///
    /// Linux then ends its side of the handshake with the first bytes that are sent, not with a packet
    /// of its own: there is one packet less, and the peer is woken once, by a connection with a request
    /// on it. If nothing is sent for a fifth of a second, the handshake ends without. Other systems
    /// connect as ever.
    ///
    /// What the peer then says is acknowledged as late as in the midst of a conversation, unless
    /// [`acknowledge_at_once`](TcpStream::acknowledge_at_once) is called after the first write. There are
    /// servers that wait for that between the parts of an answer.
    ///
    /// Cancel-safe as [`connect`](TcpStream::connect).
    ///
    /// # Errors
    /// As [`connect`](TcpStream::connect).
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn connect_to_send(addr: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        let stream = TcpStream::connecting(begin_to_send(addr.into())?)?;
        // Even if the connection is there by now: of many tasks that connect, each does, and then each
        // sends, so that the peer takes one request after the other and need not be woken for each.
        stream.connected().await?;
        Ok(stream)
    }

    /// Connects to `addr` within `limit`.
    ///
    /// # Errors
    /// As [`connect`](TcpStream::connect), and [`ErrorKind::TimedOut`] when time is up.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn connect_timeout(
        addr: impl Into<SocketAddr>,
        limit: Duration,
    ) -> io::Result<TcpStream> {
        let addr = addr.into();
        match timeout(limit, TcpStream::connect(addr)).await {
            Ok(connected) => connected,
            Err(_) => {
                let text = format!("no connection to {addr} within {limit:?}");
                Err(io::Error::new(ErrorKind::TimedOut, text))
            }
        }
    }

    fn connecting(socket: mio::net::TcpStream) -> io::Result<TcpStream> {
        let stream = TcpStream::register(socket)?;
        // Nothing has come before there is a connection, and what comes is told by an event.
        stream.io.expect_wait(Direction::Read);
        Ok(stream)
    }

    /// Waits for an event that says that the connection is there.
    async fn connected(&self) -> io::Result<()> {
        loop {
            self.io.expect_wait(Direction::Write);
            self.io.ready(Direction::Write).await;
            if self.is_connected()? {
                return Ok(());
            }
        }
    }

    /// Writable does not mean connected: whether it has a peer says that, and if not, the socket's error why.
    fn is_connected(&self) -> io::Result<bool> {
        let socket = self.io.get();
        let Err(no_peer) = socket.peer_addr() else { return Ok(true) };
        match socket.take_error()? {
            Some(error) => Err(error),
            None if no_peer.kind() == ErrorKind::NotConnected => Ok(false),
            None => Err(no_peer),
        }
    }
}

/// A socket that has begun to connect, and keeps its last acknowledgement back for what is sent.
#[cfg(target_os = "linux")]
fn begin_to_send(addr: SocketAddr) -> io::Result<mio::net::TcpStream> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(addr), kind, Some(Protocol::TCP))?;
    // Only for the handshake: after it the system decides again. If it refuses, it is slower, not wrong.
    socket.set_tcp_quickack(false).unwrap_or_default();
    match socket.connect(&addr.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(mio::net::TcpStream::from_std(socket.into())),
    }
}

#[cfg(not(target_os = "linux"))]
fn begin_to_send(addr: SocketAddr) -> io::Result<mio::net::TcpStream> {
    mio::net::TcpStream::connect(addr)
}
