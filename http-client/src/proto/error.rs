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
        match self {
            Self::NotHttp { .. } | Self::StatusLine { .. } => "RFC 9112 §4",
            Self::Version { .. } => "RFC 9112 §2.3",
            Self::HeaderName { .. } => "RFC 9112 §5.1",
            Self::HeaderValue { .. } => "RFC 9110 §5.5",
            Self::TooManyHeaders { .. }
            | Self::HeadTooLarge { .. }
            | Self::TooManyInterim { .. }
            | Self::ChunkExtensionsTooLarge { .. } => "limit",
            Self::ContentLength { .. } | Self::ConflictingContentLengths { .. } => "RFC 9112 §6.3",
            Self::TransferEncoding { .. } => "RFC 9112 §6.1",
            Self::ChunkSize { .. } | Self::ChunkSizeTooLarge | Self::ChunkEnd { .. } => {
                "RFC 9112 §7.1"
            }
            Self::ChunkExtension { .. } => "RFC 9112 §7.1.1",
            Self::UnexpectedUpgrade => "RFC 9110 §7.8",
            Self::HeadTruncated { .. } | Self::BodyTruncated { .. } => "RFC 9112 §8",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp { start } => {
                write!(f, "not an HTTP response: it begins with \"{start}\"")?
            }
            Self::Version { line } => write!(f, "unsupported HTTP version in \"{line}\"")?,
            Self::StatusLine { line } => write!(f, "malformed status line \"{line}\"")?,
            Self::HeaderName { line, position } => {
                write!(f, "invalid header name at byte {position} of line \"{line}\"")?;
            }
            Self::HeaderValue { name, position } => write!(
                f,
                "invalid character in the value of header \"{name}\", at byte {position} of its line"
            )?,
            Self::TooManyHeaders { limit } => write!(f, "more than {limit} header fields")?,
            Self::HeadTooLarge { limit } => write!(f, "a head longer than {limit} bytes")?,
            Self::ContentLength { value } => write!(f, "invalid Content-Length \"{value}\"")?,
            Self::ConflictingContentLengths { first, second } => {
                write!(f, "conflicting Content-Length values {first} and {second}")?;
            }
            Self::TransferEncoding { value } => {
                write!(f, "unsupported Transfer-Encoding \"{value}\"")?;
            }
            Self::ChunkSize { byte } => {
                write!(f, "invalid byte '{}' in a chunk size", byte.escape_ascii())?;
            }
            Self::ChunkSizeTooLarge => write!(f, "a chunk size of more than 16 digits")?,
            Self::ChunkExtension { byte } => {
                write!(f, "invalid byte '{}' in a chunk extension", byte.escape_ascii())?;
            }
            Self::ChunkExtensionsTooLarge { limit } => {
                write!(f, "more than {limit} bytes of chunk extensions")?;
            }
            Self::ChunkEnd { byte } => {
                write!(f, "a chunk is followed by '{}' instead of CRLF", byte.escape_ascii())?;
            }
            Self::TooManyInterim { limit } => write!(f, "more than {limit} interim responses")?,
            Self::UnexpectedUpgrade => {
                write!(f, "101 Switching Protocols to a request that asked for no upgrade")?;
            }
            Self::HeadTruncated { received } => {
                write!(f, "the connection ended after {received} bytes of the response head")?;
            }
            Self::BodyTruncated { received, expected: Some(expected) } => {
                write!(f, "the connection ended after {received} of {expected} bytes of the body")?;
            }
            Self::BodyTruncated { received, expected: None } => write!(
                f,
                "the connection ended after {received} bytes of a chunked body, before its end"
            )?,
        }
        match self.section() {
            "limit" => f.write_str(" (over the client's limit)"),
            section => write!(f, " ({section})"),
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
