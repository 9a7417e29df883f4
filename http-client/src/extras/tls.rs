//! TLS over a socket, by `rustls` and `futures-rustls`.
//!
//! What the latter leaves to its user is in `poll_read`: plaintext that came before an error is given
//! out before that is told, and what the session has to say after a read is sent at once. The end of the
//! connection without a `close_notify` is not the end of the data but an `UnexpectedEof`, as no other
//! error is. Session tickets on an idle connection are no bytes of a response: a read takes them in
//! and yields nothing.

mod certificate;

use crate::error::{Error, ErrorKind, Phase, Result, TlsFailure};
use crate::hooks::SignalKind;
use crate::shared::{self, Shared};
use crate::target;
use crate::timeout::Timer;
use crate::transport::{ByteStream, Transport, writes_to_field};
use certificate::{Verifier, refusal};
use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, InvalidMessage, RootCertStore};
use std::cell::OnceCell;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
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
        let config = timer.within(Phase::Tls, limit, config).await??;
        let name = ServerName::try_from(target::bare(host).to_owned())
            .map_err(|error| invalid("server name", error))?;
        socket.set_nodelay();
        let shaking = pin!(TlsConnector::from(config).connect_with(name, socket, |session| {
            session.set_buffer_limit(Some(WRITE_BUFFER));
        }));
        let shaken = timer.within(Phase::Tls, limit, shaking).await?;
        let session = shaken.map_err(handshake_failed)?;
        timer.tell(SignalKind::TlsHandshakeEnd);
        Ok(Box::new(Secured(session)))
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
struct Secured(TlsStream<Transport>);

impl ByteStream for Secured {}

impl AsyncRead for Secured {
    /// Reads plaintext; 0 is the end that the peer declared by `close_notify`.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut session = Pin::new(&mut self.0);
        let mut outcome = session.as_mut().poll_read(cx, buffer);
        if matches!(&outcome, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::InvalidData)
            && let Poll::Ready(Ok(count @ 1..)) = session.as_mut().poll_read(cx, buffer)
        {
            outcome = Poll::Ready(Ok(count));
        }
        if session.get_ref().1.wants_write() {
            // A key update or an alert. What the socket does not take goes with the next write.
            let _sent: Poll<io::Result<()>> = session.poll_flush(cx);
        }
        outcome.map_err(in_words)
    }
}

writes_to_field!(Secured, 0);

/// How the reason begins if it is the server's certificate.
const REFUSED: &str = "the server's certificate is refused: ";

const UNDECLARED: &str = "the connection ended without TLS's close_notify, so that what came may have \
    been cut short (RFC 9112 §9.8)";

/// The same error with what TLS says in words: rustls's own text shows the names of its variants, or
/// sends a reader to its documentation.
fn in_words(error: io::Error) -> io::Error {
    let kind = error.kind();
    let reason = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(reason) => explain(reason),
        None if kind == io::ErrorKind::UnexpectedEof => UNDECLARED.to_owned(),
        None => return error,
    };
    io::Error::new(kind, TlsFailure(reason))
}

fn handshake_failed(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        let reason = "the peer closed the connection during the handshake";
        return Error::new(ErrorKind::Tls(reason.to_owned()));
    }
    let reason = in_words(error).to_string();
    // A certificate that is refused says enough by itself.
    let is_refused = reason.starts_with(REFUSED);
    let reason = if is_refused { reason } else { format!("the handshake failed: {reason}") };
    Error::new(ErrorKind::Tls(reason))
}

/// rustls's errors in words.
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
