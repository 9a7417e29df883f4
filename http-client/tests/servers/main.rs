//! The client against servers that others wrote, each started here on loopback with a
//! configuration of its own.
//!
//! A test whose server is not installed says so on standard error and passes, unless
//! `MAINSPRING_SERVERS=required` is set, as it is where the whole suite has to run. Programs are
//! looked for in `PATH`: `nginx`, `apache2`, `caddy`, `haproxy`, `tinyproxy`, `microsocks`,
//! `openssl`, and a `python3` with `httpbin`, `gunicorn` and `httplint`.
//!
//! Linux only: each server gets a loopback address to itself there, so that no port is fixed and
//! none is fought over.

#![cfg(all(
    target_os = "linux",
    feature = "tls",
    feature = "gzip",
    feature = "charset",
    feature = "json"
))]

mod apache;
mod caddy;
mod haproxy;
mod harness;
mod httpbin;
mod httplint;
mod nginx;
mod openssl;
mod proxies;
mod python;

#[path = "../support/server.rs"]
mod byte_server;
#[path = "../support/tls_server.rs"]
mod tls_server;
