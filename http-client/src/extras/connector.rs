//! Opening a connection: look the host up, connect, open a tunnel, and shake hands for TLS, all of it
//! by one clock.

use crate::connect;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::hooks::SignalKind;
use crate::proxy::{Proxies, Proxy};
use crate::resolve::Resolver;
use crate::timeout::{Timeouts, Timer};
use crate::transport::Transport;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use url::Url;

/// What a client needs to open connections.
#[derive(Default)]
pub(crate) struct Connector {
    pub(crate) resolver: Resolver,
    /// A Unix socket that all connections go to, whatever the host.
    #[cfg(unix)]
    pub(crate) unix_socket: Option<PathBuf>,
    #[cfg(feature = "tls")]
    pub(crate) tls: crate::extras::tls::Tls,
    pub(crate) proxies: Proxies,
}

impl Connector {
    /// Opens a connection that the requests to this URL's host can be sent on, through `proxy` if
    /// there is one.
    pub(crate) async fn open(
        &self,
        url: &Url,
        proxy: Option<&Proxy>,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<Box<Connection>> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        let (host_asked, port_asked) = match proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (host, port),
        };
        let blame = |error: Error| match proxy {
            Some(proxy) => error.with_proxy(proxy),
            None => error,
        };
        let opened = self.socket(host_asked, port_asked, timeouts, timer).await;
        let (mut transport, address) = opened.map_err(blame)?;
        match proxy {
            Some(proxy) if proxy.gets_requests(url) => {
                return Ok(Connection::new(transport, address));
            }
            Some(proxy) => {
                let known: Rc<[IpAddr]> = match proxy.wants_address() {
                    true => self.lookup(host, timeouts, timer).await?,
                    false => [].into(),
                };
                let opening = pin!(proxy.tunnel(transport, url, &known));
                let opened = timer.within(Phase::Connect, None, opening).await;
                transport = opened.and_then(|opened| opened).map_err(blame)?;
            }
            None => {}
        }
        #[cfg(feature = "tls")]
        if url.scheme() == "https" {
            transport = self.tls.secure(host, transport, timeouts.tls, timer).await?;
        }
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
        let found = timer.within(Phase::Resolve, timeouts.resolve, lookup).await?;
        timer.tell(SignalKind::DnsResolveHostEnd);
        found.map_err(|error| Error::new(ErrorKind::Resolve(error)))
    }

    async fn socket(
        &self,
        host: &str,
        port: u16,
        timeouts: &Timeouts,
        timer: &mut Timer,
    ) -> Result<(Transport, Option<SocketAddr>)> {
        #[cfg(unix)]
        if let Some(path) = &self.unix_socket {
            let connecting = pin!(mainspring::net::UnixStream::connect(path));
            let stream = timer.within(Phase::Connect, None, connecting).await?;
            let stream = stream.map_err(|error| Error::io(Phase::Connect, error))?;
            return Ok((Box::new(stream), None));
        }
        let addresses = self.lookup(host, timeouts, timer).await?;
        let connecting = pin!(connect::connect(&addresses, port));
        let (stream, address) = timer.within(Phase::Connect, None, connecting).await??;
        Ok((Box::new(stream), Some(address)))
    }
}
