//! In the place of `tls` where the crate is built without it: no session can be made.

use crate::error::{Error, ErrorKind, Result};
use crate::socket::Socket;
use crate::timeout::Timer;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Tls;

/// There is none, so neither are there the branches for one.
pub(crate) enum TlsStream {}

impl Tls {
    pub(crate) async fn secure(
        &self,
        _host: &str,
        _socket: Socket,
        _limit: Option<Duration>,
        _timer: &mut Timer,
    ) -> Result<Box<TlsStream>> {
        Err(Error::new(ErrorKind::Tls("the client was built without it".to_owned())))
    }
}

impl TlsStream {
    pub(crate) fn poll_read(
        &mut self,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(crate) fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(crate) fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}
