#![forbid(unsafe_code)]
//! A small non-blocking HTTP/1.1 client on the mainspring runtime.
//!
//! Where to begin reading: `proto/`, which knows the protocol and no socket; `connection.rs`, the
//! only file that touches both; `pool/`, who gets which connection; and `client.rs`, which takes a
//! request through all of that.
#![doc = include_str!("../README.md")]

mod answer;
mod body;
mod buffer;
mod builder;
#[cfg(feature = "charset")]
mod charset;
mod client;
mod connect;
mod connection;
#[cfg(feature = "cookies")]
mod cookies;
mod decode;
mod error;
mod exchange;
mod file;
#[cfg(feature = "json")]
mod har;
mod hooks;
mod multipart;
mod open;
mod outgoing;
mod pool;
pub mod proto;
#[cfg(feature = "proxy")]
mod proxy;
mod redirect;
mod request;
mod resolve;
mod response;
mod retry;
mod secret;
mod shared;
mod stats;
mod sweep;
mod timeout;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod upgrade;
mod url_parts;
mod url_text;

pub use body::Body;
pub use builder::ClientBuilder;
pub use bytes::Bytes;
#[cfg(feature = "charset")]
pub use charset::{ENCODING_BYTES, decode as decode_text, join_url, text_encoding};
pub use client::Client;
#[cfg(feature = "cookies")]
pub use cookies::CookieJar;
#[cfg(feature = "charset")]
pub use encoding_rs;
pub use error::{Error, ErrorKind, Phase, Result};
#[cfg(feature = "json")]
pub use har::HarRecorder;
pub use hooks::{Hook, ResponseView, Signal, SignalKind};
pub use http::{self, HeaderMap, Method, StatusCode, Version};
pub use multipart::Form;
pub use proto::CloseReason;
#[cfg(feature = "proxy")]
pub use proxy::Proxy;
pub use redirect::Redirect;
pub use request::{IntoUrl, Request, RequestBuilder};
pub use resolve::{Lookup, Resolve};
pub use response::Response;
pub use retry::RetryPolicy;
#[cfg(feature = "tls")]
pub use rustls;
pub use secret::{is_secret, redact, redact_field, redact_url};
pub use stats::Stats;
pub use timeout::Timeouts;
pub use upgrade::Upgraded;
pub use url::{self, Url};

/// What the fuzz targets reach, and nobody else.
#[cfg(fuzzing)]
pub mod fuzzing {
    #[cfg(feature = "charset")]
    pub use crate::charset::prescan::prescan;
    use crate::{Body, Request, Result, StatusCode, redirect};

    /// Turns a request into the one that follows a redirect.
    ///
    /// # Errors
    /// The target cannot be followed.
    pub fn follow(
        request: &mut Request,
        body: Option<Body>,
        status: StatusCode,
        location: &[u8],
    ) -> Result<bool> {
        let target = redirect::target(&request.url, location)?;
        redirect::follow(request, body, status, target)
    }
}
