//! HTTPS against a server of our own with certificates made on the spot.

#![cfg(feature = "tls")]

mod support {
    pub mod tls_server;
}

use mainspring_http::rustls::client::WebPkiServerVerifier;
use mainspring_http::rustls::pki_types::{CertificateDer, pem::PemObject};
use mainspring_http::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use mainspring_http::{Client, ClientBuilder, Error, ErrorKind, Phase};
use rcgen::ExtendedKeyUsagePurpose::{self, ClientAuth, ServerAuth};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, date_time_ymd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use support::tls_server::{Authority, TlsServer, self_signed, serve_with};

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
    let unknown = "no trusted authority has issued it";
    let own = "it is self-signed, and not among those that were added as trusted";
    let is_ca =
        |constraints| move |params: &mut CertificateParams| params.is_ca = IsCa::Ca(constraints);
    let rows = [
        (stranger.server("a.test"), unknown),
        (impostor.server("a.test"), "its signature is wrong"),
        (self_signed(&["a.test"], |params| params.is_ca = IsCa::ExplicitNoCa).0, own),
        (self_signed(&["a.test"], |_| ()).0, own),
        (self_signed(&["a.test"], is_ca(BasicConstraints::Unconstrained)).0, own),
        (self_signed(&["a.test"], is_ca(BasicConstraints::Constrained(0))).0, own),
        (self_signed(&["b.test"], |_| ()).0, own),
        (
            authority.server_with("a.test", is_ca(BasicConstraints::Unconstrained)),
            "it is an authority's own, not a server's",
        ),
        (authority.server("b.test"), "it is for another host (b.test)"),
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
            // Neither a variant's name nor a struct's fields.
            let dumped = ['{', '[', '"'];
            assert!(!error.to_string().contains(dumped), "{error}");
            let names = ["Issuer", "IpAddress", "DnsName"];
            assert!(!names.iter().any(|name| error.to_string().contains(name)), "{error}");
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
            format!("GET {url}: TLS: the server's certificate is refused: it has been revoked")
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
        let expected = "TLS: the server sent the alert \"certificate required\" (";
        assert!(error.to_string().contains(expected), "{error}");
        // It came when the handshake was over for us.
        assert_ne!(error.phase(), Some(Phase::Tls));
    });
}

/// `--cacert` with the server's own certificate, as curl with OpenSSL and `X509_V_FLAG_PARTIAL_CHAIN`
/// takes it: that which was added, byte for byte, with dates, purpose and names as of any other.
#[test]
fn a_certificate_that_was_added_is_good_for_its_server() {
    type Change = fn(&mut CertificateParams);
    let any: Change = |_| ();
    // What `openssl req -x509` makes.
    let ca: Change = |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = |params: &mut CertificateParams, name: &str| {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "a.test");
        params.distinguished_name.push(DnType::CommonName, name);
    };
    type Row<'a> = (&'a [&'a str], &'a dyn Fn(&mut CertificateParams), &'a str);
    let rows: [Row<'_>; 19] = [
        (&["a.test"], &any, "good"),
        (&["a.test"], &ca, "good"),
        (&["b.test", "a.test"], &ca, "good"),
        (&["b.test", "127.0.0.1", "a.test"], &ca, "good"),
        (&["a.test"], &|params| params.is_ca = IsCa::ExplicitNoCa, "good"),
        (&["a.test"], &|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)), "good"),
        (&["b.test"], &ca, "it is for another host (b.test)"),
        (&["127.0.0.1"], &ca, "it is for another host"),
        // Without the names of today: the last CN, as with curl.
        (&[], &|params| (ca(params), name(params, "a.test")).0, "good"),
        (&[], &|params| (any(params), name(params, "A.test")).0, "good"),
        (&[], &|params| (ca(params), name(params, "b.test")).0, "it is for another host"),
        (&[], &|params| (ca(params), name(params, "*.test")).0, "it is for another host"),
        (&["b.test"], &|params| (ca(params), name(params, "a.test")).0, "it is for another host"),
        (&["a.test"], &|params| (ca(params), expire(params)).0, "it has expired"),
        (&["a.test"], &expire, "it has expired"),
        (
            &["a.test"],
            &|params| (ca(params), params.not_before = date_time_ymd(4000, 1, 1)).0,
            "it is not valid yet",
        ),
        (
            &["a.test"],
            &|params| (ca(params), for_use(params, &[ClientAuth])).0,
            "it is not for a server",
        ),
        (
            &["a.test"],
            &|params| (any(params), for_use(params, &[ClientAuth])).0,
            "it is not for a server",
        ),
        (&["a.test"], &|params| (ca(params), for_use(params, &[ClientAuth, ServerAuth])).0, "good"),
    ];
    for (index, (names, change, outcome)) in rows.into_iter().enumerate() {
        let (config, pem) = self_signed(names, change);
        check_added(config, &pem, outcome, &format!("row {index}"));
    }
    // Issued by an authority that is not trusted, but added itself.
    let stranger = Authority::named("stranger");
    for (name, outcome) in [("a.test", "good"), ("b.test", "it is for another host (b.test)")] {
        let (pem, key) = stranger.issue(name, |_| ());
        check_added(serve_with(&pem, &key), &pem, outcome, name);
    }
    // All that two have in common is what they say.
    let (_, other) = self_signed(&["a.test"], ca);
    let (config, _) = self_signed(&["a.test"], ca);
    check_added(config, &other, "it is self-signed", "another key");
}

