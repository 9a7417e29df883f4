//! One connection to Redis: by TCP, TLS or a socket in the file system.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::TlsConnector;
use futures_util::io::BufWriter;
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
    /// One sentence that names the place and no password; `PermissionDenied` if Redis does not let us
    /// in.
    pub async fn open(address: &Address) -> io::Result<Connection> {
        let opening = async {
            let stream = stream(&address.place).await?;
            let buffer = vec![0; 16 << 10].into();
            let mut connection = Connection { stream, decoder: Decoder::default(), buffer };
            connection.greet(address).await?;
            Ok(connection)
        };
        let late = |_| Err(io::Error::other("it does not answer"));
        timeout(CONNECT, opening).await.unwrap_or_else(late).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => {
                let text = format!("Redis at {address} refuses: {error}");
                io::Error::new(ErrorKind::PermissionDenied, text)
            }
            _ => io::Error::other(format!("cannot reach Redis at {address}: {error}")),
        })
    }

    async fn greet(&mut self, address: &Address) -> io::Result<()> {
        let db = address.db.to_string();
        let user = match (&address.user, &address.password) {
            (Some(user), password) => vec!["AUTH", user, password.as_deref().unwrap_or_default()],
            (None, Some(password)) => vec!["AUTH", password],
            // It is this that tells that a password is needed.
            (None, None) => vec!["PING"],
        };
        for words in [user, vec!["SELECT", &db]] {
            match self.call(&command(&words)).await? {
                Reply::Error(text) if passes(&text) => return Err(io::Error::other(text)),
                Reply::Error(text) => {
                    return Err(io::Error::new(ErrorKind::PermissionDenied, text));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends commands.
    pub(super) async fn send(
        &mut self,
        commands: impl IntoIterator<Item = &[u8]>,
    ) -> io::Result<()> {
        let sending = async {
            let mut buffered = BufWriter::new(&mut self.stream);
            for command in commands {
                buffered.write_all(command).await?;
            }
            buffered.flush().await
        };
        let late = |_| Err(io::Error::other("Redis takes nothing more"));
        timeout(ANSWER, sending).await.unwrap_or_else(late)
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
                0 => return Err(io::Error::other("it was closed")),
                count => self.decoder.feed(&self.buffer[..count]),
            }
        }
    }

    /// The same, which must come in time.
    pub(super) async fn answer(&mut self) -> io::Result<Reply> {
        let late = |_| Err(io::Error::new(ErrorKind::TimedOut, "Redis does not answer"));
        timeout(ANSWER, self.next_reply()).await.unwrap_or_else(late)
    }

    /// Sends one command and waits for its reply. Once dropped midway, a connection is of no use.
    pub(super) async fn call(&mut self, command: &[u8]) -> io::Result<Reply> {
        self.send([command]).await?;
        self.answer().await
    }
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
        if let Some(path) = roots {
            let bad = |error: &dyn std::fmt::Display| {
                let path = path.display();
                io::Error::other(format!("cannot take certificates from {path}: {error}"))
            };
            for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| bad(&error))? {
                let certificate = certificate.map_err(|error| bad(&error))?;
                store.add(certificate).map_err(|error| bad(&error))?;
            }
        }
        let provider = rustls::crypto::ring::default_provider();
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        Ok(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
    };
    spawn_blocking(read).await.map_err(io::Error::other)?
}

/// Whether a refusal passes by itself: such a command is sent again, on a connection of its own, for
/// after a failover the address may lead elsewhere. The codes are those of Redis's source.
pub(super) fn passes(refusal: &str) -> bool {
    const PASSING: &str = "BUSY CLUSTERDOWN LOADING MASTERDOWN MISCONF NOREPLICAS OOM READONLY \
        TRYAGAIN UNBLOCKED";
    let code = refusal.split(' ').next().unwrap_or_default();
    PASSING.split(' ').any(|passing| passing == code) || refusal.contains("max number of clients")
}
