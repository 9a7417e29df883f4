//! What a peer did wrong, in words for a person and with the section that forbids it.

use std::fmt;

/// What reading a response gives.
pub(super) type Result<T> = std::result::Result<T, ProtocolError>;

/// How many bytes of a peer's text an error repeats.
const EXCERPT_BYTES: usize = 48;

macro_rules! violations {
    ($(
        $(#[$doc:meta])*
        $name:ident $({ $($(#[$about:meta])* $field:ident: $kind:ty,)+ })?
            = $section:literal, $text:literal $(, $more:expr)?;
    )+) => {
        /// A peer's violation of HTTP/1.1, or of a limit that the client set.
        ///
        /// Text from the peer appears escaped and cut to 48 bytes, so that printing an error can
        /// neither flood nor steer a terminal.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ProtocolError {
            $($(#[$doc])* $name $({ $($(#[$about])* $field: $kind,)+ })?,)+
        }

        impl ProtocolError {
            /// The section that rules on this, such as `"RFC 9112 §7.1"`; `"limit"` for the limits
            /// that are the client's own.
            #[must_use]
            pub fn section(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $section,)+
                }
            }
        }

        impl fmt::Display for ProtocolError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name $({ $($field),+ })? => write!(f, $text $(, $more)?)?,)+
                }
                match self.section() {
                    "limit" => f.write_str(" (over the client's limit)"),
                    section => write!(f, " ({section})"),
                }
            }
        }
    };
}

// Each with the section that rules on it, and what it says.
violations! {
    /// The first bytes are not those of an HTTP response.
    NotHttp {
        /// The beginning of what came, escaped.
        start: String,
    } = "RFC 9112 §4", "not an HTTP response: it begins with \"{start}\"";
    /// A version other than 1.0 and 1.1.
    Version {
        /// The status line, escaped.
        line: String,
    } = "RFC 9112 §2.3", "unsupported HTTP version in \"{line}\"";
    /// A status line without three digits from 100 to 999, or with a control character.
    StatusLine {
        /// The status line, escaped.
        line: String,
    } = "RFC 9112 §4", "malformed status line \"{line}\"";
    /// A field line whose name is empty, or holds a character that no name may hold.
    HeaderName {
        /// The field line, escaped.
        line: String,
        /// Position in the line of the byte at fault.
        position: usize,
    } = "RFC 9112 §5.1", "invalid header name at byte {position} of line \"{line}\"";
    /// A control character within a field value.
    HeaderValue {
        /// The name of the field.
        name: String,
        /// Position in the field line of the byte at fault.
        position: usize,
    } = "RFC 9110 §5.5",
        "invalid character in the value of header \"{name}\", at byte {position} of its line";
    /// More header fields than the client accepts.
    TooManyHeaders {
        /// The limit that was passed.
        limit: usize,
    } = "limit", "more than {limit} header fields";
    /// A head, or a block of trailers, longer than the client accepts.
    HeadTooLarge {
        /// The limit in bytes that was passed.
        limit: usize,
    } = "limit", "a head longer than {limit} bytes";
    /// A `Content-Length` that is no number below 2^64.
    ContentLength {
        /// The value, escaped.
        value: String,
    } = "RFC 9112 §6.3", "invalid Content-Length \"{value}\"";
    /// Two `Content-Length` values that differ.
    ConflictingContentLengths {
        /// The one that came first.
        first: u64,
        /// One that differs.
        second: u64,
    } = "RFC 9112 §6.3", "conflicting Content-Length values {first} and {second}";
    /// A `Transfer-Encoding` other than `chunked` and `identity`.
    TransferEncoding {
        /// The value, escaped.
        value: String,
    } = "RFC 9112 §6.1", "unsupported Transfer-Encoding \"{value}\"";
    /// A chunk size that is no hexadecimal number below 2^64.
    ChunkSize {
        /// The byte at fault.
        byte: u8,
    } = "RFC 9112 §7.1", "invalid byte '{}' in a chunk size", byte.escape_ascii();
    /// A chunk size of more than 16 digits.
    ChunkSizeTooLarge = "RFC 9112 §7.1", "a chunk size of more than 16 digits";
    /// A control character, or a bare CR or LF, in a chunk extension.
    ChunkExtension {
        /// The byte at fault.
        byte: u8,
    } = "RFC 9112 §7.1.1", "invalid byte '{}' in a chunk extension", byte.escape_ascii();
    /// More bytes of chunk extensions in one body than the client accepts.
    ChunkExtensionsTooLarge {
        /// The limit in bytes that was passed.
        limit: usize,
    } = "limit", "more than {limit} bytes of chunk extensions";
    /// A chunk that is not followed by CRLF.
    ChunkEnd {
        /// The byte at fault.
        byte: u8,
    } = "RFC 9112 §7.1", "a chunk is followed by '{}' instead of CRLF", byte.escape_ascii();
    /// More interim (1xx) responses before the final one than the client accepts.
    TooManyInterim {
        /// The limit that was passed.
        limit: u8,
    } = "limit", "more than {limit} interim responses";
    /// `101 Switching Protocols` to a request that did not ask for it.
    UnexpectedUpgrade = "RFC 9110 §7.8",
        "101 Switching Protocols to a request that asked for no upgrade";
    /// The connection ended before the response head did.
    HeadTruncated {
        /// Bytes of the head that came.
        received: usize,
    } = "RFC 9112 §8", "the connection ended after {received} bytes of the response head";
    /// The connection ended before the body did.
    BodyTruncated {
        /// Bytes of the body that came.
        received: u64,
        /// Bytes that `Content-Length` promised; `None` for a chunked body.
        expected: Option<u64>,
    } = "RFC 9112 §8", "the connection ended after {received} {}", of_the_body(*expected);
}

/// How much of a body is missing.
fn of_the_body(expected: Option<u64>) -> String {
    match expected {
        Some(expected) => format!("of {expected} bytes of the body"),
        None => "bytes of a chunked body, before its end".to_owned(),
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
