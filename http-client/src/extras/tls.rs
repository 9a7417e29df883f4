//! TLS over a socket, by `rustls`, on a loop that waits for readiness.
//!
//! Four mistakes are easy here, and each is answered in one place below: waiting for the socket
//! while plaintext is at hand (`poll_read` asks rustls first, and after an error once more); leaving
//! records unsent after packets have been processed or before a wait (`poll_read` and `poll_flush`
//! write what there is); taking the end of the connection without a `close_notify` for the end of the
//! data (that is an `UnexpectedEof`, and no other error is); and taking session tickets on an
//! idle connection for bytes of a response (a read takes them in and yields nothing).

mod certificate;

use crate::error::{Error, ErrorKind, Phase, Result, TlsFailure};
use crate::hooks::SignalKind;
use crate::shared::{self, Shared};
use crate::timeout::Timer;
use crate::transport::{ByteStream, Transport};
use certificate::{Verifier, refusal};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ClientConnection, InvalidMessage, RootCertStore};
use std::cell::OnceCell;
use std::fmt;
use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Plaintext that rustls may hold back while the socket takes no more.
const WRITE_BUFFER: usize = 64 * 1024;

/// What the builder was told about TLS.
#[derive(Clone, Default)]
pub(crate) struct TlsOptions {
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) only_these_roots: bool,
    pub(crate) identity: Option<Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>>,
    pub(crate) accept_invalid: bool,
    pub(crate) config: Option<Arc<ClientConfig>>,
}

impl TlsOptions {
    /// Adds the certificates of a PEM file to those that are trusted.
    pub(crate) fn add_roots(&mut self, pem: &[u8]) -> Result<()> {
        let before = self.roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            self.roots
                .push(certificate.map_err(|error| invalid("root certificate", bad_pem(&error)))?);
        }
        if self.roots.len() == before {
            return Err(invalid("root certificate", "there is none in the PEM text"));
        }
        Ok(())
    }

    /// Sets the certificate that is shown to servers that ask for one.
    pub(crate) fn set_identity(&mut self, chain: &[u8], key: &[u8]) -> Result<()> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| invalid("client certificate", bad_pem(&error)))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| invalid("client key", bad_pem(&error)))?;
        self.identity = Some(Arc::new((chain, key)));
        Ok(())
    }

    /// The configuration. Reads the system's certificates, so it may take a while: for the
    /// blocking pool.
    pub(crate) fn build(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = &self.config {
            return Ok(config.clone());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("protocol versions", explain(&error)))?;
        let webpki = if self.accept_invalid {
            None
        } else {
            let roots = Arc::new(self.root_store()?);
            let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
            let webpki = webpki.build();
            Some(webpki.map_err(|_| "no root certificate was given to trust".to_owned())?)
        };
        let verifier = Verifier { webpki, added: self.roots.clone(), provider };
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.identity.as_deref() {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| wrong("client certificate", explain(&error)))?,
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn root_store(&self) -> Result<RootCertStore, String> {
        let mut store = RootCertStore::empty();
        for root in &self.roots {
            let added = store.add(root.clone());
            added.map_err(|error| wrong("root certificate", explain(&error)))?;
        }
        if !self.only_these_roots {
            add_system_roots(&mut store, rustls_native_certs::load_native_certs().certs);
        }
        Ok(store)
    }
}

/// Adds what the system trusts, or what Mozilla does on a machine that says nothing, such as a bare
/// container.
fn add_system_roots(store: &mut RootCertStore, system: Vec<CertificateDer<'static>>) {
    let (added, _ignored) = store.add_parsable_certificates(system);
    if added == 0 {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
}

fn wrong(what: &str, error: impl fmt::Display) -> String {
    format!("{what}: {error}")
}

fn invalid(what: &str, error: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Tls(wrong(what, error)))
}

/// The TLS of one client: its configuration is made when it is first needed, once for all who need
/// it.
#[derive(Default)]
pub(crate) struct Tls {
    pub(crate) options: TlsOptions,
    config: OnceCell<Shared<Result<Arc<ClientConfig>, String>>>,
}

