//! Where Redis is, as Celery's users write it, and one connection to it: by TCP, TLS or a socket in the
//! file system.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::TlsConnector;
use futures_util::io::BufWriter;
use futures_util::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use mainspring::net::{TcpStream, UnixStream};
use mainspring::spawn_blocking;
use mainspring::time::timeout;
use percent_encoding::percent_decode_str;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::resp::{Decoder, Reply, command};

/// Where Redis is, and the user to be there. Shown, it tells no secret.
#[derive(Clone, PartialEq, Eq, derive_more::Debug)]
#[debug("{shown}")]
pub struct Address {
    /// The machine or the socket.
    pub place: Place,
    /// The user; without one, a password is that of the user `default`.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The number of the database.
    pub db: u32,
    /// All that may be shown of it.
    pub shown: String,
}

/// How Redis is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By TCP.
    Host {
        /// Its name or address.
        host: String,
        /// Its port.
        port: u16,
        /// Whether through TLS, and then whose certificates are trusted besides the system's.
        tls: Option<Option<PathBuf>>,
    },
    /// By a socket in the file system.
    Socket(PathBuf),
}

impl Address {
    /// Reads `redis://user:password@host:port/db`, `rediss://` (with `?ssl_ca_certs=FILE` for
    /// certificates of one's own), `redis+socket:///path?virtual_host=db`, or `host:port`.
    ///
    /// # Errors
    /// Half a sentence that names no part of the text: it may hold a password.
    pub fn parse(text: &str) -> Result<Address, String> {
        let whole = if text.contains("://") { text.to_owned() } else { format!("redis://{text}") };
        let url = Url::parse(&whole).map_err(|error| format!("no URL of Redis: {error}"))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let option = |name: &str| url.query_pairs().find(|pair| pair.0 == name).map(|pair| pair.1);
        let checked = option("ssl_cert_reqs").unwrap_or_default().to_ascii_lowercase();
        if checked.trim_start_matches("cert_") == "none" {
            let instead = "name its certificate by ssl_ca_certs=FILE instead";
            return Err(format!("a certificate that is not checked protects little; {instead}"));
        }
        let number = |db: &str| match db.trim_matches('/') {
            "" => Ok(0),
            db => db.parse().map_err(|_| "the database is a number, as in redis://host/0"),
        };
        let (scheme, path) = (url.scheme(), url.path());
        let (place, db, shown) = match scheme {
            "redis+socket" | "unix" => {
                let db = option("virtual_host").or_else(|| option("db")).unwrap_or_default();
                let place = Place::Socket(decoded(path).into());
                (place, number(&db)?, format!("redis+socket://{path}"))
            }
            "redis" | "rediss" => {
                let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
                let (port, db) = (url.port().unwrap_or(6379), number(path)?);
                let shown = format!("{scheme}://{host}:{port}/{db}");
                let host = decoded(host.trim_matches(['[', ']']));
                let roots = option("ssl_ca_certs").map(|file| PathBuf::from(file.as_ref()));
                (Place::Host { host, port, tls: (scheme == "rediss").then_some(roots) }, db, shown)
            }
            _ => return Err(format!("{scheme} is not redis, rediss or redis+socket")),
        };
        let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
        Ok(Address { place, user, password: url.password().map(decoded), db, shown })
    }
}

/// How long Redis may take to be connected to and to let us in.
const CONNECT: Duration = Duration::from_secs(5);
/// How long Redis may take for an answer before the connection is given up for another.
pub const ANSWER: Duration = Duration::from_secs(30);

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
        timeout(CONNECT, opening).await.unwrap_or_else(late).map_err(|error| {
            let shown = &address.shown;
            let what = match error.kind() {
                ErrorKind::PermissionDenied => format!("Redis at {shown} refuses: {error}"),
                _ => format!("cannot reach Redis at {shown}: {error}"),
            };
            io::Error::new(error.kind(), what)
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
            self.call(&command(&words)).await?;
        }
        Ok(())
    }

    /// Sends commands.
    pub async fn send(&mut self, commands: impl IntoIterator<Item = &[u8]>) -> io::Result<()> {
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
    pub async fn next_reply(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self.decoder.next_reply().map_err(io::Error::other)? {
                return Ok(reply);
            }
            match self.stream.read(&mut self.buffer).await? {
                0 => return Err(io::Error::other("it was closed")),
                count => self.decoder.feed(&self.buffer[..count]),
            }
        }
    }

    /// The same, which must come in time.
    pub async fn answer(&mut self) -> io::Result<Reply> {
        let late = |_| Err(io::Error::new(ErrorKind::TimedOut, "Redis does not answer"));
        timeout(ANSWER, self.next_reply()).await.unwrap_or_else(late)
    }

    /// Sends one command and waits for its reply; what is refused is an error. Once dropped midway, a
    /// connection is of no use.
    pub async fn call(&mut self, command: &[u8]) -> io::Result<Reply> {
        self.send([command]).await?;
        match self.answer().await? {
            Reply::Error(text) => Err(refused(text)),
            reply => Ok(reply),
        }
    }
}

