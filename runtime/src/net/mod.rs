//! Sockets that suspend the task instead of the thread.
//!
//! Every operation is tried first, and waits only if it would block. All work by shared reference: any number
//! of tasks may wait on one socket at once. When it becomes ready, all that wait in that direction are woken, in
//! the order in which they began to wait; those that find nothing wait again.
//!
//! ```
//! use mainspring::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! mainspring::run(async {
//!     let listener = TcpListener::bind(([127, 0, 0, 1], 0))?;
//!     let client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (server, _) = listener.accept().await?;
//!     client.write_all(b"hello").await?;
//!     let mut buffer = [0; 16];
//!     let n = server.read(&mut buffer).await?;
//!     assert_eq!(&buffer[..n], b"hello");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Three ways to wait
//! Each socket has its operations as futures (`read`), as `poll_*` methods for futures of your own, and as
//! `try_*` methods that never wait. `readable` and `writable`, and their `poll_*` methods, wait until an
//! operation is worth a try; a `try_*` that answers [`WouldBlock`](std::io::ErrorKind::WouldBlock) has them
//! wait for the next event. All callers of the `poll_*` methods of one direction of a socket count as one
//! waiter: the last of them is woken, as the futures traits have it. Every future waits by itself.
//!
//! # Fairness
//! A task that has moved 64 KiB in one poll, or has made 256 operations, failed ones included, yields at its
//! next one, so that a fast peer cannot keep the loop to itself.
//!
//! # Where a socket works
//! On the runtime that it was made on, while that runs. Anywhere else no event would come for it: each
//! operation is an error at once, which names that runtime. Dropping the runtime wakes all who wait for one of
//! its sockets.
//!
//! # Cancel safety
//! Dropping the future of a read, a write, an accept, a peek or a wait before it is ready has done nothing.
//! `write_all` may have written a part.
//!
//! Addresses are [`SocketAddr`](std::net::SocketAddr)s. Looking up a name blocks; do it in
//! [`spawn_blocking`](crate::spawn_blocking).

/// The methods that wait until a direction of a socket is ready, of which `io` is the source.
macro_rules! readiness {
    ($direction:ident, $is_ready:ident, $poll_ready:ident, $ready:ident) => {
        /// Whether this direction is worth a try. If not, no event has come since a try found that it would block.
        pub fn $is_ready(&self) -> bool {
            self.io.is_ready(Direction::$direction)
        }

        /// Waits until this direction is worth a try, for a future of your own.
        pub fn $poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
            self.io.poll_ready(cx, self.io.own(Direction::$direction), Direction::$direction)
        }

        /// Waits until this direction is worth a try, which may still find that it would block. On another runtime
        /// than its own it is ready at once, and the try says why.
        ///
        /// Cancel-safe.
        pub fn $ready(&self) -> impl Future<Output = ()> {
            self.io.ready(Direction::$direction)
        }
    };
}

#[macro_use]
mod split;
mod listener;
mod stream;
mod tcp;
#[cfg(unix)]
mod unix;

pub use listener::Listener;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use stream::{Family, Stream};
pub use tcp::{Tcp, TcpListener, TcpStream};
#[cfg(unix)]
pub use unix::{AsyncFd, Unix, UnixListener, UnixStream};
