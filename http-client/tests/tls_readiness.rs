//! The four mistakes that TLS invites on a loop that waits for readiness, each as a test that hangs
//! or fails where it is made: waiting for the socket while the session holds plaintext, keeping back
//! records that have to go out, taking the mere end of the connection for the end of a body, and
//! taking what belongs to the session for unasked bytes on an idle connection.
//!
//! The servers run in threads of their own, and say each thing at a point in time that the test
//! chooses. Where it matters that what was said has arrived, they speak over a Unix socket: what has
//! been written to one is there to be read, which is not so over loopback.

#![cfg(all(unix, feature = "tls"))]

mod support {
    pub mod tls_server;
}

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use mainspring::net::UnixStream;
use mainspring_http::rustls::{ServerConfig, ServerConnection, StreamOwned};
use mainspring_http::{Client, ClientBuilder, CloseReason, Error, Upgraded};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream as StdUnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use support::tls_server::{Authority, TlsServer};

const URL: &str = "https://a.test/";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n";

type Stream = StreamOwned<ServerConnection, StdUnixStream>;

fn trusting(authority: &Authority) -> ClientBuilder {
    let builder = Client::builder().only_added_root_certificates();
    builder.add_root_certificates(authority.pem.as_bytes()).unwrap()
}

/// A server for one connection, which `serve` speaks on. The path of its socket, and what `serve`
/// returns.
fn once<T: Send + 'static>(
    config: ServerConfig,
    serve: impl FnOnce(Stream) -> T + Send + 'static,
) -> (PathBuf, JoinHandle<T>) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("mainspring-http-tls-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    let bound = path.clone();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        std::fs::remove_file(bound).unwrap();
        serve(StreamOwned::new(ServerConnection::new(config.into()).unwrap(), socket))
    });
    (path, server)
}

fn read_head(stream: &mut Stream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

async fn upgraded(client: &Client) -> Upgraded {
    let request = client.get(URL).header("connection", "upgrade").header("upgrade", "x");
    request.send().await.unwrap().upgrade().unwrap()
}

async fn text(client: &Client, url: &str) -> Result<String, Error> {
    client.get(url).send().await?.text().await
}

/// Lets the loop find out what has happened to its sockets: waits for an event that came after it.
async fn look_around() {
    let (here, there) = UnixStream::pair().unwrap();
    let mut byte = [0];
    let (mut here, mut there) = (&here, &there);
    let mut event = here.read(&mut byte);
    assert!((&mut event).now_or_never().is_none());
    there.write_all(b"!").await.unwrap();
    event.await.unwrap();
}

#[test]
fn plaintext_that_is_held_is_given_out_before_the_socket_is_waited_for() {
    let authority = Authority::new();
    let (path, server) = once(authority.server("a.test"), |mut stream| {
        read_head(&mut stream);
        stream.write_all(SWITCH).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        // One record, and nothing after it until the client has gone.
        stream.write_all(b"hello").unwrap();
        stream.read(&mut [0]).unwrap()
    });
    mainspring::run(async {
        let mut stream = upgraded(&trusting(&authority).unix_socket(path).build()).await;
        stream.write_all(b"?").await.unwrap();
        let mut said = [0; 5];
        stream.read_exact(&mut said[..1]).await.unwrap();
        // Nothing more comes over the socket: these have to be ready as they are asked for.
        for byte in said[1..].chunks_mut(1) {
            let read = stream.read(byte).now_or_never();
            assert_eq!(read.expect("it is in the session").unwrap(), 1);
        }
        assert_eq!(&said, b"hello");
        stream.close().await.unwrap();
    });
    assert_eq!(server.join().unwrap(), 0);
}

#[test]
fn what_the_session_has_to_say_goes_out_before_a_wait_and_before_the_end() {
    let authority = Authority::new();
    // The alert that follows packets which were processed, and refused.
    let (path, server) = once(authority.server("b.test"), |mut stream| {
        stream.read(&mut [0]).unwrap_err().to_string()
    });
    mainspring::run(async {
        text(&trusting(&authority).unix_socket(path).build(), URL).await.unwrap_err();
    });
    assert_eq!(server.join().unwrap(), "received fatal alert: BadCertificate");

    // The word that nothing more comes, before the socket is shut. Then the other side goes on.
    let (path, server) = once(authority.server("a.test"), |mut stream| {
        read_head(&mut stream);
        stream.write_all(SWITCH).unwrap();
        let mut said = Vec::new();
        // An end that was not declared would be an error.
        let count = stream.read_to_end(&mut said).unwrap();
        stream.write_all(b"well?").unwrap();
        (count, said == vec![b'x'; count])
    });
    mainspring::run(async {
        let mut stream = upgraded(&trusting(&authority).unix_socket(path).build()).await;
        stream.write_all(&vec![b'x'; 8 << 20]).await.unwrap();
        stream.close().await.unwrap();
        let mut said = [0; 5];
        stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"well?");
    });
    assert_eq!(server.join().unwrap(), (8 << 20, true));
}

