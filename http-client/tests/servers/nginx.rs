//! nginx: connections that it ends, gzip, slow bodies, TLS, refusals while a body is on its way.

use crate::harness::{Directory, Server, free_address, installed, long_text, text, trusting};
use crate::tls_server::Authority;
use http::header;
use mainspring_http::{Body, Bytes, Client, CloseReason, ErrorKind, StatusCode, Version};
use std::io;
use std::process::Command;
use std::time::Duration;

const CONFIG: &str = r#"
daemon off;
# One process, which ends when it is told to.
master_process off;
pid DIR/pid;
error_log stderr;
events { worker_connections 512; }
http {
    access_log DIR/access.log;
    client_body_temp_path DIR/body;
    proxy_temp_path DIR/proxy;
    fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi;
    scgi_temp_path DIR/scgi;
    default_type text/plain;
    gzip_types text/plain;
    root DIR/www;
    server {
        listen ADDRESS;
        location /zipped/ { alias DIR/www/; gzip on; }
        location = /which { client_max_body_size 100m; return 200 "$connection $connection_requests"; }
        location = /three { keepalive_requests 3; return 200 "$connection_requests"; }
        location = /brief { keepalive_timeout 20ms; return 200 "here"; }
        location /slow/ { alias DIR/www/; limit_rate 400k; }
        location /trailers/ { alias DIR/www/; add_trailer x-sum $request_length; }
        location /small { client_max_body_size 1k; proxy_pass http://ADDRESS/which; }
        location /upload { client_max_body_size 100m; proxy_pass http://ADDRESS/which; }
        location = /silent { return 444; }
        location = /old { return 301 /plain.txt?from=old; }
        location = /turn { return 302 http://$http_host/turn; }
    }
    server {
        listen SECURE ssl http2;
        ssl_certificate DIR/server.pem;
        ssl_certificate_key DIR/server.key;
        ssl_client_certificate DIR/authority.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_verify_client optional;
        location = /who { return 200 "$ssl_client_verify $ssl_protocol $server_protocol $ssl_server_name $ssl_session_reused"; }
        location = /bye { keepalive_timeout 0; return 200 "bye"; }
    }
}
"#;

struct Nginx {
    server: Server,
    authority: Authority,
    secure_port: u16,
}

fn nginx() -> Option<Nginx> {
    if !installed(&["nginx"]) {
        return None;
    }
    let directory = Directory::new();
    let authority = Authority::new();
    let address = free_address();
    // On an address of the server's own, two ports that were free stay so.
    let secure_port = loop {
        let free = std::net::TcpListener::bind((address.ip(), 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        if port != address.port() {
            break port;
        }
    };
    directory.write_certificate("server", &authority);
    directory.write("authority.pem", &authority.pem);
    directory.write("www/plain.txt", long_text());
    directory.write("www/below/index.html", "<p>below</p>");
    let config = CONFIG
        .replace("SECURE", &format!("{}:{secure_port}", address.ip()))
        .replace("ADDRESS", &address.to_string())
        .replace("DIR", directory.path().to_str().unwrap());
    let config = directory.write("nginx.conf", config);
    let mut command = Command::new("nginx");
    command.arg("-p").arg(directory.path()).args(["-c", &config, "-e", "stderr"]);
    Some(Nginx {
        server: Server::start(directory, address, command).and_at(secure_port),
        authority,
        secure_port,
    })
}

#[test]
fn a_connection_serves_as_many_requests_as_the_server_lets_it() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    mainspring::run(async {
        let client = Client::new();
        for request in 0..30 {
            let count = text(&client, &server.url("/three")).await.unwrap();
            assert_eq!(count, (request % 3 + 1).to_string());
        }
        let stats = client.stats();
        assert_eq!((stats.opened, stats.reused, stats.repeated), (10, 20, 0));
        assert_eq!(stats.closed(CloseReason::ServerAsked), 10);
    });
}

#[test]
fn many_at_once_share_connections_that_end_after_three_requests() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    mainspring::run(async {
        let client = Client::builder().max_connections_per_host(8).build();
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (client, url) = (client.clone(), server.url("/three"));
                mainspring::spawn(async move {
                    for _ in 0..6 {
                        let count = text(&client, &url).await.unwrap();
                        assert!(matches!(&*count, "1" | "2" | "3"), "{count}");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let stats = client.stats();
        assert_eq!((stats.requests, stats.repeated), (64 * 6, 0));
        assert!((128..=136).contains(&stats.opened), "{stats}");
    });
}

/// The server ends an idle connection just when the client is about to use it: no request fails.
#[test]
fn a_connection_that_ends_as_it_is_used_again_is_replaced() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    mainspring::run(async {
        let client = Client::new();
        for request in 0..60 {
            assert_eq!(text(&client, &server.url("/brief")).await.unwrap(), "here");
            // All around the moment at which the server ends it, on either side.
            let pause = Duration::from_micros(19_500 + 50 * (request % 30));
            mainspring::time::sleep(pause).await;
        }
        assert_eq!(client.stats().failed, 0, "{}", client.stats());
        assert!(client.stats().opened > 1, "{}", client.stats());
    });
}

#[test]
fn gzip_is_asked_for_and_taken_off() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    mainspring::run(async {
        let client = Client::new();
        let response = client.get(server.url("/zipped/plain.txt")).send().await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(response.headers()[header::TRANSFER_ENCODING], "chunked");
        assert_eq!(response.content_length(), None);
        assert!(response.text().await.unwrap() == long_text());
        let plain = Client::builder().decompress(false).build();
        let response = plain.get(server.url("/zipped/plain.txt")).send().await.unwrap();
        assert_eq!(response.headers().get(header::CONTENT_ENCODING), None);
        assert_eq!(response.content_length(), Some(long_text().len() as u64));
        assert!(response.bytes().await.unwrap() == long_text());
    });
}

#[test]
fn a_body_that_is_slow_comes_in_pieces_and_can_be_left() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    mainspring::run(async {
        let client = Client::new();
        let mut response = client.get(server.url("/slow/plain.txt")).send().await.unwrap();
        let (mut body, mut pieces) = (Vec::new(), 0);
        while let Some(piece) = response.chunk().await.unwrap() {
            body.extend_from_slice(&piece);
            pieces += 1;
        }
        assert!(body == long_text().as_bytes());
        assert!(pieces > 1);
        drop(response);
        assert_eq!(client.stats().idle, 1);
        let mut left = client.get(server.url("/slow/plain.txt")).send().await.unwrap();
        left.chunk().await.unwrap().unwrap();
        drop(left);
        let stats = client.stats();
        assert_eq!((stats.open, stats.closed(CloseReason::ResponseUnread)), (0, 1), "{stats}");
    });
}

#[test]
fn trailers_come_after_the_body() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    mainspring::run(async {
        let client = Client::new();
        let mut response = client.get(server.url("/trailers/plain.txt")).send().await.unwrap();
        assert!(response.trailers().is_none());
        let mut length = 0;
        while let Some(piece) = response.chunk().await.unwrap() {
            length += piece.len();
        }
        assert_eq!(length, long_text().len());
        let sum = response.trailers().unwrap()["x-sum"].to_str().unwrap();
        assert!(sum.parse::<u32>().unwrap() > 0);
        assert_eq!(client.stats().idle, 1);
    });
}

#[test]
fn a_body_that_is_refused_while_it_is_sent_is_answered_not_broken_off() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    const PIECE: &[u8] = &[b'x'; 64 * 1024];
    mainspring::run(async {
        let client = Client::new();
        for _ in 0..20 {
            let whole = Body::from(PIECE.repeat(256));
            let stream =
                futures::stream::iter((0..256).map(|_| io::Result::Ok(Bytes::from_static(PIECE))));
            for body in [whole, Body::stream(stream)] {
                let response = client.post(server.url("/small")).body(body).send().await.unwrap();
                assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
                assert!(response.text().await.unwrap().contains("413 Request Entity Too Large"));
            }
        }
        assert_eq!(client.stats().idle, 0, "{}", client.stats());
        let body = Body::from(PIECE.repeat(256));
        let response = client.post(server.url("/upload")).body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    });
}

#[test]
fn what_has_no_body_leaves_the_connection_free() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    mainspring::run(async {
        let client = Client::new();
        let url = server.url("/plain.txt");
        let response = client.head(&url).send().await.unwrap();
        assert_eq!(response.content_length(), Some(long_text().len() as u64));
        let tag = response.headers()[header::ETAG].clone();
        assert_eq!(response.bytes().await.unwrap(), "");
        let request = client.get(&url).header(header::IF_NONE_MATCH, tag.clone());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers()[header::ETAG], tag);
        assert_eq!(response.bytes().await.unwrap(), "");
        let response = client.get(&url).header(header::RANGE, "bytes=5-8").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        let range = format!("bytes 5-8/{}", long_text().len());
        assert_eq!(response.headers()[header::CONTENT_RANGE], *range);
        assert_eq!(response.text().await.unwrap(), long_text()[5..9]);
        let request = client.get(&url).header(header::RANGE, "bytes=9999999-");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        response.discard().await.unwrap();
        let number = text(&client, &server.url("/which")).await.unwrap();
        assert!(number.ends_with(" 5"), "the fifth request of one connection: {number}");
        assert_eq!(client.stats().opened, 1);
    });
}

