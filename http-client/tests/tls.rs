//! HTTPS against a server of our own with certificates made on the spot.

#![cfg(feature = "tls")]

mod support {
    pub mod tls_server;
}

use mainspring_http::rustls::client::WebPkiServerVerifier;
use mainspring_http::rustls::pki_types::{CertificateDer, pem::PemObject};
use mainspring_http::rustls::{self, ClientConfig, RootCertStore};
use mainspring_http::{Client, ClientBuilder, Error, Phase};
use rcgen::{BasicConstraints, IsCa};
use std::sync::Arc;
use support::tls_server::{Authority, TlsServer, self_signed_server};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

fn trusting(authority: &Authority) -> ClientBuilder {
    let here = "127.0.0.1".parse().unwrap();
    let builder = Client::builder().only_added_root_certificates();
    builder.resolve("a.test", &[here]).add_root_certificates(authority.pem.as_bytes()).unwrap()
}

async fn text(client: &Client, url: &str) -> Result<String, Error> {
    client.get(url).send().await?.text().await
}

#[test]
fn a_trusted_server_is_asked_twice_over_one_connection() {
    let authority = Authority::new();
    let server = TlsServer::new(authority.server("a.test"), |_| OK.into());
    mainspring::run(async {
        let client = trusting(&authority).build();
        for _ in 0..3 {
            assert_eq!(text(&client, &server.url("a.test")).await.unwrap(), "hi");
        }
        // The session tickets of TLS 1.3 came while it was idle, or with an answer.
        assert_eq!((client.stats().opened, client.stats().reused), (1, 2));
    });
    let seen = server.seen();
    assert!(seen[0].starts_with("GET / HTTP/1.1\r\nhost: a.test:"), "{}", seen[0]);
    assert_eq!(server.hello(), "a.test http/1.1 full");
}

#[test]
fn a_second_connection_resumes_the_session() {
    let authority = Authority::new();
    let server = TlsServer::new(authority.server("a.test"), |_| OK.into());
    mainspring::run(async {
        let client = trusting(&authority).max_idle_connections(0).build();
        for _ in 0..2 {
            assert_eq!(text(&client, &server.url("a.test")).await.unwrap(), "hi");
        }
    });
    assert_eq!(server.hello(), "a.test http/1.1 full");
    assert_eq!(server.hello(), "a.test http/1.1 resumed");
}

#[test]
fn a_refused_certificate_is_refused_for_a_reason_that_is_told() {
    let authority = Authority::new();
    let stranger = Authority::named("stranger");
    // Of the same name as the authority, with another key.
    let impostor = Authority::new();
    let unknown = "no trusted authority has issued it (UnknownIssuer)";
    let rows = [
        (stranger.server("a.test"), unknown),
        (impostor.server("a.test"), "its signature is wrong"),
        (self_signed_server("a.test", IsCa::ExplicitNoCa), unknown),
        (
            self_signed_server("a.test", IsCa::Ca(BasicConstraints::Unconstrained)),
            "it is an authority's own, not a server's",
        ),
        (authority.server("b.test"), "it is for another host"),
        (authority.server("*.a.test"), "it is for another host"),
        (authority.server("127.0.0.1"), "it is for another host"),
        (authority.client_server("a.test"), "it is not for a server"),
        (authority.expired_server("a.test"), "it has expired"),
        (authority.future_server("a.test"), "it is not valid yet"),
    ];
    for (config, reason) in rows {
        let server = TlsServer::new(config, |_| OK.into());
        let url = server.url("a.test");
        mainspring::run(async {
            let error = text(&trusting(&authority).build(), &url).await.unwrap_err();
            let expected = format!("GET {url}: TLS: the server's certificate is refused: {reason}");
            assert!(error.to_string().starts_with(&expected), "{error}\nnot {expected}");
            assert_eq!(error.phase(), Some(Phase::Tls));
            let client = trusting(&authority).danger_accept_invalid_certs(true).build();
            assert_eq!(text(&client, &url).await.unwrap(), "hi", "{reason}");
        });
    }
}

