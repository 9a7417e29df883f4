//! A TLS server in threads of its own, and the authority that certifies it.

#![allow(dead_code, reason = "each test file uses what it needs")]

use mainspring_http::rustls::pki_types::pem::PemObject;
use mainspring_http::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
};
use mainspring_http::rustls::server::WebPkiClientVerifier;
use mainspring_http::rustls::{
    HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// Issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        Self::named("authority")
    }

    pub fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub fn server(&self, name: &str) -> ServerConfig {
        self.server_with(name, |_| ())
    }

    pub fn expired_server(&self, name: &str) -> ServerConfig {
        self.server_with(name, |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    pub fn future_server(&self, name: &str) -> ServerConfig {
        self.server_with(name, |params| params.not_before = date_time_ymd(4000, 1, 1))
    }

    /// A server with a certificate that is good for clients only.
    pub fn client_server(&self, name: &str) -> ServerConfig {
        self.server_with(name, |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// A server that asks clients for a certificate of this authority.
    pub fn asking_server(&self, name: &str) -> ServerConfig {
        let (chain, key) = self.issue(name, |_| ());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(mainspring_http::rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(certificates(&chain), private_key(&key))
            .unwrap()
    }

    /// A client's certificate and key, as PEM.
    pub fn client(&self) -> (String, String) {
        self.issue("client", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// A server with a certificate whose serial number is 7, and the list that revokes it.
    pub fn revoked_server(
        &self,
        name: &str,
    ) -> (ServerConfig, CertificateRevocationListDer<'static>) {
        let number = SerialNumber::from(7_u64);
        let revoked = RevokedCertParams {
            serial_number: number.clone(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        let config = self.server_with(name, |params| params.serial_number = Some(number));
        (config, list.into())
    }

    pub fn server_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> ServerConfig {
        let (chain, key) = self.issue(name, change);
        serve_with(&chain, &key)
    }

    pub fn issue(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// A server that has signed its own certificate, and that as PEM.
pub fn self_signed(
    names: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> (ServerConfig, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let pem = params.self_signed(&key).unwrap().pem();
    (serve_with(&pem, &key.serialize_pem()), pem)
}

pub fn serve_with(chain: &str, key: &str) -> ServerConfig {
    let provider = mainspring_http::rustls::crypto::ring::default_provider();
    let mut config = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates(chain), private_key(key))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

fn private_key(pem: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap()
}

pub struct TlsServer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    hellos: Mutex<Receiver<String>>,
}

impl TlsServer {
    /// Answers each request with what `script` makes of its head. An answer that ends in `\0close`
    /// is followed by a proper end, one that ends in `\0cut` by the end of the connection alone, and
    /// one that ends in `\0broken` by a record that is none.
    pub fn new(
        config: ServerConfig,
        script: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (hello, hellos) = channel();
        let (config, script, record) = (Arc::new(config), Arc::new(script), seen.clone());
        thread::spawn(move || {
            for socket in listener.incoming() {
                let session = ServerConnection::new(config.clone()).unwrap();
                let stream = StreamOwned::new(session, socket.unwrap());
                let (script, record, hello) = (script.clone(), record.clone(), hello.clone());
                thread::spawn(move || {
                    // A client that refuses the certificate ends the handshake: no matter here.
                    serve(stream, &*script, &record, &|text| hello.send(text).unwrap_or_default())
                        .unwrap_or_default();
                });
            }
        });
        Self { address, seen, hellos: Mutex::new(hellos) }
    }

    pub fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.address.port())
    }

    /// The requests so far, heads and bodies.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// What the next handshake said: server name, protocol, and whether it was resumed.
    pub fn hello(&self) -> String {
        self.hellos.lock().unwrap().recv().unwrap()
    }
}

fn serve(
    mut stream: StreamOwned<ServerConnection, std::net::TcpStream>,
    script: &dyn Fn(&str) -> String,
    record: &Mutex<Vec<String>>,
    hello: &dyn Fn(String),
) -> std::io::Result<()> {
    let mut first = true;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if std::mem::take(&mut first) {
            let name = stream.conn.server_name().unwrap_or("-");
            let protocol = stream.conn.alpn_protocol().unwrap_or(b"-").escape_ascii();
            let kind = match stream.conn.handshake_kind() {
                Some(HandshakeKind::Resumed) => "resumed",
                _ => "full",
            };
            hello(format!("{name} {protocol} {kind}"));
        }
        let mut request = String::from_utf8(head).unwrap();
        let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body)?;
        let answer = script(&request);
        request.push_str(std::str::from_utf8(&body).unwrap());
        record.lock().unwrap().push(request);
        let (answer, end) = answer.split_once('\0').unwrap_or((&answer, ""));
        stream.write_all(answer.as_bytes())?;
        if end == "broken" {
            // In one piece with the answer, as far as the system lets it.
            let mut records = Vec::new();
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut records)?;
            }
            records.extend_from_slice(b"\x17\x03\x03\x00\x20no record of this session at all");
            stream.sock.write_all(&records)?;
        }
        stream.flush()?;
        if end == "close" {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        if !end.is_empty() {
            return stream.sock.shutdown(Shutdown::Write);
        }
    }
}