#[test]
fn redirects_lead_on_and_around() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    mainspring::run(async {
        let client = Client::new();
        let response = client.get(server.url("/old")).send().await.unwrap();
        assert_eq!(response.url().as_str(), server.url("/plain.txt?from=old"));
        assert_eq!(response.history()[0].url.as_str(), server.url("/old"));
        assert!(response.text().await.unwrap() == long_text());
        let response = client.get(server.url("/below")).send().await.unwrap();
        assert_eq!(response.url().as_str(), server.url("/below/"));
        assert_eq!(response.text().await.unwrap(), "<p>below</p>");
        let error = client.get(server.url("/turn")).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooManyRedirects { limit: 10 }), "{error}");
        assert_eq!(client.stats().opened, 1);
    });
}

#[test]
fn no_answer_at_all_is_an_error_that_says_so() {
    let Some(Nginx { server, .. }) = nginx() else { return };
    mainspring::run(async {
        let error = text(&Client::new(), &server.url("/silent")).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoResponse), "{error}");
        assert_eq!(error.address(), Some(server.address));
        assert_eq!((error.reused(), error.bytes().1), (Some(false), 0));
    });
}

#[test]
fn tls_names_the_host_keeps_to_http_1_and_resumes_sessions() {
    let Some(Nginx { server, authority, secure_port }) = nginx() else { return };
    mainspring::run(async {
        let client = trusting(&authority, &server).build();
        let url = server.secure_url(secure_port, "/who");
        for _ in 0..3 {
            let response = client.get(&url).send().await.unwrap();
            assert_eq!(response.version(), Version::HTTP_11);
            assert_eq!(response.text().await.unwrap(), "NONE TLSv1.3 HTTP/1.1 a.test .");
        }
        assert_eq!((client.stats().opened, client.stats().reused), (1, 2));
        text(&client, &server.secure_url(secure_port, "/bye")).await.unwrap();
        assert_eq!(text(&client, &url).await.unwrap(), "NONE TLSv1.3 HTTP/1.1 a.test r");
        let page = text(&client, &server.secure_url(secure_port, "/plain.txt")).await.unwrap();
        assert!(page == long_text());
    });
}

