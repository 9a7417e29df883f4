//! Which certificates of servers are good.

use crate::error::TlsFailure;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme, client};
use std::net::IpAddr;
use std::sync::Arc;

/// Object identifiers, as they stand in a certificate (RFC 5280 §4.2.1 and its appendix A).
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];

/// Checks as webpki does, and takes besides a certificate that was added as trusted and is the server's
/// own: that of an authority as well, as `openssl req -x509` makes it, which webpki refuses there.
/// Such a one is compared byte by byte; its dates, purpose and names are checked as any other's.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Without one, any certificate is good. The server still has to prove that it holds the key.
    pub(super) webpki: Option<Arc<WebPkiServerVerifier>>,
    pub(super) added: Vec<CertificateDer<'static>>,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError as C;
        let Some(webpki) = &self.webpki else { return Ok(ServerCertVerified::assertion()) };
        let checked =
            webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(Error::InvalidCertificate(reason)) = &checked else { return checked };
        // All of these come after the check of the dates, and all but the last after the purpose's.
        let is_late = match reason {
            C::UnknownIssuer | C::NotValidForName | C::NotValidForNameContext { .. } => true,
            other => is_authority(other),
        };
        if is_late && self.added.iter().any(|added| added[..] == end_entity[..]) {
            if !is_for_servers(end_entity) {
                return Err(C::InvalidPurpose.into());
            }
            let parsed = ParsedCertificate::try_from(end_entity)?;
            return match client::verify_server_name(&parsed, server_name) {
                // As curl does, a certificate without other names is for the one in its subject.
                Err(Error::InvalidCertificate(C::NotValidForNameContext { presented, .. }))
                    if presented.is_empty() && common_name_is(end_entity, server_name) =>
                {
                    Ok(ServerCertVerified::assertion())
                }
                named => named.map(|()| ServerCertVerified::assertion()),
            };
        }
        let unknown = *reason == C::UnknownIssuer || is_authority(reason);
        if unknown && is_self_signed(end_entity) {
            return Err(C::Other(OtherError(Arc::new(TlsFailure(SELF_SIGNED.to_owned())))).into());
        }
        checked
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Of a certificate that has no word but its own.
const SELF_SIGNED: &str = "it is self-signed, and not among those that were added as trusted";

/// Why a certificate is refused, in words.
pub(super) fn refusal(reason: &CertificateError) -> String {
    use CertificateError as C;
    let check = match reason {
        C::UnknownIssuer => "no trusted authority has issued it",
        C::Expired | C::ExpiredContext { .. } => "it has expired",
        C::NotValidYet | C::NotValidYetContext { .. } => "it is not valid yet",
        C::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> =
                presented.iter().filter_map(|name| host_name(name)).take(4).collect();
            return match names.is_empty() {
                true => "it is for another host".to_owned(),
                false => format!("it is for another host ({})", names.join(", ")),
            };
        }
        C::NotValidForName => "it is for another host",
        C::Revoked => "it has been revoked",
        C::BadSignature => "its signature is wrong",
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => "it is not for a server",
        C::BadEncoding => "it is malformed",
        other if is_authority(other) => "it is an authority's own, not a server's",
        C::Other(OtherError(other)) if other.is::<TlsFailure>() => return other.to_string(),
        C::Other(OtherError(other)) => return super::words(other),
        other => return super::words(other),
    };
    check.to_owned()
}

/// `DnsName("a.test")` as `a.test`.
fn host_name(name: &str) -> Option<&str> {
    let name = name.split_once('(')?.1.trim_end_matches(')').trim_matches('"');
    name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_*:".contains(c)).then_some(name)
}

fn is_authority(reason: &CertificateError) -> bool {
    let CertificateError::Other(other) = reason else { return false };
    other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate)
        .is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

/// One that does not say what it is for is for anything (RFC 5280 §4.2.1.12).
fn is_for_servers(certificate: &[u8]) -> bool {
    extension(certificate, EXTENDED_KEY_USAGE).is_none_or(|usages| {
        let usages = elements(usages).next().unwrap_or_default().1;
        elements(usages).any(|(_, usage)| usage == SERVER_AUTH)
    })
}

/// What was made for a host without saying so in the way of today names it as `CN` alone.
fn common_name_is(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return false };
    let common =
        elements(parsed.subject()).flat_map(|(_, set)| elements(set)).filter(|(_, pair)| {
            elements(pair).next().is_some_and(|(_, identifier)| identifier == COMMON_NAME)
        });
    let Some((_, common)) = common.last().and_then(|(_, pair)| elements(pair).nth(1)) else {
        return false;
    };
    match name {
        ServerName::DnsName(name) => common.eq_ignore_ascii_case(name.as_ref().as_bytes()),
        ServerName::IpAddress(address) => common == IpAddr::from(*address).to_string().as_bytes(),
        _ => false,
    }
}

/// The value of an extension, by its identifier.
fn extension<'a>(certificate: &'a [u8], identifier: &[u8]) -> Option<&'a [u8]> {
    let (_, signed) = elements(certificate).next()?;
    let (_, fields) = elements(signed).next()?;
    // "extensions [3] EXPLICIT" (RFC 5280 §4.1).
    let (_, extensions) = elements(fields).find(|(tag, _)| *tag == 0xa3)?;
    let (_, list) = elements(extensions).next()?;
    let found = elements(list).find(|(_, extension)| {
        elements(extension).next().is_some_and(|(_, name)| name == identifier)
    });
    elements(found?.1).last().map(|(_, value)| value)
}

/// The elements of a run of DER, each with its tag, up to the first that is malformed.
fn elements(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [tag, first, rest @ ..] = der else { return None };
        let (length, rest) = match first {
            0..0x80 => (usize::from(*first), rest),
            _ => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                if digits.len() > 4 {
                    return None;
                }
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        der = rest;
        Some((*tag, contents))
    })
}
