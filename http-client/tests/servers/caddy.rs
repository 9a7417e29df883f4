//! Caddy: Go's HTTP server and proxy, zstd, a certificate by name, redirects between schemes.

use crate::byte_server;
use crate::harness::{Directory, Server, free_address, installed, long_text, trusting};
use crate::tls_server::Authority;
use http::header;
use mainspring_http::{Body, StatusCode, Version};
use std::net::SocketAddr;
use std::process::Command;

const CONFIG: &str = r#"
{
    admin off
    auto_https off
}
http://:PORT {
    bind IP
    redir https://a.test:SECURE{uri} 308
}
https://a.test:SECURE {
    bind IP
    tls server.pem server.key
    handle /zstd/* {
        uri strip_prefix /zstd
        encode zstd
        file_server
    }
    handle /behind/* {
        reverse_proxy BEHIND
    }
    handle /echo {
        respond "{http.request.body}"
    }
    handle /who {
        respond "{http.request.proto} {http.request.tls.server_name} {http.request.tls.resumed}"
    }
}
"#;

fn caddy(behind: SocketAddr) -> Option<(Server, Authority)> {
    if !installed(&["caddy"]) {
        return None;
    }
    let directory = Directory::new();
    let authority = Authority::new();
    directory.write_certificate("server", &authority);
    directory.write("plain.txt", long_text());
    let address = free_address();
    let config = CONFIG
        .replace("SECURE", &secure_port(address).to_string())
        .replace("PORT", &address.port().to_string())
        .replace("IP", &address.ip().to_string())
        .replace("BEHIND", &behind.to_string());
    directory.write("Caddyfile", config);
    let mut command = Command::new("caddy");
    command.args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"]);
    command.env("XDG_DATA_HOME", directory.path()).env("XDG_CONFIG_HOME", directory.path());
    let server = Server::start(directory, address, command).and_at(secure_port(address));
    Some((server, authority))
}

/// Beside the one that is free, on an address that is the server's own.
fn secure_port(address: SocketAddr) -> u16 {
    address.port() - 1
}

fn nothing_behind() -> SocketAddr {
    // Nobody listens here: it is asked for in no test that uses it.
    free_address()
}

#[test]
fn from_http_to_https_with_the_body_kept() {
    let Some((server, authority)) = caddy(nothing_behind()) else { return };
    let client = |trust: bool| {
        let builder = trusting(&authority, &server);
        if trust { builder } else { builder.max_redirects(0) }.build()
    };
    mainspring::run(async {
        let url = format!("http://a.test:{}/echo?x=1", server.address.port());
        let response = client(true).post(&url).body("kept").send().await.unwrap();
        assert_eq!(response.url().scheme(), "https");
        assert_eq!(response.url().query(), Some("x=1"));
        assert_eq!(response.version(), Version::HTTP_11);
        assert_eq!(response.text().await.unwrap(), "kept");
        // A body that is gone cannot follow: then the redirect is the answer.
        let stream = futures::stream::iter([Ok("gone".into())]);
        let request = client(true).post(&url).body(Body::stream(stream));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::PERMANENT_REDIRECT);
        let response = client(false).get(&url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
    });
}

#[test]
fn the_name_is_sent_http_1_chosen_and_sessions_resumed() {
    let Some((server, authority)) = caddy(nothing_behind()) else { return };
    mainspring::run(async {
        let client = trusting(&authority, &server).max_idle_connections(0).build();
        let url = server.secure_url(secure_port(server.address), "/who");
        for resumed in [false, true] {
            let page = crate::harness::text(&client, &url).await.unwrap();
            assert_eq!(page, format!("HTTP/1.1 a.test {resumed}"));
        }
        let stranger = Authority::named("stranger");
        let client = trusting(&stranger, &server).build();
        let error = crate::harness::text(&client, &url).await.unwrap_err().to_string();
        assert!(error.contains("no trusted authority has issued it"), "{error}");
    });
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_is_taken_off() {
    let Some((server, authority)) = caddy(nothing_behind()) else { return };
    mainspring::run(async {
        let client = trusting(&authority, &server).build();
        let url = server.secure_url(secure_port(server.address), "/zstd/plain.txt");
        let response = client.get(&url).send().await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "zstd");
        assert!(response.text().await.unwrap() == long_text());
        assert_eq!(client.stats().idle, 1);
    });
}

#[test]
fn trailers_and_early_hints_come_through_a_proxy() {
    let behind = byte_server::Server::new(|_| {
        byte_server::say(
            "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n\
             HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
             3\r\none\r\n3\r\ntwo\r\n0\r\nx-sum: 7\r\n\r\n",
        )
    });
    let Some((server, authority)) = caddy(behind.address) else { return };
    mainspring::run(async {
        let client = trusting(&authority, &server).build();
        let url = server.secure_url(secure_port(server.address), "/behind/x");
        for _ in 0..2 {
            let mut response = client.get(&url).send().await.unwrap();
            assert_eq!(response.headers()[header::TRAILER], "X-Sum");
            let mut body = Vec::new();
            while let Some(piece) = response.chunk().await.unwrap() {
                body.extend_from_slice(&piece);
            }
            assert_eq!(body, b"onetwo");
            assert_eq!(response.trailers().unwrap()["x-sum"], "7");
        }
        assert_eq!(client.stats().opened, 1);
    });
}

#[test]
fn a_body_that_is_cut_behind_a_proxy_is_cut_for_us() {
    let behind = byte_server::Server::new(|_| {
        // This release of Caddy makes a whole body of one in chunks that was cut.
        byte_server::say_and_close("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none")
    });
    let Some((server, authority)) = caddy(behind.address) else { return };
    mainspring::run(async {
        let client = trusting(&authority, &server).build();
        let url = server.secure_url(secure_port(server.address), "/behind/x");
        let error = match client.get(&url).send().await {
            Ok(response) => response.bytes().await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(client.stats().idle, 0, "{error}");
        let response = client.get(server.secure_url(secure_port(server.address), "/who"));
        assert_eq!(response.send().await.unwrap().status(), StatusCode::OK);
    });
}
