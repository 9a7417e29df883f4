//! tinyproxy and microsocks: whole URLs, tunnels, and passwords asked for by a proxy.

use crate::byte_server;
use crate::harness::{Directory, Server, free_address, installed, text};
use crate::tls_server::{Authority, TlsServer};
use mainspring_http::{Client, ErrorKind, Proxy, StatusCode};
use std::process::Command;

const PASSWORD: &str = "BasicAuth me secret\n";

fn tinyproxy(options: &str) -> Option<Server> {
    if !installed(&["tinyproxy"]) {
        return None;
    }
    let directory = Directory::new();
    let address = free_address();
    let config = format!(
        "Port {}\nListen {}\nTimeout 60\nMaxClients 50\nLogLevel Info\nAllow 127.0.0.0/8\n{options}",
        address.port(),
        address.ip()
    );
    directory.write("tinyproxy.conf", config);
    let mut command = Command::new("tinyproxy");
    command.args(["-d", "-c", "tinyproxy.conf"]);
    Some(Server::start(directory, address, command))
}

fn microsocks(options: &[&str]) -> Option<Server> {
    if !installed(&["microsocks"]) {
        return None;
    }
    let address = free_address();
    let mut command = Command::new("microsocks");
    command.args(["-i", &address.ip().to_string(), "-p", &address.port().to_string()]);
    command.args(options);
    Some(Server::start(Directory::new(), address, command))
}

fn through(scheme: &str, server: &Server) -> Client {
    let proxy = Proxy::new(format!("{scheme}{}", server.address)).unwrap();
    Client::builder().proxy(proxy).build()
}

fn page() -> byte_server::Server {
    byte_server::Server::new(|seen| byte_server::ok(format!("{} for {:?}", seen.line(), seen.body)))
}

#[test]
fn plain_requests_go_by_the_whole_url() {
    let Some(server) = tinyproxy("") else { return };
    let page = page();
    mainspring::run(async {
        let client = through("http://", &server);
        for _ in 0..2 {
            assert_eq!(text(&client, &page.url("/x?y#z")).await.unwrap(), "GET /x?y for []");
        }
        // tinyproxy closes after every answer, and a POST that meets the close is not repeated: so it
        // gets a connection of its own.
        let fresh = through("http://", &server);
        let response = fresh.post(page.url("/p")).body("hi").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "POST /p for [104, 105]");
    });
    let seen = page.seen();
    assert!(seen[0].field("via").unwrap().contains("tinyproxy"), "{}", seen[0].head);
    assert_eq!(seen[0].field("host").unwrap(), page.address.to_string());
}

#[test]
fn a_tunnel_carries_tls_end_to_end() {
    let Some(server) = tinyproxy("") else { return };
    let authority = Authority::new();
    let secure = TlsServer::new(authority.server("localhost"), |_| {
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".into()
    });
    mainspring::run(async {
        let proxy = Proxy::new(format!("http://{}", server.address)).unwrap();
        let client = Client::builder()
            .proxy(proxy)
            .only_added_root_certificates()
            .add_root_certificates(authority.pem.as_bytes())
            .unwrap()
            .build();
        for _ in 0..3 {
            assert_eq!(text(&client, &secure.url("localhost")).await.unwrap(), "hi");
        }
        assert_eq!(client.stats().opened, 1, "a tunnel is kept");
    });
    assert_eq!(secure.hello(), "localhost http/1.1 full");
}

#[test]
fn a_password_opens_the_proxy_and_stays_with_it() {
    let Some(server) = tinyproxy(PASSWORD) else { return };
    let page = page();
    let authority = Authority::new();
    let secure = TlsServer::new(authority.server("localhost"), |_| {
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".into()
    });
    mainspring::run(async {
        let client = through("http://me:secret@", &server);
        assert_eq!(text(&client, &page.url("/x")).await.unwrap(), "GET /x for []");
        let response = through("http://", &server).get(page.url("/")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        let error = text(&through("http://", &server), &secure.url("localhost")).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Proxy(_)), "{error}");
        assert!(error.to_string().contains("407"), "{error}");
    });
    assert_eq!(page.seen()[0].field("proxy-authorization"), None);
}

#[test]
fn what_the_proxy_cannot_reach_or_does_not_allow_is_its_word() {
    let Some(server) = tinyproxy("ConnectPort 443\n") else { return };
    let nobody = free_address();
    mainspring::run(async {
        let client = through("http://", &server);
        let response = client.get(format!("http://{nobody}/")).send().await.unwrap();
        assert!(response.status().is_server_error(), "{}", response.status());
        let error = text(&client, &format!("https://{nobody}/")).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Proxy(_)), "{error}");
        assert!(error.to_string().contains("403"), "{error}");
    });
}

#[test]
fn socks_looks_names_up_here_or_there() {
    let Some(server) = microsocks(&[]) else { return };
    let page = page();
    mainspring::run(async {
        for scheme in ["socks5://", "socks5h://"] {
            let client = through(scheme, &server);
            for _ in 0..2 {
                let url = format!("http://localhost:{}/x", page.address.port());
                assert_eq!(text(&client, &url).await.unwrap(), "GET /x for []", "{scheme}");
            }
            assert_eq!(client.stats().opened, 1);
        }
        let nobody = format!("http://{}/", free_address());
        let error = text(&through("socks5://", &server), &nobody).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Proxy(_)), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    });
}

#[test]
fn socks_asks_for_a_password() {
    let Some(server) = microsocks(&["-u", "me", "-P", "secret"]) else { return };
    let page = page();
    mainspring::run(async {
        let client = through("socks5://me:secret@", &server);
        assert_eq!(text(&client, &page.url("/x")).await.unwrap(), "GET /x for []");
        for login in ["socks5://", "socks5://me:wrong@"] {
            let error = text(&through(login, &server), &page.url("/x")).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Proxy(_)), "{login}: {error}");
            assert!(!error.to_string().contains("wrong"), "{error}");
        }
    });
}
