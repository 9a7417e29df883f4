//! Sockets that suspend the task instead of the thread.
//!
//! Every operation is tried first and waited for only if it would block. All work by shared reference: one
//! task may wait for reading and another for writing on the same socket at once. Two that wait in the same
//! direction take turns at being woken.
//!
//! Cancel-safety is that of the system calls: dropping the future of a read, a write, an accept or a
//! peek before it is ready has done nothing. (`write_all` may have written a part.)
//!
//! A task that has moved 64 KiB in one poll, or has made 256 operations, yields at its
//! next one, so that a fast peer cannot keep the loop to itself.
//!
//! Addresses are [`SocketAddr`](std::net::SocketAddr)s. Looking up a name blocks; do it in
//! [`spawn_blocking`](crate::spawn_blocking).

pub(crate) mod io;
mod listener;
mod split;
mod tcp;
#[cfg(unix)]
mod unix;

pub use listener::TcpListener;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp::TcpStream;
#[cfg(unix)]
pub use unix::{AsyncFd, UnixListener, UnixStream};
