//! `crawl` and certificates: which it trusts, and what it says of those that it does not.

mod cli_support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use cli_support::{Canned, Scratch, run};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A site that shows a certificate for localhost which it has made itself.
struct Secure {
    port: u16,
    pem: String,
    thread: Option<JoinHandle<()>>,
}

impl Secure {
    fn start() -> Secure {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("its key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let config = Arc::new(config);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map(|stream| stream.expect("a connection")) {
                // A client that hangs up is what some of the tests are about; one that says nothing
                // at all ends the site.
                if stream.peek(&mut [0]).is_ok_and(|bytes| bytes == 0) {
                    return;
                }
                answer(stream, config.clone()).unwrap_or_default();
            }
        });
        Secure { port, pem: made.cert.pem(), thread: Some(thread) }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let stream = reader.get_mut();
    stream.write_all(Canned::page("<h1>safe</h1>").as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

impl Drop for Secure {
    fn drop(&mut self) {
        drop(TcpStream::connect(("127.0.0.1", self.port)).expect("it listens"));
        self.thread.take().expect("once").join().expect("no panic");
    }
}

#[test]
fn a_certificate_is_trusted_if_the_command_line_says_so() {
    let site = Secure::start();
    let scratch = Scratch::new("tls");
    let (roots, none) = (scratch.path("roots.pem"), scratch.path("none.pem"));
    fs::write(&roots, &site.pem).expect("written");
    fs::write(&none, "no certificate").expect("written");
    let url = site.url("/");
    let fetch = |args: &[&str]| run(&[&["fetch", &url, "--select", "h1"], args].concat());
    let refused = fetch(&[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    for trusting in [&["--cacert", &roots][..], &["--danger-accept-invalid-certs"]] {
        let ran = fetch(trusting);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "safe\n"), "{}", ran.stderr);
    }
    let ran = fetch(&["--cacert", &none]);
    let said = format!("crawl: cannot take certificates from {none}: ");
    assert!(ran.code == 1 && ran.stderr.starts_with(&said), "{}", ran.stderr);

    let get = |args: &[&str]| run(&[&["get", "-v", &url], args].concat());
    let refused = get(&[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    for trusting in [&["--cacert", &*roots][..], &["-k"]] {
        let ran = get(trusting);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "<h1>safe</h1>"), "{}", ran.stderr);
        assert!(ran.stderr.contains(", TLS "), "how long the handshake took: {}", ran.stderr);
    }
}

/// As every site does that has moved from http to https.
#[test]
fn a_beginning_may_be_sent_from_http_to_https() {
    let secure = Secure::start();
    let to = secure.url("/");
    let plain = Canned::start(move |_| cli_support::moved(301, &to));
    let scratch = Scratch::new("https");
    let roots = scratch.path("roots.pem");
    fs::write(&roots, &secure.pem).expect("written");
    let start = plain.url("/").replace("127.0.0.1", "localhost");
    for command in [&["fetch"][..], &["site", "--ignore-robots"]] {
        let ran = run(&[command, &[&start, "--cacert", &roots, "--select", "h1"]].concat());
        assert_eq!((ran.code, &*ran.stdout), (0, "safe\n"), "{}", ran.stderr);
        let said = format!("note: {start} redirects to {}: ", secure.url("/"));
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
    // The name of another host is another site, https or not.
    let ran = run(&["fetch", &plain.url("/"), "--cacert", &roots]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("--any-host allows it"), "{}", ran.stderr);
}
