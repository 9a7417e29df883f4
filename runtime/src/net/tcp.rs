//! TCP: addresses, connecting, and the options that only it has.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::net::{Family, Listener, Stream};
use crate::observe::event::Direction;
use crate::reactor::registered::descriptor;
use crate::time::timeout;

/// Connections that the system keeps for us until we accept them; it takes less if its own limit is
/// lower (on Linux `net.core.somaxconn`, 4096 by default).
const BACKLOG: i32 = 65_535;

/// The family of TCP sockets.
#[derive(Debug)]
pub enum Tcp {}

impl Family for Tcp {
    type Socket = mio::net::TcpStream;
    type Listener = mio::net::TcpListener;
    /// The connection and the peer's address.
    type Accepted = (TcpStream, SocketAddr);

    fn accept(listener: &mio::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = listener.accept()?;
        Ok((Stream::new(socket)?, peer))
    }
}

/// A TCP connection.
///
/// ```no_run
/// use std::net::SocketAddr;
/// use mainspring::net::TcpStream;
///
/// # fn main() -> std::io::Result<()> {
/// mainspring::run(async {
///     let stream = TcpStream::connect(SocketAddr::from(([192, 0, 2, 1], 7))).await?;
///     stream.write_all(b"echo me").await?;
///     let mut buffer = [0; 64];
///     let n = stream.read(&mut buffer).await?;
///     println!("{}", String::from_utf8_lossy(&buffer[..n]));
///     Ok(())
/// })
/// # }
/// ```
pub type TcpStream = Stream<Tcp>;

/// A socket that accepts TCP connections.
///
/// ```no_run
/// use mainspring::net::TcpListener;
///
/// # fn main() -> std::io::Result<()> {
/// mainspring::run(async {
///     let listener = TcpListener::bind(([127, 0, 0, 1], 8080))?;
///     loop {
///         let (stream, peer) = listener.accept().await?;
///         mainspring::spawn(async move {
///             if let Err(error) = stream.write_all(b"hello\n").await {
///                 eprintln!("{peer}: {error}");
///             }
///         });
///     }
/// })
/// # }
/// ```
pub type TcpListener = Listener<Tcp>;

impl Stream<Tcp> {
    /// Connects to `addr`.
    ///
    /// Cancel-safe: dropping the future closes the half-open socket.
    ///
    /// # Errors
    /// If the peer refuses, can't be reached or does not answer within the system's limit, which is minutes (see
    /// [`connect_timeout`](TcpStream::connect_timeout)); or for want of descriptors.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn connect(addr: impl Into<SocketAddr>) -> io::Result<TcpStream> {
        Stream::connected(mio::net::TcpStream::connect(addr.into())?).await
    }

    /// Connects to `addr` within `limit`.
    ///
    /// Cancel-safe, as [`connect`](TcpStream::connect).
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
        let late = format!("no connection to {addr} within {limit:?}");
        let connected = timeout(limit, TcpStream::connect(addr)).await;
        connected.unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, late)))
    }

    /// Takes over a connection of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// If the system refuses that, or to register it.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        Stream::new(mio::net::TcpStream::from_std(stream))
    }

    /// Reads into `buffer` and leaves the bytes to be read again.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// As every operation of a [`Stream`].
    pub fn peek(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.io.operation(Direction::Read, |io, cx, waiter| {
            if buffer.is_empty() {
                return Poll::Ready(Ok(0));
            }
            io.poll_try(cx, waiter, Direction::Read, 0, |io| io.peek(buffer), |n| *n)
        })
    }

    /// The peer's address.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().peer_addr()
    }

    /// The address of this end.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr()
    }

    /// Whether small writes are to be sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.io.get().set_nodelay(nodelay)
    }

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.io.get().nodelay()
    }

    /// How long the system tries to send what is left when the socket is closed (`SO_LINGER`), in whole
    /// seconds. Zero resets the connection instead.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.socket().set_linger(linger)
    }

    /// How long the system tries to send what is left when the socket is closed.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket().linger()
    }

    /// The underlying socket, for options that are not offered here.
    pub fn socket(&self) -> SockRef<'_> {
        SockRef::from(self.io.get())
    }
}

impl Listener<Tcp> {
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
        // Elsewhere than on Unix the option means that others may take the address over. Where the
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
        let fd = descriptor(&listener);
        Listener::new(mio::net::TcpListener::from_std(listener), fd)
    }

    /// The address it listens at, with the port that the system chose.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get().local_addr()
    }
}
