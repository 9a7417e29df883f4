//! What an exchange yields, step by step.

use crate::proto::ResponseHead;
use bytes::Bytes;
use http::HeaderMap;
use std::net::SocketAddr;

/// How far sending got.
#[derive(Debug)]
pub(crate) enum Sent {
    /// The socket took something, and is full again.
    Some,
    /// The head is out; the body waits for `100 Continue`.
    Held,
    /// Everything is out.
    All,
    /// The server answered before everything was out.
    Reply(Reply),
}

/// The start of the final response, or `None` for an interim one: what that says is of no use any
/// more once it has come.
pub(crate) type Reply = Option<Box<ResponseStart>>;

/// The head of the final response, and what came along with it. Boxed, since it is handed up through
/// several futures, each of which would move it.
#[derive(Debug)]
pub(crate) struct ResponseStart {
    pub(crate) head: ResponseHead,
    pub(crate) first: Piece,
    /// Of the peer.
    pub(crate) address: Option<SocketAddr>,
    /// Whether the connection had served another request before.
    pub(crate) reused: bool,
}

/// The trailers of a body. They are rare, and would be large if they were not boxed.
pub(crate) type Trailers = Option<Box<HeaderMap>>;

/// A piece of a body.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) data: Bytes,
    /// Whether it is the last; a body may end with an empty one.
    pub(crate) last: bool,
    /// The trailers, with the last piece, if there were any.
    pub(crate) trailers: Trailers,
}
