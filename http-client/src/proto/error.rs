//! What a peer did wrong, in words for a person and with the section that forbids it.

use std::fmt;

/// How many bytes of a peer's text an error repeats.
const EXCERPT_BYTES: usize = 48;

/// A peer's violation of HTTP/1.1, or of a limit that the client set.
///
/// Text from the peer appears escaped and cut to 48 bytes, so that printing an error can neither
/// flood nor steer a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The first bytes are not those of an HTTP response.
    NotHttp {
        /// The beginning of what came, escaped.
        start: String,
    },
    /// A version other than 1.0 and 1.1.
    Version {
        /// The status line, escaped.
        line: String,
    },
    /// A status line without three digits from 100 to 999, or with a control character.
    StatusLine {
        /// The status line, escaped.
        line: String,
    },
    /// A field line whose name is empty, or holds a character that no name may hold.
    HeaderName {
        /// The field line, escaped.
        line: String,
        /// Position in the line of the byte at fault.
        position: usize,
    },
    /// A control character within a field value.
    HeaderValue {
        /// The name of the field.
        name: String,
        /// Position in the field line of the byte at fault.
        position: usize,
    },
    /// More header fields than the client accepts.
    TooManyHeaders {
        /// The limit that was passed.
        limit: usize,
    },
    /// A head, or a block of trailers, longer than the client accepts.
    HeadTooLarge {
        /// The limit in bytes that was passed.
        limit: usize,
    },
    /// A `Content-Length` that is no number below 2^64.
    ContentLength {
        /// The value, escaped.
        value: String,
    },
    /// Two `Content-Length` values that differ.
    ConflictingContentLengths {
        /// The one that came first.
        first: u64,
        /// One that differs.
        second: u64,
    },
    /// A `Transfer-Encoding` other than `chunked` and `identity`.
    TransferEncoding {
        /// The value, escaped.
        value: String,
    },
    /// A chunk size that is no hexadecimal number below 2^64.
    ChunkSize {
        /// The byte at fault.
        byte: u8,
    },
    /// A chunk size of more than 16 digits.
    ChunkSizeTooLarge,
    /// A control character, or a bare CR or LF, in a chunk extension.
    ChunkExtension {
        /// The byte at fault.
        byte: u8,
    },
    /// More bytes of chunk extensions in one body than the client accepts.
    ChunkExtensionsTooLarge {
        /// The limit in bytes that was passed.
        limit: usize,
    },
    /// A chunk that is not followed by CRLF.
    ChunkEnd {
        /// The byte at fault.
        byte: u8,
    },
    /// More interim (1xx) responses before the final one than the client accepts.
    TooManyInterim {
        /// The limit that was passed.
        limit: u8,
    },
    /// `101 Switching Protocols` to a request that did not ask for it.
    UnexpectedUpgrade,
    /// The connection ended before the response head did.
    HeadTruncated {
        /// Bytes of the head that came.
        received: usize,
    },
    /// The connection ended before the body did.
    BodyTruncated {
        /// Bytes of the body that came.
        received: u64,
        /// Bytes that `Content-Length` promised; `None` for a chunked body.
        expected: Option<u64>,
    },
}

impl ProtocolError {
    /// The section that rules on this, such as `"RFC 9112 §7.1"`; `"limit"` for the limits that
    /// are the client's own.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.told().0
    }

    /// The section, and what was wrong.
    fn told(&self) -> (&'static str, String) {
        let escaped = |byte: &u8| byte.escape_ascii();
        match self {
            Self::NotHttp { start } => {
                ("RFC 9112 §4", format!("not an HTTP response: it begins with \"{start}\""))
            }
            Self::Version { line } => {
                ("RFC 9112 §2.3", format!("unsupported HTTP version in \"{line}\""))
            }
            Self::StatusLine { line } => {
                ("RFC 9112 §4", format!("malformed status line \"{line}\""))
            }
            Self::HeaderName { line, position: at } => {
                ("RFC 9112 §5.1", format!("invalid header name at byte {at} of line \"{line}\""))
            }
            Self::HeaderValue { name, position } => {
                let what = format!("invalid character in the value of header \"{name}\"");
                ("RFC 9110 §5.5", format!("{what}, at byte {position} of its line"))
            }
            Self::TooManyHeaders { limit } => ("limit", format!("more than {limit} header fields")),
            Self::HeadTooLarge { limit } => ("limit", format!("a head longer than {limit} bytes")),
            Self::ContentLength { value } => {
                ("RFC 9112 §6.3", format!("invalid Content-Length \"{value}\""))
            }
            Self::ConflictingContentLengths { first, second } => {
                let what = "conflicting Content-Length values";
                ("RFC 9112 §6.3", format!("{what} {first} and {second}"))
            }
            Self::TransferEncoding { value } => {
                ("RFC 9112 §6.1", format!("unsupported Transfer-Encoding \"{value}\""))
            }
            Self::ChunkSize { byte } => {
                ("RFC 9112 §7.1", format!("invalid byte '{}' in a chunk size", escaped(byte)))
            }
            Self::ChunkSizeTooLarge => {
                ("RFC 9112 §7.1", "a chunk size of more than 16 digits".to_owned())
            }
            Self::ChunkExtension { byte } => {
                let byte = escaped(byte);
                ("RFC 9112 §7.1.1", format!("invalid byte '{byte}' in a chunk extension"))
            }
            Self::ChunkExtensionsTooLarge { limit } => {
                ("limit", format!("more than {limit} bytes of chunk extensions"))
            }
            Self::ChunkEnd { byte } => {
                let byte = escaped(byte);
                ("RFC 9112 §7.1", format!("a chunk is followed by '{byte}' instead of CRLF"))
            }
            Self::TooManyInterim { limit } => {
                ("limit", format!("more than {limit} interim responses"))
            }
            Self::UnexpectedUpgrade => {
                let what = "101 Switching Protocols to a request that asked for no upgrade";
                ("RFC 9110 §7.8", what.to_owned())
            }
            Self::HeadTruncated { received } => {
                let what = format!("the connection ended after {received} bytes");
                ("RFC 9112 §8", format!("{what} of the response head"))
            }
            Self::BodyTruncated { received, expected } => {
                let what = format!("the connection ended after {received}");
                let what = match expected {
                    Some(expected) => format!("{what} of {expected} bytes of the body"),
                    None => format!("{what} bytes of a chunked body, before its end"),
                };
                ("RFC 9112 §8", what)
            }
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.told() {
            ("limit", what) => write!(f, "{what} (over the client's limit)"),
            (section, what) => write!(f, "{what} ({section})"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// The beginning of a peer's bytes, escaped. Only errors want it.
#[cold]
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(EXCERPT_BYTES)];
    let mut text = cut.escape_ascii().to_string();
    if cut.len() < bytes.len() {
        text.push('…');
    }
    text
}
