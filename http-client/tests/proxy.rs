//! Requests through proxies, each a few lines of its own.

mod support {
    pub mod server;
    #[cfg(feature = "tls")]
    pub mod tls_server;
}

use mainspring_http::{Client, Proxy};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use support::server::{Server, ok, say, say_and_close};

/// A proxy that does with each connection what `handle` does: the lines that it noted come out.
fn proxy(
    handle: impl Fn(&mut TcpStream) -> (String, Option<SocketAddr>) + Send + Sync + 'static,
) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (note, notes) = channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let (text, target) = handle(&mut client);
            note.send(text).unwrap_or_default();
            if let Some(target) = target {
                join(client, TcpStream::connect(target).unwrap());
            }
        }
    });
    (address, notes)
}

fn join(client: TcpStream, server: TcpStream) {
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            if std::io::copy(&mut from, &mut to).is_ok() {
                to.shutdown(Shutdown::Write).unwrap_or_default();
            }
        })
    };
    let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    copy(client, server);
    copy(server_too, client_too);
}

#[cfg(feature = "tls")]
fn read_head(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn receive<const N: usize>(client: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).unwrap();
    bytes
}

async fn text(client: &Client, url: &str) -> Result<String, mainspring_http::Error> {
    client.get(url).send().await?.text().await
}

#[test]
fn plain_requests_name_the_whole_url_and_share_connections() {
    let server = Server::new(|seen| ok(seen.line()));
    mainspring::run(async {
        let url = format!("http://me:secret@{}", server.address);
        let proxy = Proxy::new(&url).unwrap();
        let client = Client::builder().proxy(proxy).no_proxy(["127.0.0.1"]).build();
        let url = "http://a.test/x?y#z";
        assert_eq!(text(&client, url).await.unwrap(), "GET http://a.test/x?y");
        let url = "http://u:p@b.test:81/";
        assert_eq!(text(&client, url).await.unwrap(), "GET http://b.test:81/");
        assert_eq!(client.stats().opened, 1, "one connection for two hosts");
        assert_eq!(text(&client, &server.url("/direct")).await.unwrap(), "GET /direct");
    });
    let seen = server.seen();
    assert_eq!(seen[0].field("host"), Some("a.test"));
    assert_eq!(seen[0].field("proxy-authorization"), Some("Basic bWU6c2VjcmV0"));
    assert_eq!(seen[1].field("authorization"), Some("Basic dTpw"));
    assert_eq!(seen[2].field("proxy-authorization"), None);
}

#[cfg(feature = "tls")]
#[test]
fn https_goes_through_a_tunnel() {
    use support::tls_server::{Authority, TlsServer};
    let authority = Authority::new();
    let server = TlsServer::new(authority.server("a.test"), |_| {
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".into()
    });
    let url = server.url("a.test");
    let target = SocketAddr::from((
        [127, 0, 0, 1],
        url.rsplit_once(':').unwrap().1.trim_end_matches('/').parse().unwrap(),
    ));
    let (address, notes) = proxy(move |client| {
        let head = read_head(client);
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        (head, Some(target))
    });
    mainspring::run(async {
        let proxy = Proxy::new(format!("http://me:secret@{address}")).unwrap();
        let client = Client::builder().proxy(proxy).only_added_root_certificates();
        let client = client.add_root_certificates(authority.pem.as_bytes()).unwrap().build();
        for _ in 0..2 {
            assert_eq!(text(&client, &url).await.unwrap(), "hi");
        }
        assert_eq!(client.stats().opened, 1);
    });
    let port = target.port();
    assert_eq!(
        notes.recv().unwrap(),
        format!(
            "CONNECT a.test:{port} HTTP/1.1\r\nhost: a.test:{port}\r\n\
             proxy-authorization: Basic bWU6c2VjcmV0\r\n\r\n"
        )
    );
    assert!(!server.seen()[0].contains("proxy-authorization"), "that is for the proxy alone");
}