impl Tls {
    /// Makes a session with `host` over `socket`.
    pub(crate) async fn secure(
        &self,
        host: &str,
        socket: Transport,
        limit: Option<Duration>,
        timer: &mut Timer,
    ) -> Result<Transport> {
        timer.tell(SignalKind::TlsHandshakeStart);
        let config = pin!(self.config());
        let config = timer.within_future(Phase::Tls, limit, config).await??;
        let mut stream = Box::new(TlsStream::new(socket, config, host)?);
        timer.within(Phase::Tls, limit, |cx| stream.poll_handshake(cx)).await??;
        timer.tell(SignalKind::TlsHandshakeEnd);
        Ok(stream)
    }

    async fn config(&self) -> Result<Arc<ClientConfig>> {
        let shared = self.config.get_or_init(|| {
            let options = self.options.clone();
            let built = mainspring::spawn_blocking(move || options.build());
            let lost = || Err("the configuration could not be made".to_owned());
            let work = async move { built.await.unwrap_or_else(|_| lost()) };
            shared::find("http: TLS configuration", work, lost())
        });
        shared.clone().await.map_err(|reason| Error::new(ErrorKind::Tls(reason)))
    }
}

/// A TLS session over a socket.
struct TlsStream {
    socket: Transport,
    session: ClientConnection,
    /// What the session came to an end with, told once the plaintext before it has been read.
    failed: Option<String>,
}

impl TlsStream {
    /// A session that is to be shaken hands on, with the server of this name.
    fn new(socket: Transport, config: Arc<ClientConfig>, host: &str) -> Result<Self> {
        // A URL has brackets around an IPv6 address, a certificate has not.
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let name =
            ServerName::try_from(bare.to_owned()).map_err(|error| invalid("server name", error))?;
        let mut session = ClientConnection::new(config, name)
            .map_err(|error| invalid("session", explain(&error)))?;
        session.set_buffer_limit(Some(WRITE_BUFFER));
        socket.set_nodelay();
        Ok(Self { socket, session, failed: None })
    }

    /// Shakes hands.
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.session.is_handshaking() {
            ready!(self.poll_flush(cx)).map_err(|error| self.handshake_failed(&error))?;
            if self.session.is_handshaking() {
                let count =
                    ready!(self.poll_fill(cx)).map_err(|error| self.handshake_failed(&error))?;
                if count == 0 {
                    let error = "the peer closed the connection during the handshake";
                    return Poll::Ready(Err(Error::new(ErrorKind::Tls(error.to_owned()))));
                }
            }
        }
        self.poll_flush(cx).map_err(|error| self.handshake_failed(&error))
    }

    fn handshake_failed(&self, error: &io::Error) -> Error {
        // A certificate that is refused says enough by itself.
        Error::new(ErrorKind::Tls(match &self.failed {
            Some(reason) if reason.starts_with(REFUSED) => reason.clone(),
            _ => format!("the handshake failed: {error}"),
        }))
    }

    /// Takes records from the socket and processes them. 0 is the end of the connection.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut socket = Polled { socket: &mut self.socket, cx };
        let count = match self.session.read_tls(&mut socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            count => count?,
        };
        if let Err(error) = self.session.process_new_packets() {
            // The peer is told why, if it still listens; our own error is what counts.
            let _told: Poll<io::Result<()>> = self.poll_flush(cx);
            let reason = self.failed.insert(explain(&error));
            return Poll::Ready(Err(failure(io::ErrorKind::InvalidData, reason)));
        }
        Poll::Ready(Ok(count))
    }
}