async fn stream(place: &Place) -> io::Result<Box<dyn Stream>> {
    let (host, at, tls) = match place {
        Place::Socket(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        Place::Host { host, port, tls } => (host.clone(), (host.clone(), *port), tls),
    };
    let lookup = spawn_blocking(move || at.to_socket_addrs().map(Vec::from_iter));
    let mut connected = Err(io::Error::other("its name has no address"));
    for address in lookup.await.map_err(io::Error::other)?? {
        connected = TcpStream::connect(address).await;
        if connected.is_ok() {
            break;
        }
    }
    let stream = connected?;
    stream.set_nodelay(true)?;
    let Some(roots) = tls.clone() else { return Ok(Box::new(stream)) };
    let config = spawn_blocking(move || trusting(roots)).await.map_err(io::Error::other)??;
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

/// An error that says that Redis refuses, and why; by its kind, whether for good.
pub fn refused(why: String) -> io::Error {
    let kind = if passes(&why) { ErrorKind::ResourceBusy } else { ErrorKind::PermissionDenied };
    io::Error::new(kind, why)
}

/// What to trust: the system's certificates, and those in this file. To read them may take a while.
fn trusting(roots: Option<PathBuf>) -> io::Result<ClientConfig> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = roots {
        let bad = |error: &dyn fmt::Display| {
            let path = path.display();
            io::Error::other(format!("cannot take certificates from {path}: {error}"))
        };
        for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| bad(&error))? {
            let certificate = certificate.map_err(|error| bad(&error))?;
            store.add(certificate).map_err(|error| bad(&error))?;
        }
    }
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into());
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

/// Whether a refusal passes by itself: such a command is sent again, on a connection of its own, for
/// after a failover the address may lead elsewhere. The codes are those of Redis's source.
pub fn passes(refusal: &str) -> bool {
    const PASSING: &str = "BUSY CLUSTERDOWN LOADING MASTERDOWN MISCONF NOREPLICAS OOM READONLY \
        TRYAGAIN UNBLOCKED";
    let code = refusal.split(' ').next().unwrap_or_default();
    PASSING.split(' ').any(|passing| passing == code) || refusal.contains("max number of clients")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_celery_reads_them() {
        for (text, shown, user, password) in [
            ("redis://h", "redis://h:6379/0", None, None),
            ("h:1", "redis://h:1/0", None, None),
            ("127.0.0.1", "redis://127.0.0.1:6379/0", None, None),
            ("redis://", "redis://localhost:6379/0", None, None),
            ("redis://:p%40ss@h:7/3", "redis://h:7/3", None, Some("p@ss")),
            ("rediss://me:x@h/1", "rediss://h:6379/1", Some("me"), Some("x")),
            ("rediss://h/?ssl_cert_reqs=CERT_REQUIRED", "rediss://h:6379/0", None, None),
            ("redis://[::1]:9/", "redis://[::1]:9/0", None, None),
            ("redis+socket:///run/r.sock?virtual_host=2", "redis+socket:///run/r.sock", None, None),
            ("unix:///run/r.sock?db=2", "redis+socket:///run/r.sock", None, None),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!(address.shown, shown);
            assert_eq!((address.user.as_deref(), address.password.as_deref()), (user, password));
            assert!(!format!("{address:?}").contains("ss@"));
        }
        let socket = Address::parse("redis+socket:///run/r.sock?virtual_host=2").expect("one");
        assert_eq!(socket.db, 2);
    }

    #[test]
    fn what_is_none_is_told_without_its_password() {
        for (text, said) in [
            ("redis://:secret@h/x", "the database is a number, as in redis://host/0"),
            ("http://:secret@h", "http is not redis, rediss or redis+socket"),
            ("redis://:secret@h:99999", "no URL of Redis: invalid port number"),
            (
                "rediss://:secret@h/?ssl_cert_reqs=none",
                "a certificate that is not checked protects little; \
                 name its certificate by ssl_ca_certs=FILE instead",
            ),
        ] {
            assert_eq!(Address::parse(text), Err(said.to_owned()));
        }
    }
}
