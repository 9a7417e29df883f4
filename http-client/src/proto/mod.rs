//! HTTP/1.1 without I/O: bytes in, events out (RFC 9110, RFC 9112).
//!
//! Nothing here knows a socket, a runtime or a clock, so every rule can be tested with a byte
//! string. The way in is [`ResponseDecoder`]: feed it whatever arrived, in whatever pieces, and
//! it answers with how much it took and what that meant. Input that is not yet complete is a
//! value ([`Event::NeedMore`]), not an error; the decoder keeps the little it has to keep, so
//! the caller never buffers for it.
//!
//! | file           | rule                                                              |
//! |----------------|-------------------------------------------------------------------|
//! | `request`      | the request head and the framing of its body, written             |
//! | `head`         | the response head: found, limited, parsed                         |
//! | `framing`      | where a body ends (RFC 9112 §6.3), and may the connection live on |
//! | `chunked`      | the chunked coding, both ways (RFC 9112 §7.1)                     |
//! | `decoder`      | the machine that puts these together for one response             |
//! | `close_reason` | why a connection was not used again, as data                      |
//! | `error`        | what a peer did wrong, with the section that says so              |
//! | `secret_name`  | which names are those of secrets, which no text may show          |

mod chunked;
mod close_reason;
mod decoder;
mod error;
mod framing;
mod head;
mod request;
mod secret_name;

pub(crate) use chunked::encode_chunk_size;
pub use chunked::{ChunkedDecoder, encode_chunk, encode_last_chunk};
pub use close_reason::CloseReason;
pub use decoder::{Event, ResponseDecoder};
pub use error::ProtocolError;
pub use framing::{BodyFraming, HeadFacts, RequestKind};
pub use head::{Limits, MAX_HEADER_COUNT, ResponseHead};
pub(crate) use request::write_fields;
pub use request::{BodyLength, RequestHead};
pub use secret_name::is_secret;