#[test]
fn a_client_shows_its_certificate() {
    let Some(Nginx { server, authority, secure_port }) = nginx() else { return };
    let url = server.secure_url(secure_port, "/who");
    let rows = [(&authority, "SUCCESS"), (&Authority::named("stranger"), "FAILED")];
    for (issuer, verdict) in rows {
        let (chain, key) = issuer.client();
        mainspring::run(async {
            let client = trusting(&authority, &server)
                .client_certificate(chain.as_bytes(), key.as_bytes())
                .unwrap()
                .build();
            let response = client.get(&url).send().await.unwrap();
            let status = response.status();
            let said = response.text().await.unwrap();
            let (expected, word) = match verdict {
                "SUCCESS" => (StatusCode::OK, "SUCCESS TLSv1.3"),
                _ => (StatusCode::BAD_REQUEST, "The SSL certificate error"),
            };
            assert_eq!(status, expected, "{said}");
            assert!(said.contains(word), "{said}");
        });
    }
}

#[test]
fn plain_http_to_a_tls_port_and_the_other_way_round() {
    let Some(Nginx { server, authority, secure_port }) = nginx() else { return };
    mainspring::run(async {
        let client = trusting(&authority, &server).build();
        let response = client.get(format!("http://a.test:{secure_port}/")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let said = response.text().await.unwrap();
        assert!(said.contains("The plain HTTP request was sent to HTTPS port"), "{said}");
        let url = server.secure_url(server.address.port(), "/which");
        let error = text(&client, &url).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls(_)), "{error}");
    });
}