#[cfg(feature = "tls")]
#[test]
fn a_tunnel_that_is_refused_is_told() {
    let server = Server::new(|_| say("HTTP/1.1 407 Who Are You\r\ncontent-length: 0\r\n\r\n"));
    mainspring::run(async {
        let proxy = Proxy::new(server.url("/")).unwrap();
        let client = Client::builder().proxy(proxy).build();
        let error = text(&client, "https://a.test/").await.unwrap_err();
        let expected = format!(
            "GET https://a.test/: the proxy http://{}: it answered CONNECT a.test:443 with 407 Who \
             Are You: it wants a user name and a password",
            server.address
        );
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error.kind(), mainspring_http::ErrorKind::Proxy(_)));
    });
}

/// Dead, unknown, refusing, silent, or no proxy at all: each is told as the proxy's fault, with what
/// named it. curl says `Could not resolve proxy`, `Failed to connect to … via`, `CONNECT tunnel failed`.
#[test]
fn a_proxy_that_fails_is_told_with_what_named_it() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refuses = |status: &'static str| {
        Server::new(move |_| say(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")))
    };
    let (forbids, nonsense) = (refuses("403 Not There"), Server::new(|_| say("SSH-2.0-x\r\n")));
    let closes = Server::new(|_| say_and_close(""));
    let (no_socks, _) = proxy(|client| {
        let _: [u8; 3] = receive(client);
        client.write_all(b"SSH-2.0-x").unwrap();
        (String::new(), None)
    });
    let (http, tunnel) = ("http://10.0.0.1/", "https://10.0.0.1/");
    let long = refuses(&*Box::leak(format!("502 {}", "long ".repeat(6000)).into_boxed_str()));
    let rows = [
        (format!("http://{dead}"), http, "cannot connect: "),
        (format!("http://{dead}"), tunnel, "cannot connect: "),
        (format!("socks5h://{dead}"), http, "cannot connect: "),
        ("http://no-such-proxy.invalid:1".to_owned(), http, "cannot resolve the host: "),
        ("socks5://no-such-proxy.invalid:1".to_owned(), tunnel, "cannot resolve the host: "),
        (forbids.url(""), tunnel, "it answered CONNECT 10.0.0.1:443 with 403 Not There"),
        (long.url(""), tunnel, "it answered CONNECT 10.0.0.1:443 with 502 long long "),
        (nonsense.url(""), tunnel, "bad response: not an HTTP response"),
        (nonsense.url(""), http, "bad response: not an HTTP response"),
        (closes.url(""), tunnel, "the peer closed the connection without an answer"),
        (closes.url(""), http, "the peer closed the connection without an answer"),
        (format!("socks5h://{no_socks}"), http, "it does not speak SOCKS5"),
    ];
    for (proxy, url, reason) in rows {
        if cfg!(not(feature = "tls")) && url == tunnel {
            continue;
        }
        mainspring::run(async {
            let client = Proxy::new(&proxy).unwrap().named_by("--proxy");
            let error = text(&Client::builder().proxy(client).build(), url).await.unwrap_err();
            let expected = format!("GET {url}: the proxy {proxy} (from --proxy): {reason}");
            assert!(error.to_string().starts_with(&expected), "{error}\nnot {expected}");
            assert!(error.to_string().len() < 2048, "{} bytes", error.to_string().len());
            assert_eq!(error.proxy(), Some(&*format!("{proxy} (from --proxy)")));
        });
    }
    // What the host does is not the proxy's fault.
    let (address, _) = socks(None, 0, dead);
    mainspring::run(async {
        let proxy = Proxy::new(format!("socks5://{address}")).unwrap();
        let client = Client::builder().proxy(proxy).build();
        let error = text(&client, "http://no-such-host.invalid/").await.unwrap_err();
        assert_eq!(error.proxy(), None, "{error}");
    });
}