#[test]
fn the_end_of_the_connection_without_close_notify_is_not_the_end_of_a_body() {
    let authority = Authority::new();
    let server = TlsServer::new(authority.server("a.test"), move |head| {
        let end = if head.contains("/cut") { "\0cut" } else { "\0close" };
        format!("HTTP/1.1 200 OK\r\n\r\nall{end}")
    });
    mainspring::run(async {
        let here = "127.0.0.1".parse().unwrap();
        let client = trusting(&authority).resolve("a.test", &[here]).build();
        let url = server.url("a.test");
        assert_eq!(text(&client, &format!("{url}whole")).await.unwrap(), "all");
        let mut response = client.get(format!("{url}cut")).send().await.unwrap();
        let mut body = Vec::new();
        let error = loop {
            match response.chunk().await.expect("no end without a word") {
                Ok(piece) => body.extend_from_slice(&piece),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(body, b"all");
        let expected = "TLS: the connection ended without TLS's close_notify";
        assert!(error.contains(expected), "{error}");
    });
}

/// Answers the first request with the first flight, before it was asked, so that the tickets, which
/// come in answer to the client's own first flight, find the answer read and the connection idle.
fn tickets_late(stream: &mut Stream, go: &Receiver<()>) {
    let Stream { conn, sock } = stream;
    while !conn.wants_write() {
        conn.read_tls(sock).unwrap();
        conn.process_new_packets().unwrap();
    }
    conn.writer().write_all(OK).unwrap();
    while conn.wants_write() {
        conn.write_tls(sock).unwrap();
    }
    go.recv().unwrap();
    read_head(stream);
    stream.flush().unwrap();
}

/// Answers, and changes its keys when the answer has been read.
fn keys_late(stream: &mut Stream, go: &Receiver<()>) {
    read_head(stream);
    stream.write_all(OK).unwrap();
    go.recv().unwrap();
    stream.conn.refresh_traffic_keys().unwrap();
    stream.flush().unwrap();
}

#[test]
fn tickets_and_new_keys_on_an_idle_connection_do_not_cost_it() {
    for late in [tickets_late, keys_late] {
        let authority = Authority::new();
        let mut config = authority.server("a.test");
        config.send_half_rtt_data = true;
        let (go, wait) = channel();
        let (told, done): (Sender<usize>, _) = channel();
        let (path, server) = once(config, move |mut stream| {
            late(&mut stream, &wait);
            told.send(0).unwrap();
            read_head(&mut stream);
            stream.write_all(OK).unwrap();
        });
        mainspring::run(async {
            let client = trusting(&authority).unix_socket(path).build();
            assert_eq!(text(&client, URL).await.unwrap(), "hi");
            assert_eq!(client.stats().idle, 1);
            go.send(()).unwrap();
            done.recv().unwrap();
            look_around().await;
            assert_eq!(text(&client, URL).await.unwrap(), "hi");
            let stats = client.stats();
            assert_eq!((stats.opened, stats.reused, stats.repeated), (1, 1, 0));
        });
        server.join().unwrap();
    }
}

#[test]
fn bytes_of_a_response_on_an_idle_connection_do_cost_it() {
    let authority = Authority::new();
    let (go, wait) = channel();
    let (told, done) = channel();
    let (path, server) = once(authority.server("a.test"), move |mut stream| {
        read_head(&mut stream);
        stream.write_all(OK).unwrap();
        wait.recv().unwrap();
        stream.write_all(OK).unwrap();
        told.send(()).unwrap();
        stream.read(&mut [0]).unwrap_or_default()
    });
    mainspring::run(async {
        let client = trusting(&authority).unix_socket(path).build();
        assert_eq!(text(&client, URL).await.unwrap(), "hi");
        go.send(()).unwrap();
        done.recv().unwrap();
        look_around().await;
        // There is no second connection to be had: it is the first that counts.
        let error = text(&client, URL).await.unwrap_err();
        assert!(error.is_connect(), "{error}");
        let reasons: Vec<_> = client.stats().close_reasons().collect();
        assert_eq!(reasons, [(CloseReason::BytesWhileIdle, 1)]);
    });
    assert_eq!(server.join().unwrap(), 0);
}