impl ByteStream for TlsStream {
    /// Reads plaintext; 0 is the end that the peer declared by `close_notify`.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // rustls's own words send a reader to its documentation.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Err(failure(error.kind(), UNDECLARED)));
                }
                outcome => return Poll::Ready(outcome),
            }
            if let Some(reason) = &self.failed {
                return Poll::Ready(Err(failure(io::ErrorKind::InvalidData, reason)));
            }
            if self.session.wants_write() {
                // A key update or an alert. What the socket does not take goes with the next write.
                if let Poll::Ready(outcome) = self.poll_flush(cx) {
                    outcome?;
                }
            }
            match ready!(self.poll_fill(cx)) {
                Err(error) if self.failed.is_none() => return Poll::Ready(Err(error)),
                _ => {}
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let count = self.session.writer().write(bytes)?;
            let flushed = self.poll_flush(cx)?;
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            ready!(flushed);
        }
    }

    /// Sends the records that rustls has ready.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            let mut socket = Polled { socket: &mut self.socket, cx };
            match self.session.write_tls(&mut socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => count?,
            };
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.send_close_notify();
        ready!(self.poll_flush(cx))?;
        self.socket.poll_close(cx)
    }
}

/// A socket as rustls wants it: what would have to wait is an error.
struct Polled<'a, 'b, 'c> {
    socket: &'a mut Transport,
    cx: &'b mut Context<'c>,
}

impl Read for Polled<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.socket.poll_read(self.cx, buffer) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Polled<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket.poll_write(self.cx, bytes) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How the reason begins if it is the server's certificate.
const REFUSED: &str = "the server's certificate is refused: ";

const UNDECLARED: &str = "the connection ended without TLS's close_notify, so that what came may have \
    been cut short (RFC 9112 §9.8)";

fn failure(kind: io::ErrorKind, reason: &str) -> io::Error {
    io::Error::new(kind, TlsFailure(reason.to_owned()))
}

/// rustls's errors in words. Its own text shows the names of its variants.
fn explain(error: &rustls::Error) -> String {
    use rustls::Error as E;
    match error {
        E::InvalidCertificate(reason) => format!("{REFUSED}{}", refusal(reason)),
        E::AlertReceived(AlertDescription::Unknown(code)) => {
            format!("the server sent the alert {code}")
        }
        E::AlertReceived(alert) => format!("the server sent the alert \"{}\"", words(alert)),
        E::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS".to_owned()
        }
        E::InvalidMessage(reason) => format!("the server's message is corrupt: {}", words(reason)),
        E::PeerIncompatible(reason) => {
            format!("the server and the client have no way in common: {}", words(reason))
        }
        E::PeerMisbehaved(reason) => format!("the server broke the protocol: {}", words(reason)),
        E::InappropriateMessage { got_type, .. } => {
            format!("the server sent a message out of turn: {}", words(got_type))
        }
        E::InappropriateHandshakeMessage { got_type, .. } => {
            format!("the server sent a message out of turn: {}", words(got_type))
        }
        E::InconsistentKeys(_) => "the certificate and the key do not belong together".to_owned(),
        E::General(text) => text.clone(),
        other => words(other),
    }
}

/// What can be wrong with PEM text. The error's own text shows bytes as a list of numbers.
fn bad_pem(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error as E;
    match error {
        E::NoItemsFound => "there is none in the PEM text".to_owned(),
        E::MissingSectionEnd { .. } => "a section of the PEM text has no end".to_owned(),
        other => format!("the PEM text is malformed: {}", words(other)),
    }
}

/// The name of a variant as words: `NoCipherSuitesInCommon` is "no cipher suites in common".
fn words(variant: &dyn fmt::Debug) -> String {
    let debug = format!("{variant:?}");
    let mut words = String::new();
    let mut small = false;
    for letter in debug.chars().take_while(char::is_ascii_alphanumeric) {
        if letter.is_ascii_uppercase() && small {
            words.push(' ');
        }
        small = !letter.is_ascii_uppercase();
        words.push(letter.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_system_trusts_nobody_mozilla_is_asked() {
        let mozilla = webpki_roots::TLS_SERVER_ROOTS.len();
        let mut store = RootCertStore::empty();
        add_system_roots(&mut store, vec![b"no certificate".to_vec().into()]);
        assert_eq!(store.len(), mozilla);
        let key = rcgen::KeyPair::generate().unwrap();
        let root = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let mut store = RootCertStore::empty();
        add_system_roots(&mut store, vec![root.into()]);
        assert_eq!(store.len(), 1);
    }
}
