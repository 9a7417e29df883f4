//! What the core is set up with, and what a request may need besides.
//!
//! | a request goes out            | a connection is opened      | a response is read          |
//! |-------------------------------|-----------------------------|-----------------------------|
//! | `request`, `request_builder`  | `connector`: all of it      | `reading`: in which form    |
//! | `target`, `url_text`: its URL | `proxy`                     | `decode`: content codings   |
//! | `body`, `multipart`           | `resolve`                   | `text_reader`: text in pieces |
//! | `request_head`: what is added | `connect`: which address    | `redirect`, `retry`         |
//! | `cookies`                     | `transport`, `tls`          | `shared`: what many wait for |
//!
//! `builder` holds what was set; `error`, `timeout`, `hooks` and `stats` go along with
//! every request; `secret` decides what no text may show.

pub(crate) mod body;
pub(crate) mod builder;
pub(crate) mod connect;
pub(crate) mod connector;
#[cfg(feature = "cookies")]
pub(crate) mod cookies;
pub(crate) mod decode;
pub(crate) mod error;
pub(crate) mod hooks;
pub(crate) mod multipart;
pub(crate) mod proxy;
pub(crate) mod reading;
pub(crate) mod redirect;
pub(crate) mod request;
pub(crate) mod request_builder;
pub(crate) mod request_head;
pub(crate) mod resolve;
pub(crate) mod retry;
pub(crate) mod secret;
pub(crate) mod shared;
pub(crate) mod stats;
pub(crate) mod target;
#[cfg(feature = "charset")]
pub(crate) mod text_reader;
pub(crate) mod timeout;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod url_text;
