//! Sockets, for steps 7 and 8. An operation is one system call, given to `Registered::operate`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::Interest;
use mio::net;

use super::{Direction, Registered};

/// Waits for connections.
pub struct TcpListener(Registered<net::TcpListener>);

impl TcpListener {
    /// Listens there; port 0 is one that is free.
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        Registered::new(net::TcpListener::bind(address)?, Interest::READABLE).map(TcpListener)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.source.local_addr()
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.0.operate(Direction::Read, |source| source.accept()).await?;
        TcpStream::new(stream)
    }
}

/// One end of a connection.
pub struct TcpStream(Registered<net::TcpStream>);

impl TcpStream {
    fn new(stream: net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nodelay(true)?;
        Registered::new(stream, Interest::READABLE | Interest::WRITABLE).map(TcpStream)
    }

    /// Connects to `address`.
    pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::new(net::TcpStream::connect(address)?)?;
        let connected = |source: &net::TcpStream| match (source.take_error()?, source.peer_addr()) {
            (Some(error), _) => Err(error),
            (None, Err(error)) if error.kind() == ErrorKind::NotConnected => {
                Err(ErrorKind::WouldBlock.into())
            }
            (None, result) => result.map(drop),
        };
        stream.0.operate(Direction::Write, connected).await?;
        Ok(stream)
    }

    /// Reads once, as much as there is and fits. 0: the other end has closed.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.operate(Direction::Read, |mut source| source.read(buffer)).await
    }

    /// Writes all of `bytes`.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = self.0.operate(Direction::Write, |mut source| source.write(bytes)).await?;
            bytes = &bytes[n..];
        }
        Ok(())
    }
}
