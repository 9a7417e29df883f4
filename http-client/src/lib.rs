#![forbid(unsafe_code)]
//! A small non-blocking HTTP/1.1 client on the mainspring runtime.
//!
//! Where to begin reading: `proto/`, which knows the protocol and no socket; `connection/`, one
//! exchange over one socket; `pool/`, which request gets which connection; `client.rs`, which takes
//! a request through all of that; and `response.rs`, its outcome. That is the core. `extras/` is what
//! the core is set up with, and what a request may need besides.
#![doc = include_str!("../README.md")]

mod client;
mod connection;
mod extras;
mod pool;
pub mod proto;
mod response;

// A file is named the same way whichever room it is in.
use extras::{
    body, connect, connector, decode, error, hooks, request, request_head, resolve, retry, secret,
    shared, stats, target, timeout, transport, url_text,
};
use extras::{multipart, proxy, redirect};

pub use body::Body;
pub use bytes::Bytes;
pub use client::Client;
pub use error::{Error, ErrorKind, Phase, Result};
pub use extras::builder::ClientBuilder;
#[cfg(feature = "cookies")]
pub use extras::cookies::CookieJar;
pub use extras::request_builder::RequestBuilder;
pub use hooks::{Hook, Signal, SignalKind};
pub use http::{self, HeaderMap, Method, StatusCode, Version};
pub use multipart::Form;
pub use proto::{CloseReason, ResponseHead, is_secret};
pub use proxy::Proxy;
pub use request::{Hop, Redirect, Request};
pub use resolve::{Lookup, Resolve};
pub use response::Response;
pub use retry::RetryPolicy;
#[cfg(feature = "tls")]
pub use rustls;
pub use secret::{HIDDEN, redact, redact_field, redact_url};
pub use stats::Stats;
pub use target::{IntoUrl, basic_auth, take_userinfo};
pub use timeout::Timeouts;
pub use transport::Upgraded;
pub use url::{self, Url};
#[cfg(feature = "charset")]
pub use {
    extras::text_reader::TextReader,
    mainspring_charset::{
        ENCODING_BYTES, decode as decode_text, encoding_rs, join_url, text_encoding, xml_encoding,
    },
};
pub use {futures_core, futures_io};

/// What only the fuzz targets reach.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::redirect::{follow, target};
    #[cfg(feature = "charset")]
    pub use mainspring_charset::prescan;
}
