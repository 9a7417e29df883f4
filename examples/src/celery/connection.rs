//! One connection to Redis: by TCP, TLS or a socket in the file system.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::TlsConnector;
use futures_util::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use mainspring::net::{TcpStream, UnixStream};
use mainspring::spawn_blocking;
use mainspring::time::timeout;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};

use super::address::{Address, Place};
use super::resp::{Decoder, Reply, command};

/// How long Redis may take to be connected to and to let us in.
const CONNECT: Duration = Duration::from_secs(5);
/// How long Redis may take for an answer before the connection is given up for another.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// What goes wrong between us and Redis.
#[derive(Debug)]
pub enum Trouble {
    /// There is no connection any more, or none yet.
    Lost(String),
    /// Redis does not let us in.
    Refused(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Trouble::Lost(text) | Trouble::Refused(text)) = self;
        f.write_str(text)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// One connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    buffer: Box<[u8]>,
}

impl Connection {
    /// Connects and is let in.
    ///
    /// # Errors
    /// One sentence that names the place and no password.
    pub async fn open(address: &Address) -> Result<Connection, Trouble> {
        let opening = async {
            let stream = stream(&address.place).await.map_err(|error| cannot(address, &error))?;
            let buffer = vec![0; 16 << 10].into();
            let mut connection = Connection { stream, decoder: Decoder::default(), buffer };
            connection.greet(address).await?;
            Ok(connection)
        };
        let late = || Err(cannot(address, &"it does not answer"));
        timeout(CONNECT, opening).await.unwrap_or_else(|_| late())
    }

    async fn greet(&mut self, address: &Address) -> Result<(), Trouble> {
        let db = address.db.to_string();
        let mut greeting: Vec<Vec<&str>> = Vec::new();
        match (&address.user, &address.password) {
            (Some(user), password) => {
                greeting.push(vec!["AUTH", user, password.as_deref().unwrap_or_default()]);
            }
            (None, Some(password)) => greeting.push(vec!["AUTH", password]),
            (None, None) => {}
        }
        // Without a password, it is this that tells that one is needed.
        greeting.push(vec!["SELECT", &db]);
        for words in greeting {
            let words: Vec<&[u8]> = words.into_iter().map(str::as_bytes).collect();
            let reply = self.call(&command(&words)).await;
            match reply.map_err(|error| cannot(address, &error))? {
                Reply::Error(text) if passes(&text) => return Err(cannot(address, &text)),
                Reply::Error(text) => {
                    return Err(Trouble::Refused(format!("Redis at {address} refuses: {text}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends a command, or several.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next reply. Dropping it midway loses nothing.
    pub(super) async fn next_reply(&mut self) -> io::Result<Reply> {
        loop {
            let reply = self.decoder.next_reply();
            let reply =
                reply.map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?;
            if let Some(reply) = reply {
                return Ok(reply);
            }
            match self.stream.read(&mut self.buffer).await? {
                0 => return Err(io::Error::other("Redis has closed the connection")),
                count => self.decoder.feed(&self.buffer[..count]),
            }
        }
    }

    /// The same, which must come in time.
    pub(super) async fn answer(&mut self, limit: Duration) -> io::Result<Reply> {
        let late = |_| Err(io::Error::new(ErrorKind::TimedOut, "Redis does not answer"));
        timeout(limit, self.next_reply()).await.unwrap_or_else(late)
    }

    /// Sends one command and waits for its reply. Once dropped midway, a connection is of no use.
    pub(super) async fn call(&mut self, bytes: &[u8]) -> io::Result<Reply> {
        self.send(bytes).await?;
        self.answer(ANSWER).await
    }
}

fn cannot(address: &Address, why: &dyn std::fmt::Display) -> Trouble {
    Trouble::Lost(format!("cannot reach Redis at {address}: {why}"))
}

async fn stream(place: &Place) -> io::Result<Box<dyn Stream>> {
    let (host, port, tls) = match place {
        Place::Socket(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        Place::Host { host, port, tls } => (host.clone(), *port, tls),
    };
    let name = host.clone();
    let lookup = spawn_blocking(move || (name, port).to_socket_addrs().map(Vec::from_iter));
    let addresses: Vec<SocketAddr> = lookup.await.map_err(io::Error::other)??;
    let mut last = io::Error::other("its name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                let Some(roots) = tls else { return Ok(Box::new(stream)) };
                let connector = TlsConnector::from(trusting(roots.clone()).await?);
                let name = ServerName::try_from(host).map_err(io::Error::other)?;
                return Ok(Box::new(connector.connect(name, stream).await?));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What to trust: the system's certificates, and those in this file.
async fn trusting(roots: Option<PathBuf>) -> io::Result<Arc<ClientConfig>> {
    let read = move || {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let bad = |path: &Path, error: &dyn std::fmt::Display| {
            io::Error::other(format!("cannot take certificates from {}: {error}", path.display()))
        };
        if let Some(path) = roots {
            let pem = std::fs::read(&path).map_err(|error| bad(&path, &error))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| bad(&path, &error))?;
                store.add(certificate).map_err(|error| bad(&path, &error))?;
            }
        }
        let config =
            ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?;
        Ok(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
    };
    spawn_blocking(read).await.map_err(io::Error::other)?
}

/// Whether a refusal passes by itself: such a command is sent again, on a connection of its own, for
/// after a failover the address may lead elsewhere. The codes are those of Redis's source.
pub(super) fn passes(refusal: &str) -> bool {
    let code = refusal.split(' ').next().unwrap_or_default();
    [
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    ]
    .contains(&code)
        || refusal.contains("max number of clients")
}