fn expire(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
}

fn for_use(params: &mut CertificateParams, usages: &[ExtendedKeyUsagePurpose]) {
    params.extended_key_usages = usages.to_vec();
}

fn check_added(config: ServerConfig, pem: &str, outcome: &str, row: &str) {
    let server = TlsServer::new(config, |_| OK.into());
    let here = "127.0.0.1".parse().unwrap();
    let client = Client::builder().only_added_root_certificates().resolve("a.test", &[here]);
    let client = client.add_root_certificates(pem.as_bytes()).unwrap().build();
    let text = mainspring::run(text(&client, &server.url("a.test")));
    match (text, outcome) {
        (Ok(text), "good") => assert_eq!(text, "hi"),
        (Err(error), _) => {
            let expected = format!("the server's certificate is refused: {outcome}");
            assert!(error.to_string().contains(&expected), "{row}: {error}\nnot {expected}");
        }
        (Ok(_), _) => panic!("{row}: it is good, but {outcome}"),
    }
}

/// RFC 9112 §9.8: an end that TLS did not declare cuts short what does not say itself where it ends.
/// curl: `end of response with 96 bytes missing`, `unexpected eof while reading`.
#[test]
fn a_connection_that_ends_or_breaks_within_an_answer_is_told_as_that() {
    const LENGTH: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfour";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\n";
    const OPEN: &str = "HTTP/1.1 200 OK\r\n\r\nfour";
    let undeclared = "TLS: the connection ended without TLS's close_notify";
    let broken = "TLS: decrypt error";
    let rows = [
        (LENGTH, "cut", "ended after 4 of 100 bytes of the body (RFC 9112 §8)"),
        (LENGTH, "close", "ended after 4 of 100 bytes of the body (RFC 9112 §8)"),
        (LENGTH, "broken", broken),
        (CHUNKED, "cut", "ended after 4 bytes of a chunked body, before its end"),
        (CHUNKED, "close", "ended after 4 bytes of a chunked body, before its end"),
        (CHUNKED, "broken", broken),
        (OPEN, "cut", undeclared),
        (OPEN, "close", ""),
        (OPEN, "broken", broken),
        ("HTTP/1.1 200 O", "cut", "ended after 14 bytes of the response head"),
        ("HTTP/1.1 200 O", "broken", broken),
        ("", "cut", "the peer closed the connection without an answer"),
        ("", "close", "the peer closed the connection without an answer"),
        ("", "broken", broken),
        // All that was promised has come.
        (OK, "cut", ""),
        (OK, "broken", ""),
    ];
    let authority = Authority::new();
    for (answer, end, expected) in rows {
        let server =
            TlsServer::new(authority.server("a.test"), move |_| format!("{answer}\0{end}"));
        mainspring::run(async {
            let client = trusting(&authority).build();
            let mut came = Vec::new();
            let outcome = async {
                let mut response = client.get(server.url("a.test")).send().await?;
                while let Some(piece) = response.chunk().await? {
                    came.extend_from_slice(&piece);
                }
                Ok::<_, Error>(())
            };
            let body: &[u8] = if answer.contains("four") { b"four" } else { b"" };
            match outcome.await {
                Ok(()) => assert_eq!(expected, "", "{answer} {end}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        !expected.is_empty() && text.contains(expected),
                        "{answer} {end}: {text}"
                    );
                    assert!(!text.contains("docs.rs") && !text.contains("rustls"), "{text}");
                    assert_ne!(error.phase(), Some(Phase::Tls), "{text}");
                    // What came before is not lost with what came after it.
                    assert_eq!(came, body, "{answer} {end}");
                }
            }
            assert_eq!(server.seen().len(), 1, "{answer} {end}: asked once");
        });
    }
}

/// RFC 9110 §9.2.2: a kept connection may have been closed meanwhile, declared or not; an error of TLS is
/// an answer of a kind.
#[test]
fn a_kept_connection_that_ends_is_replaced_and_one_that_breaks_is_not() {
    let authority = Authority::new();
    for (end, expected) in [("cut", Ok(3)), ("close", Ok(3)), ("broken", Err(2))] {
        let count = AtomicUsize::new(0);
        let server = TlsServer::new(authority.server("a.test"), move |_| {
            match count.fetch_add(1, Relaxed) {
                1 => format!("\0{end}"),
                _ => OK.to_owned(),
            }
        });
        mainspring::run(async {
            let client = trusting(&authority).build();
            assert_eq!(text(&client, &server.url("a.test")).await.unwrap(), "hi");
            let second = text(&client, &server.url("a.test")).await;
            let seen = server.seen().len();
            match second {
                Ok(_) => assert_eq!(Ok(seen), expected, "{end}"),
                Err(error) => {
                    assert_eq!(Err(seen), expected, "{end}: {error}");
                    assert!(matches!(error.kind(), ErrorKind::Tls(_)), "{error}");
                }
            }
        });
    }
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
        let expected = "TLS: the handshake failed: the server does not speak TLS";
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