/// A SOCKS5 proxy that wants a login if there is one, and leads to `target`.
fn socks(
    login: Option<&'static str>,
    code: u8,
    target: SocketAddr,
) -> (SocketAddr, Receiver<String>) {
    proxy(move |client| {
        let [version, count] = receive(client);
        let mut methods = vec![0; usize::from(count)];
        client.read_exact(&mut methods).unwrap();
        let mut note = format!("{version} {methods:?}");
        client.write_all(&[5, if login.is_some() { 2 } else { 0 }]).unwrap();
        if let Some(login) = login {
            let mut texts = Vec::new();
            let [1] = receive(client) else { panic!("the version of RFC 1929") };
            for _ in 0..2 {
                let [length] = receive(client);
                let mut text = vec![0; usize::from(length)];
                client.read_exact(&mut text).unwrap();
                texts.push(String::from_utf8(text).unwrap());
            }
            let right = texts.join(":") == login;
            client.write_all(&[1, u8::from(!right)]).unwrap();
            if !right {
                return (note, None);
            }
        }
        let [5, 1, 0, kind] = receive(client) else { panic!("a request to connect") };
        note += &match kind {
            1 => format!(" {:?}", receive::<4>(client)),
            4 => format!(" {:?}", receive::<16>(client)),
            _ => {
                let [length] = receive(client);
                let mut name = vec![0; usize::from(length)];
                client.read_exact(&mut name).unwrap();
                format!(" {}", String::from_utf8(name).unwrap())
            }
        };
        note += &format!(" {}", u16::from_be_bytes(receive(client)));
        client.write_all(&[5, code, 0, 3, 2, b'x', b'y', 0, 0]).unwrap();
        (note, (code == 0).then_some(target))
    })
}

#[test]
fn socks_leads_to_names_and_addresses() {
    let server = Server::new(|seen| ok(seen.line()));
    let here = "127.0.0.1".parse().unwrap();
    for (scheme, host, noted) in [
        ("socks5h", "a.test", "5 [0] a.test 81"),
        ("socks5", "a.test", "5 [0] [127, 0, 0, 1] 81"),
        ("socks5h", "10.1.2.3", "5 [0] [10, 1, 2, 3] 81"),
        ("socks5h", "[::1]", "5 [0] [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] 81"),
    ] {
        let (address, notes) = socks(None, 0, server.address);
        mainspring::run(async {
            let proxy = Proxy::new(format!("{scheme}://{address}")).unwrap();
            let client = Client::builder().proxy(proxy).resolve("a.test", &[here]).build();
            for _ in 0..2 {
                let text = text(&client, &format!("http://{host}:81/x")).await;
                assert_eq!(text.unwrap(), "GET /x");
            }
            assert_eq!(client.stats().opened, 1);
        });
        assert_eq!(notes.recv().unwrap(), noted);
    }
}

#[test]
fn socks_asks_for_a_login_and_tells_why_not() {
    let server = Server::new(|seen| ok(seen.line()));
    mainspring::run(async {
        let fetch = async |url: String| {
            let client = Client::builder().proxy(Proxy::new(url).unwrap()).build();
            text(&client, "http://a.test/").await.map_err(|error| error.to_string())
        };
        let (address, _) = socks(Some("me:secret"), 0, server.address);
        assert_eq!(fetch(format!("socks5h://me:secret@{address}")).await.unwrap(), "GET /");
        let error = fetch(format!("socks5h://me:wrong@{address}")).await.unwrap_err();
        assert!(error.ends_with("refused the user name or the password"), "{error}");
        let error = fetch(format!("socks5h://{address}")).await.unwrap_err();
        assert!(error.ends_with("wants another authentication"), "{error}");
        let (address, _) = socks(None, 4, server.address);
        let error = fetch(format!("socks5h://{address}")).await.unwrap_err();
        assert!(error.ends_with("the SOCKS proxy refused: host unreachable"), "{error}");
    });
}
