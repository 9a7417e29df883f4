//! Opening a connection: look the host up, connect, and shake hands for TLS, each by its clock.

use crate::connect;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::hooks::SignalKind;
#[cfg(feature = "proxy")]
use crate::proxy::{Proxies, Proxy};
use crate::resolve::Resolver;
#[cfg(feature = "tls")]
use crate::shared::Shared;
use crate::timeout::{Timeouts, Timer};
#[cfg(feature = "tls")]
use crate::tls::{TlsOptions, TlsStream};
use crate::transport::{Socket, Transport};
#[cfg(feature = "tls")]
use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
#[cfg(feature = "tls")]
use std::sync::Arc;
use url::Url;

/// What a client needs to open connections.
pub(crate) struct Opener {
    pub(crate) resolver: Resolver,
    /// A Unix socket that all connections go to, whatever the host.
    #[cfg(unix)]
    pub(crate) unix_socket: Option<PathBuf>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Tls,
    #[cfg(feature = "proxy")]
    pub(crate) proxies: Proxies,
}

/// The TLS configuration, made when it is first needed, and once for all who need it.
#[cfg(feature = "tls")]
pub(crate) struct Tls {
    options: TlsOptions,
    config: OnceCell<Shared<Result<Arc<rustls::ClientConfig>, String>>>,
}

#[cfg(feature = "tls")]
impl Tls {
    pub(crate) fn new(options: TlsOptions) -> Self {
        Self { options, config: OnceCell::new() }
    }

    async fn config(&self) -> Result<Arc<rustls::ClientConfig>> {
        let shared = self.config.get_or_init(|| {
            let options = self.options.clone();
            let built = mainspring::spawn_blocking(move || options.build());
            let lost = || Err("the configuration could not be made".to_owned());
            let work = async move { built.await.unwrap_or_else(|_| lost()) };
            Shared::find("http: TLS configuration", work, lost())
        });
        shared.wait().await.map_err(|reason| Error::new(ErrorKind::Tls(reason)))
    }
}

impl Opener {
    /// Opens a connection that the requests to this URL's host can be sent on.
    pub(crate) async fn open(
        &self,
        url: &Url,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<Box<Connection>> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        #[cfg(feature = "proxy")]
        if let Some(proxy) = self.proxies.find(url) {
            return self.open_via(proxy, url, timeouts, timer).await;
        }
        let (socket, address) = self.socket(host, port, timeouts, timer).await?;
        let transport = self.secured(url, socket, timeouts, timer).await?;
        Ok(Connection::new(transport, address))
    }

    #[cfg(feature = "proxy")]
    async fn open_via(
        &self,
        proxy: &Proxy,
        url: &Url,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<Box<Connection>> {
        let opened = self.socket(proxy.host(), proxy.port(), timeouts, timer).await;
        let (socket, address) = opened.map_err(|error| error.with_proxy(proxy))?;
        if proxy.gets_requests(url) {
            return Ok(Connection::new(Transport::Plain(socket), address));
        }
        let host = url.host_str().unwrap_or_default();
        let known: Rc<[IpAddr]> = match proxy.wants_address() {
            true => self.lookup(host, timeouts, timer).await?,
            false => [].into(),
        };
        let opening = pin!(proxy.tunnel(socket, url, &known));
        let opened = timer.within_future(Phase::Connect, timeouts.connect, opening).await;
        let transport =
            opened.and_then(|opened| opened).map_err(|error| error.with_proxy(proxy))?;
        #[cfg_attr(
            not(feature = "tls"),
            expect(clippy::infallible_destructuring_match, reason = "with TLS there are two")
        )]
        let socket = match transport {
            Transport::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Transport::Tls(_) => unreachable!("no hands have been shaken yet"),
        };
        let transport = self.secured(url, socket, timeouts, timer).await?;
        Ok(Connection::new(transport, address))
    }

    async fn lookup(
        &self,
        host: &str,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<Rc<[IpAddr]>> {
        if let Some(known) = self.resolver.known(host) {
            timer.tell(SignalKind::DnsCacheHit);
            return Ok(known);
        }
        timer.tell(SignalKind::DnsCacheMiss);
        timer.tell(SignalKind::DnsResolveHostStart);
        let lookup = pin!(self.resolver.lookup(host));
        let found = timer.within_future(Phase::Resolve, timeouts.resolve, lookup).await?;
        timer.tell(SignalKind::DnsResolveHostEnd);
        found.map_err(|error| Error::new(ErrorKind::Resolve(error)))
    }

    async fn socket(
        &self,
        host: &str,
        port: u16,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<(Socket, Option<SocketAddr>)> {
        #[cfg(unix)]
        if let Some(path) = &self.unix_socket {
            let connecting = pin!(mainspring::net::UnixStream::connect(path));
            let stream = timer.within_future(Phase::Connect, timeouts.connect, connecting).await?;
            let stream = stream.map_err(|error| Error::io(Phase::Connect, error))?;
            return Ok((Socket::Unix(stream), None));
        }
        let addresses = self.lookup(host, timeouts, timer).await?;
        let connecting = pin!(connect::connect(&addresses, port));
        let (stream, address) =
            timer.within_future(Phase::Connect, timeouts.connect, connecting).await??;
        Ok((Socket::Tcp(stream), Some(address)))
    }

    #[cfg(feature = "tls")]
    async fn secured(
        &self,
        url: &Url,
        socket: Socket,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<Transport> {
        if url.scheme() != "https" {
            return Ok(Transport::Plain(socket));
        }
        timer.tell(SignalKind::TlsHandshakeStart);
        let config = pin!(self.tls.config());
        let config = timer.within_future(Phase::Tls, timeouts.tls, config).await??;
        let host = url.host_str().unwrap_or_default();
        let mut stream = Box::new(TlsStream::new(socket, config, host)?);
        timer.within(Phase::Tls, timeouts.tls, |cx| stream.poll_handshake(cx)).await??;
        timer.tell(SignalKind::TlsHandshakeEnd);
        Ok(Transport::Tls(stream))
    }

    #[cfg(not(feature = "tls"))]
    async fn secured(
        &self,
        _url: &Url,
        socket: Socket,
        _timeouts: &Timeouts,
        _timer: &mut Timer,
    ) -> Result<Transport> {
        Ok(Transport::Plain(socket))
    }
}