#[test]
fn a_list_of_revoked_certificates_can_be_brought_along() {
    let authority = Authority::new();
    let (config, list) = authority.revoked_server("a.test");
    let server = TlsServer::new(config, |_| OK.into());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    let verifier = verifier.with_crls([list]).build().unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    let url = server.url("a.test");
    mainspring::run(async {
        // Without the list, nobody knows.
        assert_eq!(text(&trusting(&authority).build(), &url).await.unwrap(), "hi");
        let client = trusting(&authority).tls_config(config.into()).build();
        assert_eq!(
            text(&client, &url).await.unwrap_err().to_string(),
            format!(
                "GET {url}: TLS: the server's certificate is refused: it has been revoked \
                 (Revoked)"
            )
        );
    });
}

/// The system's list is found by an environment variable here, which only a process of its own can
/// have: this test starts itself again.
#[test]
fn what_the_system_trusts_is_trusted() {
    const URL: &str = "MAINSPRING_HTTP_TEST_URL";
    if let Ok(url) = std::env::var(URL) {
        let here = "127.0.0.1".parse().unwrap();
        let client = Client::builder().resolve("a.test", &[here]).build();
        println!("{:?}", mainspring::run(text(&client, &url)));
        return;
    }
    let authority = Authority::new();
    let server = TlsServer::new(authority.server("a.test"), |_| OK.into());
    let name = format!("mainspring-http-roots-{}", std::process::id());
    let file = std::env::temp_dir().join(name);
    let child = |pem: &str| {
        std::fs::write(&file, pem).unwrap();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "what_the_system_trusts_is_trusted", "--nocapture"])
            .env(URL, server.url("a.test"))
            .env("SSL_CERT_FILE", &file)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let said = child(&authority.pem);
    assert!(said.contains("Ok(\"hi\")"), "{said}");
    let said = child(&Authority::named("stranger").pem);
    assert!(said.contains("no trusted authority has issued it"), "{said}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_literal_address_is_checked_as_an_address() {
    let authority = Authority::new();
    let server = TlsServer::new(authority.server("127.0.0.1"), |_| OK.into());
    mainspring::run(async {
        let client = trusting(&authority).build();
        assert_eq!(text(&client, &server.url("127.0.0.1")).await.unwrap(), "hi");
    });
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_it() {
    let authority = Authority::new();
    let server = TlsServer::new(authority.asking_server("a.test"), |_| OK.into());
    let (chain, key) = authority.client();
    mainspring::run(async {
        let client = trusting(&authority);
        let client = client.client_certificate(chain.as_bytes(), key.as_bytes()).unwrap().build();
        assert_eq!(text(&client, &server.url("a.test")).await.unwrap(), "hi");
        let error = text(&trusting(&authority).build(), &server.url("a.test")).await.unwrap_err();
        assert!(error.to_string().contains("CertificateRequired"), "{error}");
    });
}

#[test]
fn large_bodies_go_both_ways() {
    let authority = Authority::new();
    let body = "0123456789abcdef".repeat(100_000);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let server = TlsServer::new(authority.server("a.test"), move |_| answer.clone());
    mainspring::run(async {
        let client = trusting(&authority).build();
        for _ in 0..2 {
            let request = client.post(server.url("a.test")).body(body.clone());
            assert!(request.send().await.unwrap().text().await.unwrap() == body);
        }
        assert_eq!(client.stats().opened, 1);
    });
    assert!(server.seen().iter().all(|seen| seen.ends_with(&body)));
}

#[test]
fn a_server_without_tls_is_told_as_such() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
    });
    mainspring::run(async {
        let error = text(&Client::new(), &format!("https://127.0.0.1:{port}/")).await.unwrap_err();
        let expected = "TLS: the handshake failed: received corrupt message";
        assert!(error.to_string().contains(expected), "{error}");
    });
    server.join().unwrap();
}

#[test]
fn text_that_is_no_certificate_is_refused_when_it_is_given() {
    let error = Client::builder().add_root_certificates(b"nonsense").err().unwrap();
    assert_eq!(error.to_string(), "TLS: root certificate: there is none in the PEM text");
    let error = Client::builder().client_certificate(b"", b"").err().unwrap();
    assert!(error.to_string().starts_with("TLS: client key: "), "{error}");
}
